"""Recursive halving (reduce-scatter) and doubling (all-gather) on 2^L ranks: L steps each, S(n-1)/n bytes per rank.

In every step a rank exchanges with one partner half of what it still holds. The largest exchange goes over the cheapest
axis, so the order is by hops over bandwidth, and block r still ends at rank r. Thakur, Rabenseifner and Gropp,
"Optimization of collective communication operations in MPICH", 2005.
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

Order = Literal["gray", "plain"]


def all_reduce(layout: Layout, order: Order | None = None) -> Schedule:
    """All-reduce by recursive halving, then doubling.

    order: "gray": positions in the lines of a torus of 2s and 4s are numbered by Gray code, so that every exchange is over
        one link (default there); "plain": the partner in a dimension is coordinate xor 2^i (default elsewhere; without
        coordinates: rank xor 2^i).
    Raises NotApplicable where the ranks are not a power of two or "gray" has no such torus.
    """
    return _rdh("all_reduce", layout, order)


def all_gather(layout: Layout, order: Order | None = None) -> Schedule:
    """All-gather by recursive doubling; parameters as for `all_reduce`."""
    return _rdh("all_gather", layout, order)


def reduce_scatter(layout: Layout, order: Order | None = None) -> Schedule:
    """Reduce-scatter by recursive halving; parameters as for `all_reduce`."""
    return _rdh("reduce_scatter", layout, order)


def _rdh(collective: str, layout: Layout, order: Order | None) -> Schedule:
    n = layout.ranks
    if n & (n - 1):
        raise NotApplicable(f"rdh needs a power of two, not {n}")
    hypercube = bool(layout.dims) and set(layout.dims) <= {1, 2, 4}
    order = order or ("gray" if hypercube else "plain")
    if order not in ("gray", "plain"):
        raise InputError(unknown("order of rdh", order, ["gray", "plain"]))
    if order == "gray" and not hypercube:
        raise NotApplicable(f"rdh in gray order needs a torus of 2s and 4s, not {layout.dims or 'ranks without coordinates'}")
    grid = _hypercube(layout, gray=order == "gray")
    return lines.build(collective, "rdh", [grid], [1.0], [[-1] * grid.ndim], options={"order": order})


def _hypercube(layout: Layout, gray: bool) -> NDArray[np.int64]:
    """The ranks as a grid of twos, the cheapest exchange first."""
    dims = layout.dims or (layout.ranks,)
    # Without coordinates, or where a dimension has no link left, all count the same.
    bandwidth = layout.bandwidth if layout.bandwidth and min(layout.bandwidth) > 0 else (1.0,) * len(dims)
    cost = {}
    for dim, k in enumerate(dims):
        for bit in range(int(log2(k))):
            # A link carries as many messages as the partner is hops away; half of them where both ways are equally long.
            hops = 1.0 if gray else 2**bit / (2 if 2 ** (bit + 1) == k > 2 else 1)
            cost[dim, bit] = hops / bandwidth[dim]
    axes = sorted(cost, key=lambda axis: (cost[axis], axis[1], axis[0]))
    coordinates = np.unravel_index(np.arange(layout.ranks), dims, order="F")
    codes = [x ^ (x >> 1) if gray else x for x in coordinates]
    place = np.zeros(layout.ranks, dtype=np.int64)
    for dim, bit in axes:
        place = 2 * place + ((codes[dim] >> bit) & 1)
    return np.argsort(place).reshape((2,) * len(axes))
