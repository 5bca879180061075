"""Symmetry that lets a schedule be proved on the chunks of one rank: it is checked here, never taken for granted.

A schedule may name a group of permutations of its ranks, of which for each rank b exactly one takes rank 0 to b (see
`Schedule.symmetry`). Where every one of them maps the schedule onto itself (its transfers, what they carry and what they
wait for), it takes the proof of rank 0's chunks to that of rank b's, and these are all chunks.

Seen from its own source a transfer is then like one of rank 0: for all ranks b the list of b's transfers must be the same
once each rank a in it is written as the one that b's permutation takes to a. As the permutations are a group, this suffices.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..csr import ranges
from ..schedule import PERSONAL, Schedule, Symmetry

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

_CELLS = 1 << 20  # entries at a time


def relative(symmetry: Symmetry) -> I32:
    """[n, n] for each rank b and each rank a, the rank that b's permutation takes to a.

    symmetry: of each dimension, the first running fastest, its size and one of
        shift   b's permutation is x -> x + b, modulo the size
        xor     x -> x xor b; the size is a power of two
        mirror  x -> x + b for even b, b - x for odd b, modulo the size, which is even
    Each is a group whose permutation b takes 0 to b; several dimensions are their direct product.
    """
    table = np.zeros((1, 1), dtype=np.int32)
    for kind, size in symmetry:
        b, a = np.ogrid[:size, :size]
        way = np.where((kind == "mirror") & (b % 2 == 1), -1, 1)
        mine = a ^ b if kind == "xor" else (a - b) * way % size
        inner = len(table)
        both = table[np.newaxis, :, np.newaxis, :] + inner * mine[:, np.newaxis, :, np.newaxis].astype(np.int32)
        table = both.reshape(inner * size, inner * size)
    return table


def is_symmetric(schedule: Schedule) -> bool:
    """Whether the permutations that a schedule names map it onto itself.

    They map the block of a rank to that of another; the one block of an all_reduce, if it has no more, stays. A collective
    with a root has none.
    """
    n = schedule.ranks
    blocks = {"all_reduce": (1, n), "all_gather": (n,), "reduce_scatter": (n,), **dict.fromkeys(PERSONAL, (n * n,))}
    if not schedule.symmetry or prod(size for _, size in schedule.symmetry) != n or schedule.transfers % n:
        return False
    if len(schedule.blocks) not in blocks.get(schedule.collective, ()) or (schedule.blocks != schedule.blocks[0]).any():
        return False
    if schedule.parts.ndim > 1 or not schedule.transfers:
        return False
    table = relative(schedule.symmetry)
    order, place = _orbits(schedule, table)
    return len(order) > 0 and _chunks_agree(schedule, table, order) and _waits_agree(schedule, table, order, place)


def _orbits(schedule: Schedule, table: I32) -> tuple[I64, I64]:
    """The transfers source by source, those of each source in the same order; [T] the place of each in that order.

    Empty where no order makes them alike.
    """
    first = schedule.chunk_ids[schedule.chunk_ptr[:-1]].astype(np.int64)
    columns = np.stack(
        (
            schedule.step,
            schedule.channel,
            schedule.operation,
            table[schedule.source, schedule.destination],
            np.diff(schedule.chunk_ptr),
            np.diff(schedule.wait_ptr),
            first % schedule.parts.shape[-1],
        )
    )
    order = np.lexsort((*columns[::-1], schedule.source))
    each = schedule.transfers // schedule.ranks
    rows = columns[:, order].reshape(len(columns), schedule.ranks, each)
    counts = np.bincount(schedule.source, minlength=schedule.ranks)
    if (counts != each).any() or (rows != rows[:, :1]).any():
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    place = np.empty_like(order)
    place[order] = np.tile(np.arange(each), schedule.ranks)
    return order, place


def _chunks_agree(schedule: Schedule, table: I32, order: I64) -> bool:
    """Whether the transfers of all ranks carry the same, seen from their sources."""
    parts, n = schedule.parts.shape[-1], schedule.ranks

    def seen(source: I32, chunk: I32) -> I64:
        if len(schedule.blocks) == 1:
            return chunk.astype(np.int64)
        block, part = np.divmod(chunk, parts)
        if schedule.collective in PERSONAL:
            owner, block = np.divmod(block, n)
            return np.asarray((table[source, owner] * np.int64(n) + table[source, block]) * parts + part)
        return np.asarray(table[source, block] * np.int64(parts) + part)

    return _agree(schedule, order, schedule.chunk_ptr, schedule.chunk_ids, schedule.chunks, seen)


def _waits_agree(schedule: Schedule, table: I32, order: I64, place: I64) -> bool:
    """Whether the transfers of all ranks wait for the same, seen from their sources."""
    each = schedule.transfers // schedule.ranks

    def seen(source: I32, wait: I32) -> I64:
        return np.asarray(table[source, schedule.source[wait]] * np.int64(each) + place[wait])

    return _agree(schedule, order, schedule.wait_ptr, schedule.wait_ids, schedule.transfers, seen)


def _agree(schedule: Schedule, order: I64, ptr: I64, ids: I32, span: int, seen: Callable[[I32, I32], I64]) -> bool:
    """Whether the rows of a CSR list are the same for all sources, their entries as `seen` from there, below `span`."""
    n, each, length = schedule.ranks, schedule.transfers // schedule.ranks, len(ids) // schedule.ranks
    first: I64 | None = None
    some = max(1, _CELLS // max(length, 1))
    for rank in range(0, n, some):
        rows = order[rank * each : (rank + some) * each]
        counts = ptr[rows + 1] - ptr[rows]
        row = np.repeat(np.tile(np.arange(each), len(rows) // each), counts)
        source = np.repeat(schedule.source[rows], counts)
        values = row * span + seen(source, ids[ranges(ptr[rows], ptr[rows + 1])])
        values = np.sort(values.reshape(len(rows) // each, length), axis=1)
        first = values[0] if first is None else first
        if (values != first).any():
            return False
    return True
