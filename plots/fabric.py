"""The fabrics of the cases, each once: nodes, links coloured by tier, and what one link of each tier carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .grid import APART, Grid, draw_chips, draw_lost, grid_of
from .layers import draw_layers, layers_height
from .loose import draw_loose
from .nodes import bandwidths, degraded, lost, plural
from .racks import draw_racks, racks_of
from .style import (
    CHIP_EDGE,
    CHIP_FACE,
    HALF,
    WIDTH,
    Panel,
    box,
    case_of,
    legend_columns,
    legend_height,
    tier_colours,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.network import Network
    from fabric.result import Result

F64 = NDArray[np.float64]

TITLE = 0.95  # cm
BULGE = 0.36  # of the arc of a link that wraps around, in steps of the grid


def panels(results: Sequence[Result]) -> list[Panel]:
    """A panel per distinct fabric, and a line on how to read the legends."""
    return [*(_panel(group) for group in fabrics(results)), Panel(_key, WIDTH, 0.5, bottom=0.25, top=0.0)]


def fabrics(results: Sequence[Result]) -> list[list[Result]]:
    """The results of each distinct fabric."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        network, graph = result.network, result.network.graph.graph
        arrays = (network.source, network.destination, network.capacity, network.tier)
        key = (graph.get("name"), graph.get("preset"), *(array.tobytes() for array in arrays), *network.tiers)
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def draw(results: Sequence[Result], axes: Axes) -> None:
    """The fabric of the first result, under the names of all cases that run on the same one."""
    group = fabrics(results)[0]
    network = group[0].network
    if (grid := grid_of(network)) is not None:
        _draw_grid(network, grid, axes)
    elif (racks := racks_of(network)) is not None:
        draw_racks(network, racks, axes)
    elif _is_layered(network):
        draw_layers(network, axes)
    else:
        draw_loose(network, axes)
    title(axes, "; ".join(dict.fromkeys(case_of(result) for result in group)), _detail(network))
    _legend(network, axes)


def _panel(group: list[Result]) -> Panel:
    network = group[0].network
    width, height = _size(network)
    below = legend_height(list(_labels(network).values()), width) + 0.35
    return Panel(partial(draw, group), width, height + TITLE + below, top=TITLE, bottom=below)


def _size(network: Network) -> tuple[float, float]:
    """cm, of the drawing alone"""
    if (grid := grid_of(network)) is not None:
        return grid.width, grid.height + (0.3 if grid.planes > 1 else 0.0)
    if (racks := racks_of(network)) is not None:
        return WIDTH, racks.height
    return (WIDTH, layers_height(network)) if _is_layered(network) else (HALF, HALF - 0.4)


def _is_layered(network: Network) -> bool:
    return network.ranks < network.nodes and racks_of(network) is None


def _detail(network: Network) -> str:
    graph = network.graph.graph
    name = " ".join(filter(None, (graph.get("name") or "a fabric without a name", graph.get("preset"))))
    counts = Counter(network.kind)
    text = f"{name}: {plural(network.ranks, network.kind[0])}"
    text += f", {plural(counts['nic'], 'NIC')}" if counts["nic"] else ""
    text += f", {plural(counts['switch'], 'switch')}" if counts["switch"] else ""
    slow, down = sum(0 < factor < 1 for _, _, factor in degraded(network)), len(lost(network))
    text += f", {plural(slow, 'link')} slowed" + " (thin)" * (grid_of(network) is not None) if slow else ""
    return text + (f", {plural(down, 'link')} down" + " (×)" * (not _is_layered(network)) if down else "")


def _key(axes: Axes) -> None:
    axes.set_axis_off()
    axes.text(0.0, 0.5, "number of links × bandwidth of each; the two directions are two links", color="0.35", va="center")


def _labels(network: Network) -> dict[str, str]:
    """Legend entry of each tier of links."""
    counts = np.bincount(network.tier[: network.links], minlength=len(network.tiers)).tolist()
    tiers = [(tier, name) for tier, name in enumerate(network.tiers) if counts[tier]]
    return {name: f"{name}: {counts[tier]:,} × {bandwidths(network, tier)}" for tier, name in tiers}


def _legend(network: Network, axes: Axes) -> None:
    from matplotlib.lines import Line2D

    labels = _labels(network)
    colours = dict(zip(network.tiers, tier_colours(network.tiers)))
    handles = [Line2D([], [], color=colours[name], linewidth=2.0) for name in labels]
    axes.legend(
        handles, list(labels.values()), ncols=legend_columns(list(labels.values()), _size(network)[0]), loc="upper left",
        bbox_to_anchor=(0.0, -0.1 / box(axes)[1]), handlelength=1.2,
    )  # fmt: skip


def _draw_grid(network: Network, grid: Grid, axes: Axes) -> None:
    from matplotlib.collections import LineCollection

    once = network.source < network.destination
    source, destination = network.source[once], network.destination[once]
    dimension, _, wraps = grid.ways(source, destination)
    colours = tier_colours(network.tiers)
    tier = network.tier[: network.links][once]
    centres = grid.centres
    flat = np.flatnonzero(dimension < 2)
    lines = [
        _arc(centres[source[link]], centres[destination[link]], int(dimension[link])) if wraps[link]
        else centres[[source[link], destination[link]]]
        for link in flat
    ]  # fmt: skip
    shades = [colours[tier[link]] for link in flat]
    capacity = network.capacity[: network.links]
    full = np.array([capacity[network.tier[: network.links] == index].max(initial=0.0) for index in range(len(colours))])
    widths = 1.3 * np.maximum(0.3, (capacity[once] / full[tier])[flat])
    axes.add_collection(LineCollection(lines, colors=shades, linewidths=widths, zorder=1))
    along_z = np.flatnonzero(dimension == 2)
    if len(along_z):
        _draw_hops(grid, colours[tier[along_z[0]]], bool(wraps[along_z].any()), axes)
    draw_chips(grid, axes, CHIP_FACE, CHIP_EDGE)
    draw_lost(grid, axes, lost(network))
    grid.frame(axes)


def _arc(start: F64, end: F64, dimension: int) -> F64:
    """A flat half ellipse from chip to chip, beside the chips between them."""
    angle = np.linspace(0.0, np.pi, 25)
    centre, reach = (start + end) / 2, np.abs(end - start).max() / 2
    along, beside = centre[dimension] - reach * np.cos(angle), centre[1 - dimension] - BULGE * np.sin(angle)
    return np.stack([along, beside] if dimension == 0 else [beside, along], axis=1)


def _draw_hops(grid: Grid, colour: str, wraps: bool, axes: Axes) -> None:
    """An arrow for all links from a plane to the next; one below the planes for those that wrap around."""
    middle = (grid.size[1] - 1) / 2
    right = grid.size[0] - 1
    arrow = {"arrowstyle": "<|-|>", "color": colour, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    corners = grid.corners
    for (x, y), (next_x, next_y) in pairwise(corners):
        if next_y == y:
            axes.annotate("", (next_x - 0.45, y + middle), (x + right + 0.26, y + middle), arrowprops=arrow)
    if wraps and grid.columns == grid.planes > 2:
        (x, y), last = corners[0], corners[-1][0]
        low = y + grid.size[1] - 1 + APART / 2
        axes.plot(
            [x + right / 2, x + right / 2, last + right / 2, last + right / 2],
            [low - 0.25, low, low, low - 0.25], color=colour, linewidth=1.6,
        )  # fmt: skip
