"""A fabric of chips alone that has no grid: a hypercube projected, others as springs or a circle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .nodes import lost
from .style import CHIP_EDGE, CHIP_FACE, canvas, crosses, tier_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.network import Network

F64 = NDArray[np.float64]

LARGEST_SPRING = 150  # nodes; larger fabrics are drawn as a circle
MOST_NUMBERS = 40
FEW_LINKS = 300
AROUND = 0.08  # for the chips at the edge of the square


def draw_loose(network: Network, axes: Axes) -> None:
    """Links as straight lines; chips with their rank where there are few."""
    from matplotlib.collections import LineCollection

    place = places(network) + AROUND
    once = network.source < network.destination
    lines = place[np.stack([network.source[once], network.destination[once]], axis=1)]
    colours = tier_colours(network.tiers)
    shades = [colours[tier] for tier in network.tier[: network.links][once].tolist()]
    width = 0.8 if len(lines) < FEW_LINKS else 0.4
    canvas(axes, 1 + 2 * AROUND, 1 + 2 * AROUND)
    axes.add_collection(LineCollection(list(lines), colors=shades, linewidths=width, zorder=1))
    numbered = network.nodes <= MOST_NUMBERS
    x, y = place.T
    axes.scatter(x, y, s=130 if numbered else 14, facecolors=CHIP_FACE, edgecolors=CHIP_EDGE, linewidths=0.5, zorder=2)
    for node in range(network.nodes if numbered else 0):
        axes.text(x[node], y[node], str(node), ha="center", va="center_baseline", zorder=3)
    crosses(axes, [place[list(link)].mean(axis=0) for link in lost(network)])


def places(network: Network) -> F64:
    """[N, 2] of the chips, in a square of side 1."""
    place = _hypercube(network) if network.graph.graph.get("shape") == "hypercube" else _layout(network)
    low, high = place.min(axis=0), place.max(axis=0)
    scaled: F64 = (place - (low + high) / 2) / max(float((high - low).max()), 1e-9) + 0.5
    return scaled


def _layout(network: Network) -> F64:
    import networkx as nx

    full = network.links == network.nodes * (network.nodes - 1)
    if full or network.nodes > LARGEST_SPRING:
        found = nx.circular_layout(network.graph)
    else:
        found = nx.spring_layout(network.graph, seed=1)
    return np.array([found[node] for node in range(network.nodes)], dtype=np.float64)


def _hypercube(network: Network) -> F64:
    """The projection with steps of equal angles; their lengths differ a little, so that no two chips meet."""
    bits = np.array([network.graph.nodes[node]["coord"] for node in range(network.nodes)], dtype=np.float64)
    turn = np.arange(bits.shape[1])
    angle, length = np.pi * turn / len(turn), 1.0 + 0.12 * turn
    place: F64 = bits @ (np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None])
    return place
