"""Double binary tree: two trees over the machines, each for half the data; who has children in one has none in the other.

Sums go up and results come down at the same time, slice by slice (`slices`), so that no rank sends more than 2S, and a slice
takes about 2 log2 m hops. Inside a machine the data goes along a chain to the rank that speaks for it. Sanders, Speck and
Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", 2009; the trees are NCCL's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..layout import Layout
from ..schedule import COPY, REDUCE, Schedule
from . import ring
from .lines import check_count

I64 = NDArray[np.int64]


def all_reduce(layout: Layout) -> Schedule:
    """All-reduce by a pair of trees for every rank of a machine, which speaks for it in them; a single machine has one pair."""
    local = np.zeros(1, dtype=np.int64)
    if layout.inner is not None:
        local = ring.directed_rings(layout.inner, cycles=1, directions=1)[0]
    g = len(local)
    check_count("double_tree", layout.ranks, 4 * g * layout.ranks)
    builder = Builder("all_reduce", "double_tree", layout.ranks, np.ones(1), np.full(2 * g, 1 / (2 * g)))
    for part in range(2 * g):
        speaks, which = divmod(part, 2)
        _up_and_down(builder, _with_chains(trees(layout.ranks // g)[which], np.roll(local, -speaks)), part)
    return builder.build()


def trees(count: int) -> tuple[I64, I64]:
    """The parent of each of `count` machines in both trees, -1 for a root.

    The first tree is in order: the lowest set bit of a place is its height, and the parent is one bit up or, where there is
    no such place, all that is left of the higher bits. The second is its mirror image or, where their number is odd, the
    first with everybody's place taken by the next.

    >>> trees(4)
    (array([-1,  2,  0,  2]), array([ 1,  3,  1, -1]))
    """
    place = np.arange(count)
    bit = place & -place
    up = (place ^ bit) | (2 * bit)
    first = np.where(up < count, up, place ^ bit)
    first[0] = -1
    if count % 2:
        return first, np.roll(np.where(first < 0, -1, (first + 1) % count), 1)
    return first, np.where(first < 0, -1, count - 1 - first)[::-1]


def _with_chains(parent: I64, local: I64) -> I64:
    """A tree over machines as one over ranks: the first of `local` speaks, the others hang below it one after another."""
    g = len(local)
    chained = np.empty((len(parent), g), dtype=np.int64)
    chained[:, local[0]] = np.where(parent < 0, -1, parent * g + local[0])
    chained[:, local[1:]] = np.arange(len(parent))[:, np.newaxis] * g + local[:-1]
    return chained.ravel()


def _up_and_down(builder: Builder, parent: I64, part: int) -> None:
    """Sums from the leaves to the root, then copies back."""
    child = np.flatnonzero(parent >= 0)
    depth, ancestor = np.zeros(len(parent), dtype=np.int64), parent
    while (ancestor >= 0).any():
        depth += ancestor >= 0
        ancestor = np.where(ancestor < 0, -1, parent[ancestor])
    height, chunk = int(depth.max()), np.full_like(child, part)
    builder.add(child, parent[child], chunk, REDUCE, height - depth[child])
    builder.add(parent[child], child, chunk, COPY, height - 1 + depth[child])
