"""PAT, parallel aggregated trees: Bruck with the far partners first, so that the large messages go to near ones; any n.

The block of rank o comes to rank o - s from rank o - s + 2^d, where 2^d is the lowest set bit of s: a binomial tree for each
block, whose last hops are to neighbours. A message carries at most A blocks whose s differ by multiples of 2^⌈log2 n⌉ / A; it
takes log2 A + 2^⌈log2 n⌉ / A - 1 messages, one after another, and S(n-1)/n bytes per rank. Reduce-scatter is the same in
reverse, and all-reduce is the one after the other. Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter
operations at scale", 2025.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..errors import InputError
from ..layout import Layout
from ..schedule import COPY, REDUCE, Schedule
from .lines import check_count

I64 = NDArray[np.int64]


def all_gather(layout: Layout, aggregation: int | None = None) -> Schedule:
    """All-gather by aggregated trees.

    aggregation: most blocks of a message, a power of two; what is above half of the ranks, and None, is all that fit.
    Raises InputError for another number.
    """
    return _pat("all_gather", layout, aggregation)


def reduce_scatter(layout: Layout, aggregation: int | None = None) -> Schedule:
    """Reduce-scatter by the same trees in reverse; parameters as for `all_gather`."""
    return _pat("reduce_scatter", layout, aggregation)


def all_reduce(layout: Layout, aggregation: int | None = None) -> Schedule:
    """All-reduce in twice as many messages and bytes as reduce-scatter and all-gather take; parameters as for `all_gather`."""
    return _pat("all_reduce", layout, aggregation)


def messages(ranks: int, aggregation: int | None = None) -> list[I64]:
    """For each message of an all-gather in turn the places s to which it brings blocks, over the lowest set bit of s.

    At first the multiples of a period, with more blocks each time; then those and what lies between, at most `aggregation`
    (a power of two) at a time.
    """
    power = 1 << (ranks - 1).bit_length()
    period = power // _most(ranks, aggregation)
    places = [np.arange(hop, power, 2 * hop) for hop in _halves(power) if hop >= period]
    places += [np.arange(first, power, period) for hop in _halves(period) for first in range(hop, period, 2 * hop)]
    return [found[found < ranks] for found in places if found[0] < ranks]


def _pat(collective: str, layout: Layout, aggregation: int | None) -> Schedule:
    n = layout.ranks
    if aggregation is not None and (aggregation < 1 or aggregation & (aggregation - 1)):
        raise InputError(f"pat: aggregation has to be a power of two, not {aggregation}")
    most = _most(n, aggregation)
    spread = messages(n, aggregation)
    check_count("pat", n, 2 * n * len(spread))
    ranks, step = np.arange(n), 0
    builder = Builder(collective, "pat", n, np.full(n, 1 / n), symmetry=(("shift", n),))
    for places in reversed(spread) if collective != "all_gather" else ():
        builder.add(ranks, (ranks + hop_of(places)) % n, (ranks[:, np.newaxis] + places) % n, REDUCE, step, 0)
        step += 1
    for places in spread if collective != "reduce_scatter" else ():
        hop = hop_of(places)
        builder.add(ranks, (ranks - hop) % n, (ranks[:, np.newaxis] + places - hop) % n, COPY, step, 0)
        step += 1
    return builder.build(aggregation=most)


def hop_of(places: I64) -> int:
    """How far the blocks of a message go."""
    return int(places[0] & -places[0])


def _most(ranks: int, aggregation: int | None) -> int:
    power = 1 << (ranks - 1).bit_length()
    return min(aggregation or power, max(power // 2, 1))


def _halves(power: int) -> list[int]:
    """power / 2, power / 4, ..., 1."""
    return [power >> i for i in range(1, power.bit_length())]
