"""A Trn3 UltraServer drawn: a rack above the other, mirrored, so that links between equal positions run straight; in
each rack its switch as a bar, and the sleds or trays as boxes of chips, with the sled's switch between them.

Lengths in cm, heights from the middle between the racks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .nodes import attribute, lost
from .style import CHIP_EDGE, CHIP_FACE, WIDTH, canvas, crosses, tier_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.network import Network

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Path = list[tuple[float, float]]

ROOM = WIDTH - 0.4
EDGE = 0.1
CHIP_Y = 0.5
ABOVE = 0.75  # from the chips to their sled's switch, and on to the rack's switch
BRACKET = 0.3  # of a link between tray-mates, above the chips
BAR = 0.36  # height of a rack's switch
MIDDLE, APART = 1.6, 0.9  # in the middle of a sled, for the lines of its switch; between sleds; in pitches
SWITCH = 0.1  # half a side of a sled's switch
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # behind a number, over the links


@dataclass(frozen=True)
class Racks:
    """chips in each sled, sleds in each rack, racks; whether sleds have a switch."""

    chips: int
    sleds: int
    racks: int
    switched: bool

    @property
    def pitch(self) -> float:
        """Between chips."""
        return (ROOM - 2 * EDGE) / (self.sleds * (self._wide + APART) - APART)

    @property
    def _wide(self) -> float:
        return self.chips + (MIDDLE if self.switched else 0.0)

    @property
    def rack_y(self) -> float:
        """Lower edge of the rack's switch."""
        return CHIP_Y + (2 if self.switched else 1) * ABOVE

    @property
    def height(self) -> float:
        """Of the drawing."""
        return self.racks * (self.rack_y + BAR + 0.08)

    @property
    def low(self) -> float:
        """Lower end of the drawing."""
        return -self.height / 2 if self.racks == 2 else 0.0

    def sled_x(self, sled: int) -> tuple[float, float]:
        """Left and right end."""
        left = EDGE + sled * (self._wide + APART) * self.pitch
        return left, left + self._wide * self.pitch

    def chip_x(self, rank: int) -> float:
        """Centre; the second half of a sled's chips is beyond the middle."""
        sled, chip = divmod(rank, self.chips)
        beyond = MIDDLE if self.switched and chip >= self.chips / 2 else 0.0
        return self.sled_x(sled % self.sleds)[0] + (chip + 0.5 + beyond) * self.pitch


def racks_of(network: Network) -> Racks | None:
    """The racks of one Trn3 UltraServer with its tiers of switches; None for any other fabric."""
    graph = network.graph.graph
    dims = [int(size) for size in graph.get("dims", ())]
    if graph.get("shape") != "trn3" or len(dims) != 3 or dims[2] > 2:
        return None
    return Racks(dims[0], dims[1], dims[2], "sled" in network.tiers)


def places(network: Network, racks: Racks) -> F64:
    """[N, 2] centre of each node; of a rack's switch the middle of its edge."""
    rack, server = attribute(network, "rack"), attribute(network, "server")
    place = np.empty((network.nodes, 2))
    for node in range(network.nodes):
        if node < network.ranks:
            place[node] = racks.chip_x(node), CHIP_Y
        elif server[node] >= 0:
            place[node] = sum(racks.sled_x(int(server[node]) % racks.sleds)) / 2, CHIP_Y + ABOVE
        else:
            place[node] = ROOM / 2, racks.rack_y
    mirrored = (rack > 0) & (racks.racks == 2)
    place[:, 1] *= np.where(mirrored, -1.0, 1.0)
    return place


def draw_racks(network: Network, racks: Racks, axes: Axes) -> None:
    """Links at the bottom, then sleds, chips and switches."""
    from matplotlib.collections import LineCollection

    place = places(network, racks)
    canvas(axes, ROOM, racks.height, low=racks.low)
    once = network.source < network.destination
    ends = np.stack([network.source, network.destination], axis=1)[once].tolist()
    colours = tier_colours(network.tiers)
    shades = [colours[tier] for tier in network.tier[: network.links][once].tolist()]
    lines = [_path(racks, place, network.ranks, a, b) for a, b in ends]
    axes.add_collection(LineCollection(lines, colors=shades, linewidths=0.7, zorder=1))
    _draw_sleds(network, racks, place, axes)
    _draw_switches(network, racks, place, axes)
    downs = [_path(racks, place, network.ranks, *sorted(link)) for link in lost(network)]
    crosses(axes, [np.mean(path, axis=0) for path in downs])


def _path(racks: Racks, place: F64, ranks: int, a: int, b: int) -> Path:
    (ax, ay), (bx, by) = place[a].tolist(), place[b].tolist()
    if abs(by) == racks.rack_y:
        return [(ax, ay), (ax, by)]
    if ay == by and b < ranks:
        top = ay + np.sign(ay) * BRACKET
        return [(ax, ay), (ax, top), (bx, top), (bx, by)]
    return [(ax, ay), (bx, by)]


def _draw_sleds(network: Network, racks: Racks, place: F64, axes: Axes) -> None:
    from matplotlib.collections import PolyCollection

    half = min(0.36 * racks.pitch, 0.2)
    square = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    chips = list(place[: network.ranks, None, :] + square)
    near, far = CHIP_Y - half - 0.07, CHIP_Y + (ABOVE + SWITCH if racks.switched else BRACKET) + 0.07
    boxes = []
    for sled in range(racks.sleds):
        left, right = racks.sled_x(sled)
        boxes += [_rectangle(left, right, side * near, side * far) for side in (1.0, -1.0)[: racks.racks]]
        text = f"{'sled' if racks.switched else 'tray'} 0" if sled == 0 else str(sled)
        y = 0.0 if racks.racks == 2 else near / 2
        axes.text((left + right) / 2, y, text, ha="center", va="center", zorder=4, bbox=WHITE)
    axes.add_collection(PolyCollection(boxes, facecolors="#F7F4EA", edgecolors="0.7", linewidths=0.5, zorder=0))
    axes.add_collection(PolyCollection(chips, facecolors=CHIP_FACE, edgecolors=CHIP_EDGE, linewidths=0.5, zorder=3))


def _draw_switches(network: Network, racks: Racks, place: F64, axes: Axes) -> None:
    from matplotlib.collections import PolyCollection

    colours = dict(zip(network.tiers, tier_colours(network.tiers)))
    bars, squares = [], []
    for node in range(network.ranks, network.nodes):
        x, y = place[node].tolist()
        if abs(y) == racks.rack_y:
            end = y + np.sign(y) * BAR
            bars.append(_rectangle(EDGE, ROOM - EDGE, y, end))
            axes.text(x, (y + end) / 2, network.node_names[node], ha="center", va="center_baseline", zorder=4)
        else:
            squares.append(_rectangle(x - SWITCH, x + SWITCH, y - SWITCH, y + SWITCH))
    for shapes, tier in ((bars, "rack"), (squares, "sled")):
        edge = colours.get(tier, CHIP_EDGE)
        axes.add_collection(PolyCollection(shapes, facecolors="white", edgecolors=edge, linewidths=0.9, zorder=3))


def _rectangle(left: float, right: float, low: float, high: float) -> Path:
    return [(left, low), (right, low), (right, high), (left, high)]
