"""A fabric with switches drawn in layers: chips or machines at the bottom, switches above them by distance.

Large layers are drawn as boxes that stand for several switches. Lengths in cm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .nodes import levels, machines, plural, words
from .style import CHIP_EDGE, CHIP_FACE, WIDTH, canvas, tier_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.network import Network

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

LEFT = 2.6  # for the names of the layers
RIGHT = WIDTH - 0.4
APART = 1.75
BOX = 0.4  # height of a switch
MACHINE = 0.8  # height of a machine
MOST_BOXES = 32
MOST_CHIPS = 144
MOST_LINES = 150  # between two layers, before each-to-each links become a band


@dataclass(frozen=True, eq=False)
class Layer:
    """nodes: [..] of this layer; box: the box that each is drawn in; boxes: how many there are."""

    name: str
    nodes: I64
    box: I64
    boxes: int

    def centre(self, box: I64 | int) -> F64:
        """x of a box."""
        return LEFT + (np.asarray(box) + 0.5) * (RIGHT - LEFT) / self.boxes

    @property
    def half(self) -> float:
        """Half the width of a box."""
        return float(min(0.7, 0.4 * (RIGHT - LEFT) / self.boxes))


def layers_of(network: Network) -> list[Layer]:
    """From the bottom. Nodes inside a machine of a cluster are one box."""
    machine, level = machines(network), levels(network)
    level = np.where(machine >= 0, 0, level)
    word = words(network)
    return [_layer(np.flatnonzero(level == value), network, machine, word) for value in np.unique(level).tolist()]


def _layer(nodes: I64, network: Network, machine: I64, word: list[str]) -> Layer:
    if machine[nodes[0]] >= 0:
        count = int(machine.max()) + 1
        boxes = _boxes(count, MOST_BOXES)
        chips = network.ranks // count
        per = f"\n{-(-count // boxes)} per box" if boxes < count else ""
        name = f"{plural(count, 'machine')}\nof {plural(chips, network.kind[0])}{per}"
        return Layer(name, nodes, _deal(machine[nodes], count, boxes), boxes)
    boxes = _boxes(len(nodes), MOST_CHIPS if nodes[0] < network.ranks else MOST_BOXES)
    names = list(dict.fromkeys(word[node] for node in nodes.tolist()))
    per = f"\n{-(-len(nodes) // boxes)} per box" if boxes < len(nodes) else ""
    name = plural(len(nodes), names[0]) if len(names) == 1 else f"{len(nodes):,} nodes"
    return Layer(name + per, nodes, _deal(np.arange(len(nodes)), len(nodes), boxes), boxes)


def _boxes(count: int, most: int) -> int:
    """The number of boxes: equal shares if one of at least half of `most` is possible."""
    if count <= most:
        return count
    return next((boxes for boxes in range(most, most // 2, -1) if count % boxes == 0), most)


def _deal(index: I64, count: int, boxes: int) -> I64:
    return index * boxes // count


def layers_height(network: Network) -> float:
    """cm"""
    return (len(layers_of(network)) - 1) * APART + MACHINE / 2 + BOX / 2 + 0.2


def draw_layers(network: Network, axes: Axes) -> None:
    """Draw the links between layers as one line for each pair of boxes, then the boxes."""
    layers, machine = layers_of(network), machines(network)
    layer_of = np.empty(network.nodes, dtype=np.int64)
    box_of = np.empty(network.nodes, dtype=np.int64)
    for index, layer in enumerate(layers):
        layer_of[layer.nodes], box_of[layer.nodes] = index, layer.box
    _draw_links(network, layers, layer_of, box_of, axes)
    for index, layer in enumerate(layers):
        _draw_boxes(layer, index, axes)
        if machine[layer.nodes[0]] >= 0:
            _draw_inside(network, layer, machine, axes)
        axes.text(0.0, _y(index), layer.name, va="center", ha="left", linespacing=1.25)
    canvas(axes, WIDTH - 0.4, layers_height(network), low=-MACHINE / 2 - 0.1)


def _y(layer: int) -> float:
    return layer * APART


def _draw_links(network: Network, layers: list[Layer], layer_of: I64, box_of: I64, axes: Axes) -> None:
    """A line for each pair of boxes that have links; a band where too many boxes are linked each to each."""
    a, b = network.source, network.destination
    once = (a < b) & ((layer_of[a] != layer_of[b]) | (box_of[a] != box_of[b]))
    keys = np.stack([network.tier[: network.links], layer_of[a], layer_of[b], box_of[a], box_of[b]], axis=1)
    keys = np.unique(keys[once], axis=0)
    colours = tier_colours(network.tiers)
    for tier, low, high in np.unique(keys[:, :3], axis=0).tolist():
        pairs = keys[(keys[:, :3] == (tier, low, high)).all(axis=1), 3:]
        x, ends = layers[low].centre(pairs[:, 0]), layers[high].centre(pairs[:, 1])
        here = once & (layer_of[a] == low) & (layer_of[b] == high)
        each_to_each = here.sum() == len(layers[low].nodes) * len(layers[high].nodes)
        draw = _draw_band if each_to_each and len(pairs) > MOST_LINES else _draw_lines
        draw(x, ends, _y(low), _y(high), colours[tier], axes)


def _draw_lines(x: F64, ends: F64, low: float, high: float, colour: str, axes: Axes) -> None:
    from matplotlib.collections import LineCollection

    lines = [[(start, low), (end, high)] for start, end in zip(x.tolist(), ends.tolist())]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.8 if len(lines) <= MOST_LINES else 0.3, zorder=1))


def _draw_band(x: F64, ends: F64, low: float, high: float, colour: str, axes: Axes) -> None:
    corners = [x.min(), x.max(), ends.max(), ends.min()]
    axes.fill(corners, [low, low, high, high], facecolor=colour, edgecolor=colour, alpha=0.3, linewidth=0.8, zorder=1)
    axes.text(float(np.mean(corners)), (low + high) / 2, "each to each", ha="center", va="center", zorder=4)


def _draw_inside(network: Network, layer: Layer, machine: I64, axes: Axes) -> None:
    """A stripe in each machine for every tier inside it."""
    from matplotlib.collections import PolyCollection

    inside = (machine[network.source] >= 0) & (machine[network.destination] >= 0)
    tiers = np.unique(network.tier[: network.links][inside]).tolist()
    colours = tier_colours(network.tiers)
    high = MACHINE / (len(tiers) + 1)
    for index, tier in enumerate(tiers):
        y = MACHINE / 2 - (index + 1) * high
        wide = 0.65 * layer.half
        shapes = [
            [(x - wide, y - 0.04), (x + wide, y - 0.04), (x + wide, y + 0.04), (x - wide, y + 0.04)]
            for x in layer.centre(np.arange(layer.boxes)).tolist()
        ]
        axes.add_collection(PolyCollection(shapes, facecolors=colours[tier], edgecolors="none", zorder=4))


def _draw_boxes(layer: Layer, index: int, axes: Axes) -> None:
    from matplotlib.collections import PolyCollection

    high = (MACHINE if "machine" in layer.name else min(BOX, 2 * layer.half) if index == 0 else BOX) / 2
    x, y = layer.centre(np.arange(layer.boxes)), _y(index)
    shape = np.array([[-layer.half, -high], [layer.half, -high], [layer.half, high], [-layer.half, high]])
    corners = [np.array([centre, y]) + shape for centre in x]
    face = CHIP_FACE if index == 0 else "white"
    axes.add_collection(PolyCollection(corners, facecolors=face, edgecolors=CHIP_EDGE, linewidths=0.6, zorder=3))
