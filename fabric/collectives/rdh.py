"""Recursive halving (reduce-scatter) and doubling (all-gather) on 2^L ranks: L steps each, S(n-1)/n bytes per rank.

In every step a rank exchanges with one partner half of what it still holds. The largest exchange goes over the cheapest
axis, so the order is by hops over bandwidth, and block r still ends at rank r. Thakur, Rabenseifner and Gropp,
"Optimization of collective communication operations in MPICH", 2005.

Where every exchange is over one link, the axes have no link in common, and parts of the data that start on different axes
use all of them at the same time: S(n-1)/(Lnc) on equal links, the least possible, in L steps. That is how the rank groups
of AWS Neuron's RDH work (aws-neuron-sdk, intranode-collective-comm).
"""

from __future__ import annotations

from math import log2
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import Schedule
from . import lines
from .bucket import dimension_orders

Order = Literal["gray", "plain", "far"]
Start = Literal["all", "one"]
Axis = tuple[int, int]  # a dimension, and a bit of the coordinate in it

MOST_AXES = 6  # of unequal bandwidth: 720 orders


def all_reduce(layout: Layout, order: Order | None = None, start: Start | None = None) -> Schedule:
    """All-reduce by recursive halving, then doubling.

    order: "gray": positions in the lines of a torus of 2s and 4s are numbered by Gray code, so that every exchange is over
        one link (default there); "plain": the partner in a dimension is coordinate xor 2^i (default elsewhere; without
        coordinates: rank xor 2^i); "far": the same with the farthest partner first, as in textbooks, so that a rank always
        holds blocks of consecutive ranks.
    start: "one": all data on the same axis in each step, the cheapest first (default of "plain" and "far"); "all": as many
        parts as there are axes ("gray", default there; weighted where their bandwidths differ) or dimensions (else), each
        of which starts on another one.
    Raises NotApplicable where the ranks are not a power of two or "gray" has no such torus.
    """
    return _rdh("all_reduce", layout, order, start)


def all_gather(layout: Layout, order: Order | None = None, start: Start | None = None) -> Schedule:
    """All-gather by recursive doubling; parameters as for `all_reduce`."""
    return _rdh("all_gather", layout, order, start)


def reduce_scatter(layout: Layout, order: Order | None = None, start: Start | None = None) -> Schedule:
    """Reduce-scatter by recursive halving; parameters as for `all_reduce`."""
    return _rdh("reduce_scatter", layout, order, start)


def _rdh(collective: str, layout: Layout, order: Order | None, start: Start | None) -> Schedule:
    n = layout.ranks
    if n & (n - 1):
        raise NotApplicable(f"rdh needs a power of two, not {n}")
    hypercube = bool(layout.dims) and set(layout.dims) <= {1, 2, 4}
    order = order or ("gray" if hypercube else "plain")
    if order not in ("gray", "plain", "far"):
        raise InputError(unknown("order of rdh", order, ["gray", "plain", "far"]))
    if order == "gray" and not hypercube:
        raise NotApplicable(f"rdh in gray order needs a torus of 2s and 4s, not {layout.dims or 'ranks without coordinates'}")
    start = start or ("all" if order == "gray" else "one")
    if start not in ("all", "one"):
        raise InputError(unknown("start of rdh", start, ["all", "one"]))
    dims = layout.dims or (n,)
    # Without coordinates, or where a dimension has no link left, all count the same.
    bandwidth = layout.bandwidth if layout.bandwidth and min(layout.bandwidth) > 0 else (1.0,) * len(dims)
    cheapest = _cheapest_first(dims, bandwidth, gray=order == "gray")
    parts = {tuple(cheapest): 1.0}
    if start == "all" and cheapest:
        parts = _by_axis(cheapest, bandwidth) if order == "gray" else _by_dimension(cheapest, len(dims))
    if order == "far":
        parts = {axes[::-1]: share for axes, share in parts.items()}
    grids = [_grid(dims, axes, gray=order == "gray") for axes in parts]
    one = order != "gray" or len(parts) == 1
    lanes = [[-1 if one else cheapest.index(axis) for axis in axes] for axes in parts]
    options = {"order": order, "start": start}
    symmetry = (("xor", n),)  # a Gray code is linear too
    return lines.build(collective, "rdh", grids, list(parts.values()), lanes, symmetry=symmetry, options=options)


def _cheapest_first(dims: tuple[int, ...], bandwidth: tuple[float, ...], *, gray: bool) -> list[Axis]:
    cost = {}
    for dim, k in enumerate(dims):
        for bit in range(int(log2(k))):
            # A link carries as many messages as the partner is hops away; half of them where both ways are equally long.
            hops = 1.0 if gray else 2**bit / (2 if 2 ** (bit + 1) == k > 2 else 1)
            cost[dim, bit] = hops / bandwidth[dim]
    return sorted(cost, key=lambda axis: (cost[axis], axis[1], axis[0]))


def _by_axis(axes: list[Axis], bandwidth: tuple[float, ...]) -> dict[tuple[Axis, ...], float]:
    """The shares of orders of the axes, each a dimension of two ranks with links of its own."""
    rates = tuple(bandwidth[dim] for dim, _ in axes)
    if len(axes) > MOST_AXES:
        rates = (1.0,) * len(axes)
    shares = dimension_orders((2,) * len(axes), rates)
    return {tuple(axes[i] for i in order): share for order, share in shares.items()}


def _by_dimension(axes: list[Axis], dims: int) -> dict[tuple[Axis, ...], float]:
    """Equal shares: part d takes the dimensions in turn from d on, in each the next bit."""
    turns = [tuple(sorted(axes, key=lambda axis: (axis[1], (axis[0] - first) % dims))) for first in range(dims)]
    return {turn: turns.count(turn) / dims for turn in turns}


def _grid(dims: tuple[int, ...], axes: tuple[Axis, ...], *, gray: bool) -> NDArray[np.int64]:
    """The ranks as a grid of twos."""
    coordinates = np.unravel_index(np.arange(int(np.prod(dims))), dims, order="F")
    place = np.zeros(int(np.prod(dims)), dtype=np.int64)
    for dim, bit in axes:
        code = coordinates[dim] ^ (coordinates[dim] >> 1) if gray else coordinates[dim]
        place = 2 * place + ((code >> bit) & 1)
    return np.argsort(place).reshape((2,) * len(axes))
