"""Butterflies: log2 n rounds in each of which every rank exchanges with one partner; doubling and swing differ in whom.

Partners are given as one array for each round, the partner's place by place; it is mutual. On a torus the rounds take the
dimensions in turn, each with one more of its log2 k local steps, and several parts of the data start in different ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..schedule import COPY, REDUCE

I64 = NDArray[np.int64]
Rounds = Sequence[I64]
Along = Callable[[I64, int, int], I64]  # (coordinates, k, local step) -> the partners' coordinates


def rounds(dims: tuple[int, ...], first: int, along: Along) -> Rounds:
    """[n] partners of each round on a torus whose dimensions are powers of two, starting with dimension `first`."""
    steps = [(step, (dim - first) % len(dims), dim) for dim, k in enumerate(dims) for step in range(k.bit_length() - 1)]
    ranks = np.arange(int(np.prod(dims))).reshape(dims, order="F")
    found = []
    for step, _, dim in sorted(steps):
        there = along(np.arange(dims[dim]), dims[dim], step)
        found.append(ranks.take(there, axis=dim).ravel(order="F"))
    return found


def all_reduce(builder: Builder, ranks: I64, partners: Rounds, part: int, step: int) -> int:
    """In each round both partners send each other all of a part and add; returns the step after them."""
    for number, partner in enumerate(partners):
        builder.add(ranks, ranks[partner], np.full_like(ranks, part), REDUCE, step + number, ready=True)
    return step + len(partners)


def reduce_scatter(builder: Builder, partners: Rounds, part: int, step: int) -> int:
    """In each round a rank sends what its partner keeps: half of what it still has; returns the step after them."""
    ranks = np.arange(len(partners[0]))
    kept = [ranks[:, np.newaxis]]  # after the last round, before it, ...
    for partner in partners[:0:-1]:
        kept.append(np.concatenate((kept[-1], kept[-1][partner]), axis=1))
    for number, partner in enumerate(partners):
        builder.add(ranks, partner, kept.pop()[partner] * len(builder.parts) + part, REDUCE, step + number)
    return step + len(partners)


def all_gather(builder: Builder, ranks: I64, partners: Rounds, held: I64, part: int, step: int) -> int:
    """In each round both partners send each other all they have, at first the blocks `held` [n, k] (-1 for none)."""
    for number, partner in enumerate(partners):
        chunks = np.where(held < 0, -1, held * len(builder.parts) + part)
        builder.add(ranks, ranks[partner], chunks, COPY, step + number)
        held = np.concatenate((held, held[partner]), axis=1)
    return step + len(partners)
