"""Optimal: schedules made for one fabric, whatever its shape, from trees that use it as well as anything can.

all_gather and reduce_scatter take the least time that any schedule needs, all_reduce twice that, or less where roots of
their own for the sums are better (`roots`). Switches, replica groups and lost links are all one: what counts is the capacities.
`packing` finds the trees, `timing` the step of every hop. The hops of one step over the same way are one transfer, and
transfers leave by one link in the order of their steps. Trees are kept on disk, and their certificate is checked again.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import cache
from ..bounds.allgather import reach, worst_cut
from ..errors import InputError, InternalError
from ..layout import NotApplicable
from ..schedule import COPY, REDUCE, Builder, FixedRoutes, Schedule, pointers
from .hops import Wires
from .packing import Demand, Forest, Progress, demand_for, pack, stored
from .roots import best_rates
from .timing import Timing, choose_timing

if TYPE_CHECKING:
    from ..network import Network

I64 = NDArray[np.int64]

HOPS = 450_000
"""Of all trees together, at most: trees get coarser, and the schedule short of the optimum, where more would be needed."""
VERSION = 1
"""Of what the cache holds."""


def all_gather(network: Network, ranks: I64, progress: Progress, slices: int | None = None) -> Schedule:
    """All-gather in the least time there is. network, ranks: the fabric and its ranks that take part, in their order.

    slices: into how many each tree's data is cut; None = as many as keep all links busy, at most 8.
    Raises NotApplicable where no trees are found, InputError for less than one slice.
    """
    return _one_way("all_gather", network, ranks, progress, slices)


def reduce_scatter(network: Network, ranks: I64, progress: Progress, slices: int | None = None) -> Schedule:
    """Reduce-scatter in the least time there is; parameters as for `all_gather`."""
    return _one_way("reduce_scatter", network, ranks, progress, slices)


def all_reduce(network: Network, ranks: I64, progress: Progress, slices: int | None = None) -> Schedule:
    """All-reduce along trees that collect, then trees that spread, from the same roots; parameters as for `all_gather`."""
    _check(network, ranks, slices)
    wires = Wires.of(network, ranks)
    equal = min(_equal_rate(network, wires), _equal_rate(network, wires.turn()))
    progress("optimal: rates of the roots")
    demand = _feasible(wires, best_rates(wires, equal))
    dims = _dims(network, ranks)
    try:
        forests = [_grown(side, demand, dims, progress) for side in (wires.turn(), wires)]
    except NotApplicable:
        demand = _feasible(wires, [equal] * len(ranks))
        forests = [_grown(side, demand, dims, progress) for side in (wires.turn(), wires)]
    count = max(choose_timing(forest, slices).slices for forest in forests)
    timings = [choose_timing(forest, count) for forest in forests]
    trees = int(demand.roots.sum())
    builder = Builder("all_reduce", "optimal", len(ranks), np.full(trees, 1 / trees), np.full(count, 1 / count))
    return _schedule(builder, list(zip(forests, timings)), np.arange(trees))


def _one_way(collective: str, network: Network, ranks: I64, progress: Progress, slices: int | None) -> Schedule:
    _check(network, ranks, slices)
    wires = Wires.of(network, ranks)
    if collective == "reduce_scatter":
        wires = wires.turn()
    demand = _feasible(wires, [_equal_rate(network, wires)] * len(ranks))
    forest = _grown(wires, demand, _dims(network, ranks), progress)
    timing = choose_timing(forest, slices)
    count, trees = len(ranks), int(demand.roots[0])
    parts = np.full(trees * timing.slices, 1 / (trees * timing.slices))
    builder = Builder(collective, "optimal", count, np.full(count, 1 / count), parts)
    return _schedule(builder, [(forest, timing)], np.arange(count * trees))
