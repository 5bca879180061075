"""Where the chips and links of a ring, mesh or torus are drawn: a plane of x and y for each z, y downwards.

Lengths are in steps of the grid. A straight link is a stroke between its chips, to the right of its direction, so that
both directions lie side by side; a link that wraps around is a stub at either end; a link along z is a mark inside the
chip that sends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .style import HALF, WIDTH, canvas, crosses, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.network import Network

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

CHIP = 0.21  # half the side of a chip
AIR = 0.03
STUB = 0.27
OFFSET = 0.085  # of a stroke from the axis of its link
STROKE = 0.06  # half the width of a stroke
TIP = 0.09
APART = 1.15  # between planes
MARGIN = 0.58  # around the outermost chips: stubs
HEAD = 0.42  # above a plane, for its name
LARGEST_STEP, LEAST_STEP, GOOD_STEP = 1.3, 0.2, 0.6  # cm


@dataclass(frozen=True, eq=False)
class Grid:
    """coord: [n, 3] of the chips; columns: planes side by side; step: cm; width: of the panel, cm."""

    coord: I64
    size: tuple[int, int, int]
    columns: int
    step: float
    width: float

    @property
    def planes(self) -> int:
        """One per z."""
        return self.size[2]

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of everything."""
        rows = -(-self.planes // self.columns)
        head = HEAD if self.planes > 1 else 0.0
        wide = self.columns * (self.size[0] - 1 + APART) - APART + 2 * MARGIN
        return wide, rows * (self.size[1] - 1 + APART + head) - APART + 2 * MARGIN

    @property
    def height(self) -> float:
        """cm"""
        return self.extent[1] * self.step

    @property
    def corners(self) -> F64:
        """[planes, 2] centre of the chip at x = y = 0 of each plane."""
        row, column = np.divmod(np.arange(self.planes), self.columns)
        head = HEAD if self.planes > 1 else 0.0
        high = self.size[1] - 1 + APART + head
        return np.stack([MARGIN + column * (self.size[0] - 1 + APART), MARGIN + head + row * high], axis=1)

    @property
    def centres(self) -> F64:
        """[n, 2] of the chips; y grows downwards."""
        corners: F64 = self.corners[self.coord[:, 2]]
        return corners + self.coord[:, :2]

    def ways(self, source: I64, destination: I64) -> tuple[I64, I64, NDArray[np.bool_]]:
        """Dimension, direction (1 or -1) and whether it wraps around, of each link."""
        way = self.coord[destination] - self.coord[source]
        dimension = np.abs(way).argmax(axis=1)
        step = way[np.arange(len(way)), dimension]
        wraps = np.abs(step) > 1
        return dimension, np.where(wraps, -np.sign(step), np.sign(step)), wraps

    def frame(self, axes: Axes) -> None:
        """Give the axes the grid's coordinates, and each plane its name."""
        wide, high = self.extent
        canvas(axes, wide, high, downwards=True)
        for z, (x, y) in enumerate(self.corners if self.planes > 1 else ()):
            axes.text(x - CHIP, y - MARGIN, f"z = {z}", ha="left", va="bottom")


def grid_of(network: Network) -> Grid | None:
    """The grid of a network of chips with coordinates and links between neighbours, where it fits a page."""
    dims = [int(size) for size in network.graph.graph.get("dims", ())]
    nodes = network.graph.nodes
    coords = [nodes[node].get("coord", ()) for node in range(network.nodes)]
    if not 1 <= len(dims) <= 3 or network.ranks != network.nodes or any(len(coord) != len(dims) for coord in coords):
        return None
    kx, ky, kz = [*dims, 1, 1][:3]
    size = (kx, ky, kz)
    coord = np.array([(*coord, 0, 0)[:3] for coord in coords], dtype=np.int64)
    if not _neighbours(coord, np.array(size), network.source, network.destination):
        return None
    width = HALF if size[2] == 1 and size[0] <= 8 else WIDTH
    columns, step = _fit(size, width - 0.4)
    grid = Grid(coord, size, columns, step, width)
    return grid if step >= LEAST_STEP and grid.height <= 24.0 else None


def _neighbours(coord: I64, size: I64, source: I64, destination: I64) -> bool:
    way = np.abs(coord[destination] - coord[source])
    one = (way > 0).sum(axis=1) == 1
    return bool((one & ((way.sum(axis=1) == 1) | (way == size - 1).any(axis=1))).all())


def _fit(size: tuple[int, int, int], room: float) -> tuple[int, float]:
    """As many planes side by side as leave a good step, else the fewest, and the step in cm."""
    steps = {
        columns: min(LARGEST_STEP, room / (columns * (size[0] - 1 + APART) - APART + 2 * MARGIN))
        for columns in range(1, size[2] + 1)
    }
    good = [columns for columns, step in steps.items() if step >= GOOD_STEP]
    columns = max(good) if good else max(steps, key=lambda columns: (steps[columns] >= LEAST_STEP, columns))
    return columns, steps[columns]


def strokes(grid: Grid, source: I64, destination: I64) -> tuple[list[F64], I64]:
    """Polygons of the links, and for each polygon the index of its link: two for one that wraps around."""
    dimension, sign, wraps = grid.ways(source, destination)
    start, end = grid.centres[source], grid.centres[destination]
    polygons: list[F64] = []
    owners: list[int] = []
    for link in range(len(source)):
        for polygon in _polygons(start[link], end[link], int(dimension[link]), int(sign[link]), bool(wraps[link])):
            polygons.append(polygon)
            owners.append(link)
    return polygons, np.array(owners, dtype=np.int64)


def _polygons(start: F64, end: F64, dimension: int, sign: int, wraps: bool) -> list[F64]:
    if dimension == 2:
        return [_triangle(start, sign)]
    way = np.zeros(2)
    way[dimension] = sign
    leave, arrive = start + way * (CHIP + AIR), end - way * (CHIP + AIR)
    if not wraps:
        return [_arrow(leave, arrive, way)]
    return [_arrow(leave, leave + way * STUB, way), _arrow(arrive - way * STUB, arrive, way)]


def _arrow(start: F64, end: F64, way: F64) -> F64:
    right = np.array([-way[1], way[0]])  # of the direction of travel, y downwards
    start, end = start + right * OFFSET, end + right * OFFSET
    neck = end - way * TIP
    side = right * STROKE
    return np.array([start - side, neck - side, end, neck + side, start + side])


def _triangle(centre: F64, sign: int) -> F64:
    """Upper half of a chip for the link to z + 1, lower half for the one to z - 1."""
    inner = CHIP - 0.035
    base = centre + np.array([0.0, -sign * 0.025])
    tip = centre + np.array([0.0, -sign * inner])
    wide = np.array([inner, 0.0])
    return np.array([base - wide, base + wide, tip])


def draw_chips(grid: Grid, axes: Axes, face: str, edge: str) -> None:
    """The chips, with their rank where it fits."""
    from matplotlib.collections import PolyCollection

    corner = np.array([[-CHIP, -CHIP], [CHIP, -CHIP], [CHIP, CHIP], [-CHIP, CHIP]])
    squares = list(grid.centres[:, None, :] + corner)
    axes.add_collection(PolyCollection(squares, facecolors=face, edgecolors=edge, linewidths=0.5, zorder=2))
    if grid.planes == 1 and text_width(str(len(grid.coord) - 1)) < 2 * CHIP * grid.step:
        for rank, (x, y) in enumerate(grid.centres):
            axes.text(x, y, str(rank), ha="center", va="center", zorder=3)


def draw_lost(grid: Grid, axes: Axes, links: list[tuple[int, int]]) -> None:
    """A cross where a link was taken down."""
    if links:
        polygons, _ = strokes(grid, *np.array(links).T)
        crosses(axes, [(polygon.max(axis=0) + polygon.min(axis=0)) / 2 for polygon in polygons])
