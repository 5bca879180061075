"""The collectives with a root, directly, and permute: one step, in which the root talks to all others at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..errors import InputError
from ..layout import Layout
from ..schedule import COPY, REDUCE, Schedule
from .lines import check_count
from .tree import ranks_from

I64 = NDArray[np.int64]


def broadcast(layout: Layout, root: int = 0) -> Schedule:
    """Broadcast from `root`, which sends S(n-1) bytes. InputError without that rank."""
    builder = Builder("broadcast", "direct", layout.ranks, np.ones(1), root=root)
    others = ranks_from(layout, root)[1:]
    builder.add(np.full_like(others, root), others, np.zeros_like(others), COPY, 0)
    return builder.build(root=root)


def reduce(layout: Layout, root: int = 0) -> Schedule:
    """Reduce to `root`, which receives S(n-1) bytes. InputError without that rank."""
    builder = Builder("reduce", "direct", layout.ranks, np.ones(1), root=root)
    others = ranks_from(layout, root)[1:]
    builder.add(others, np.full_like(others, root), np.zeros_like(others), REDUCE, 0)
    return builder.build(root=root)


def scatter(layout: Layout, root: int = 0) -> Schedule:
    """Scatter from `root`, which sends S(n-1)/n bytes. InputError without that rank."""
    builder = Builder("scatter", "direct", layout.ranks, np.full(layout.ranks, 1 / layout.ranks), root=root)
    others = ranks_from(layout, root)[1:]
    builder.add(np.full_like(others, root), others, others, COPY, 0)
    return builder.build(root=root)


def gather(layout: Layout, root: int = 0) -> Schedule:
    """Gather to `root`, which receives S(n-1)/n bytes. InputError without that rank."""
    builder = Builder("gather", "direct", layout.ranks, np.full(layout.ranks, 1 / layout.ranks), root=root)
    others = ranks_from(layout, root)[1:]
    builder.add(others, np.full_like(others, root), others, COPY, 0)
    return builder.build(root=root)


def permute(layout: Layout, to: tuple[int, ...] | None = None) -> Schedule:
    """Every rank sends its S bytes to one rank.

    to: the destination of each rank, a permutation; None = the next rank, the first after the last.
    Raises InputError where it is no permutation.
    """
    n = layout.ranks
    check_count("direct", n, n * n)  # blocks
    ranks = np.arange(n)
    there = (ranks + 1) % n if to is None else np.asarray(to, dtype=np.int64)
    if sorted(there.tolist()) != ranks.tolist():
        raise InputError(f"permute on {n} ranks needs each of 0..{n - 1} once as a destination, not {list(to or ())}")
    blocks = np.zeros(n * n)
    blocks[ranks * n + there] = 1.0
    builder = Builder("permute", "direct", n, blocks)
    moving = ranks[there != ranks]
    builder.add(moving, there[moving], (ranks * n + there)[moving], COPY, 0)
    return builder.build(to=tuple(there.tolist()))
