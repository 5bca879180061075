"""Binomial trees for the collectives with a root: ⌈log2 n⌉ steps, in each of which a rank sends one message at most.

Ranks count from the root on. A rank v > 0 with lowest set bit 2^t hangs below v - 2^t and stands for the ranks from v to
v + 2^t - 1. From the root outwards the farthest ranks come first, so that the last messages, half of all, are to neighbours;
towards the root it is the same in reverse. Thakur, Rabenseifner and Gropp, "Optimization of collective communication
operations in MPICH", 2005.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..errors import InputError
from ..layout import Layout
from ..schedule import COPY, REDUCE, Schedule

I64 = NDArray[np.int64]


def broadcast(layout: Layout, root: int = 0) -> Schedule:
    """Broadcast from `root`: every rank that has the data passes it on. S bytes a message. InputError without that rank."""
    builder = Builder("broadcast", "tree", layout.ranks, np.ones(1), root=root)
    ranks = ranks_from(layout, root)
    for step, child in enumerate(reversed(_children(layout.ranks))):
        builder.add(ranks[child - child[0]], ranks[child], np.zeros_like(child), COPY, step, 0)
    return builder.build(root=root)


def reduce(layout: Layout, root: int = 0) -> Schedule:
    """Reduce to `root`: every rank sends on the sum of all below it, S bytes, and takes one such sum at a time."""
    builder = Builder("reduce", "tree", layout.ranks, np.ones(1), root=root)
    ranks = ranks_from(layout, root)
    for step, child in enumerate(_children(layout.ranks)):
        builder.add(ranks[child], ranks[child - child[0]], np.zeros_like(child), REDUCE, step, 0, ready=True)
    return builder.build(root=root)


def scatter(layout: Layout, root: int = 0) -> Schedule:
    """Scatter from `root`: a rank gets the blocks of all below it. The root sends S(n-1)/n bytes."""
    builder = Builder("scatter", "tree", layout.ranks, np.full(layout.ranks, 1 / layout.ranks), root=root)
    ranks = ranks_from(layout, root)
    for step, child in enumerate(reversed(_children(layout.ranks))):
        builder.add(ranks[child - child[0]], ranks[child], _below(child, ranks), COPY, step, 0)
    return builder.build(root=root)


def gather(layout: Layout, root: int = 0) -> Schedule:
    """Gather to `root`: every rank sends on the blocks of all below it. The root receives S(n-1)/n bytes."""
    builder = Builder("gather", "tree", layout.ranks, np.full(layout.ranks, 1 / layout.ranks), root=root)
    ranks = ranks_from(layout, root)
    for step, child in enumerate(_children(layout.ranks)):
        builder.add(ranks[child], ranks[child - child[0]], _below(child, ranks), COPY, step, 0)
    return builder.build(root=root)


def ranks_from(layout: Layout, root: int) -> I64:
    """All ranks in order, the root first; InputError where there is no such rank."""
    check_root(layout.ranks, root)
    return (np.arange(layout.ranks) + root) % layout.ranks


def check_root(ranks: int, root: int) -> None:
    """InputError where there is no such rank."""
    if not 0 <= root < ranks:
        raise InputError(f"root has to be one of the ranks 0..{ranks - 1}, not {root}")


def _children(ranks: int) -> list[I64]:
    """The places 2^t, 3·2^t, 5·2^t, ...: those that send or receive at the distance 2^t, for t = 0, 1, ..."""
    return [np.arange(1 << t, ranks, 2 << t) for t in range((ranks - 1).bit_length())]


def _below(child: I64, ranks: I64) -> I64:
    """[m, 2^t] the blocks of the ranks that each child stands for, -1 where there are no more."""
    place = child[:, np.newaxis] + np.arange(child[0])
    return np.where(place < len(ranks), ranks[place % len(ranks)], -1)
