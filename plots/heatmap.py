"""Utilisation of every link at the largest size of each case, laid out as the fabric is.

Rings, meshes and tori are planes with a stroke per link; fabrics with switches are rows of cells, one row per tier and
direction; other fabrics are a matrix of source and destination.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fabric.units import format_time

from .grid import Grid, draw_chips, draw_lost, grid_of, strokes
from .nodes import lost
from .strips import LEFT, RIGHT, ROW_HEIGHT, draw_strips, strips_of
from .style import CHIP_EDGE, HALF, WIDTH, Panel, case_of, heat, heat_scale, note, size_text, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.network import Network
    from fabric.result import Result

F64 = NDArray[np.float64]

TITLE = 0.95  # cm above the axes
LARGEST_MATRIX = 128  # ranks
MATRIX, MATRIX_LEFT = 6.6, 1.2  # cm
PHASES = ("combine", "dispatch", "total")  # the last one found stands for the case


def panels(results: Sequence[Result]) -> list[Panel]:
    """A panel per case, and one colour bar for all."""
    return [*(_panel(result) for result in chosen(results)), Panel(_bar, WIDTH, 1.5, 3.5, 3.5, 0.25, 0.95)]


def chosen(results: Sequence[Result]) -> list[Result]:
    """Of each case its largest size, the sum of its phases, and the fastest algorithm, in that order of importance."""
    cases: dict[str, Result] = {}
    for result in results:
        best = cases.setdefault(case_of(result), result)
        if _importance(result) > _importance(best):
            cases[case_of(result)] = result
    return list(cases.values())


def _importance(result: Result) -> tuple[int, float, float]:
    return PHASES.index(result.phase) if result.phase in PHASES else 0, result.size, -result.time


def draw(results: Sequence[Result], axes: Axes) -> None:
    """The first case of the results; the colours run from 0 to 1."""
    result = chosen(results)[0]
    network, utilisation = result.network, result.utilisation[: result.network.links]
    grid = grid_of(network)
    indent = 0.0
    if grid is not None:
        _draw_grid(network, grid, utilisation, axes)
    elif _is_matrix(network):
        _draw_matrix(network, utilisation, axes)
        indent = MATRIX_LEFT - 0.2
    else:
        draw_strips(network, utilisation, axes)
        indent = LEFT - 0.2
    title(axes, case_of(result), _detail(result), indent)


def _panel(result: Result) -> Panel:
    network = result.network
    put = partial(draw, [result])
    grid = grid_of(network)
    if grid is not None:
        below = 0.45
        return Panel(put, grid.width, grid.height + TITLE + below, top=TITLE, bottom=below)
    if _is_matrix(network):
        return Panel(put, HALF, MATRIX + TITLE + 1.05, MATRIX_LEFT, HALF - MATRIX_LEFT - MATRIX, TITLE, 1.05)
    strips = strips_of(network, result.utilisation)
    height, below = strips.height * ROW_HEIGHT, 1.05 if strips.column == "machine" else 0.7
    return Panel(put, WIDTH, height + TITLE + below, left=LEFT, right=RIGHT, top=TITLE, bottom=below)


def _detail(result: Result) -> str:
    what = " ".join(filter(None, ("moe" if result.phase else result.collective, result.phase, result.algorithm)))
    return f"{what}, {size_text(result.size)}: {format_time(result.time)}"


def _used(utilisation: F64) -> str:
    return f"mean {utilisation.mean():.2f}, max {utilisation.max():.2f}" if len(utilisation) else "no links"


def _bar(axes: Axes) -> None:
    bar = axes.figure.colorbar(heat_scale(), cax=axes, orientation="horizontal", ticks=[0.0, 0.25, 0.5, 0.75, 1.0])
    bar.set_label("link utilisation: bytes carried / (bandwidth × time)")
    bar.outline.set_linewidth(0.5)


def _draw_grid(network: Network, grid: Grid, utilisation: F64, axes: Axes) -> None:
    from matplotlib.collections import PolyCollection

    scale, norm = heat()
    polygons, links = strokes(grid, network.source, network.destination)
    draw_chips(grid, axes, "white", CHIP_EDGE)
    drawn = PolyCollection(
        polygons, array=utilisation[links], cmap=scale, norm=norm, edgecolors="0.45", linewidths=0.25, zorder=2.5
    )
    axes.add_collection(drawn)
    draw_lost(grid, axes, lost(network))
    grid.frame(axes)
    note(axes, "; ".join([_used(utilisation), *_marks(grid, network)]))


def _marks(grid: Grid, network: Network) -> list[str]:
    """What the marks mean that are not plain arrows."""
    dimension, _, wraps = grid.ways(network.source, network.destination)
    parts = []
    if (wraps & (dimension < 2)).any():
        parts.append("stubs wrap around")
    if grid.planes > 1:
        parts.append("▲ to the next z, ▼ to the previous")
    if lost(network):
        parts.append("× down")
    return parts


def _is_matrix(network: Network) -> bool:
    return network.ranks == network.nodes <= LARGEST_MATRIX


def _draw_matrix(network: Network, utilisation: F64, axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    scale, norm = heat()
    cells = np.full((network.nodes, network.nodes), np.nan)
    cells[network.source, network.destination] = utilisation
    axes.imshow(cells, cmap=scale, norm=norm, interpolation="nearest")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"destination rank (grey: no link); {_used(utilisation)}")
    axes.set_ylabel("source rank")
