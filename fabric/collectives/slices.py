"""Slices: any schedule cut so that it pipelines, each hop carrying another slice of the data at the same time.

Every transfer becomes `count` of them that go one after another. A slice waits for the same slice of what the whole waited
for; a transfer that follows another of its channel starts when the last slice of that has gone. Where ranks exchange the same
chunks (`ready`), a slice also waits until the slice before it has left its destination, or its sum could come too early.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..layout import NotApplicable
from ..schedule import Schedule, pointers, ranges
from ..waits import cells
from .lines import check_count

I64 = NDArray[np.int64]


def sliced(schedule: Schedule, count: int) -> Schedule:
    """The same schedule in `count` equal slices, which its options then name; one slice is the schedule itself.

    Raises InputError for less than one slice or a folded schedule, NotApplicable where it takes too many transfers or more
    than two ranks exchange the same chunks in one step.
    """
    if count < 1:
        raise InputError(f"slices has to be at least 1, not {count}")
    if count == 1 or not schedule.transfers:
        return schedule
    if schedule.multiplicity is not None or schedule.repeat is not None:
        raise InputError("a folded schedule cannot be cut into slices")
    check_count(schedule.algorithm, schedule.ranks, schedule.transfers * count, len(schedule.wait_ids) * count)
    lengths = np.diff(schedule.chunk_ptr)
    number, length = np.tile(np.arange(count), schedule.transfers), np.repeat(lengths, count)
    # Part p of a block becomes the parts p * count, p * count + 1, ...
    first = np.repeat(schedule.chunk_ptr[:-1], count)
    chunks = schedule.chunk_ids[ranges(first, first + length)].astype(np.int64) * count + np.repeat(number, length)
    waits = np.unique(_waits(schedule, count))
    rows, ids = np.divmod(waits, schedule.transfers * count)

    def each(column: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.repeat(column, count)

    return replace(
        schedule,
        parts=np.repeat(schedule.parts, count, axis=-1) / count,
        source=each(schedule.source),
        destination=each(schedule.destination),
        operation=each(schedule.operation),
        step=(each(schedule.step) * _stride(schedule, count) + number).astype(np.int32),
        channel=each(schedule.channel),
        ready=None if schedule.ready is None else each(schedule.ready),
        pause=None if schedule.pause is None else each(schedule.pause) / count,
        chunk_ptr=pointers(length),
        chunk_ids=chunks.astype(np.int32),
        wait_ptr=pointers(np.bincount(rows, minlength=len(number))),
        wait_ids=ids.astype(np.int32),
        options={**schedule.options, "slices": count},
    )


def _stride(schedule: Schedule, count: int) -> int:
    """Labels between the steps of one slice: all slices where any order but that of one slice holds between steps."""
    return count if (schedule.channel >= 0).any() or schedule.ready is not None else 1


def _waits(schedule: Schedule, count: int) -> I64:
    """Keys waiter * T + what it waits for, T the number of slices in all."""
    transfers = np.arange(schedule.transfers)
    late, early = np.repeat(transfers, np.diff(schedule.wait_ptr)), schedule.wait_ids.astype(np.int64)
    lane = (schedule.channel[late] >= 0) & (schedule.channel[late] == schedule.channel[early])
    lane &= schedule.source[late] == schedule.source[early]
    alike, after = np.arange(count), np.arange(1, count)
    pairs = [
        (late[~lane, np.newaxis] * count + alike, early[~lane, np.newaxis] * count + alike),
        (late[lane, np.newaxis] * count, early[lane, np.newaxis] * count + count - 1),
        (transfers[:, np.newaxis] * count + after, transfers[:, np.newaxis] * count + after - 1),
    ]
    if schedule.ready is not None:
        late, early = _exchanges(schedule)
        pairs.append((late[:, np.newaxis] * count + after, early[:, np.newaxis] * count + after - 1))
    return np.concatenate([(one * schedule.transfers * count + other).ravel() for one, other in pairs])


def _exchanges(schedule: Schedule) -> tuple[I64, I64]:
    """Pairs of a transfer that needs its destination ready and one that sends the same chunk from there in that step."""
    writers, readers = np.flatnonzero(schedule.ready), np.arange(schedule.transfers)
    writer, written = cells(schedule, writers, schedule.destination[writers])
    reader, read = cells(schedule, readers, schedule.source)
    order = np.argsort(read)
    first, last = (np.searchsorted(read[order], written, side) for side in ("left", "right"))
    late, early = np.repeat(writers[writer], last - first), reader[order[ranges(first, last)]]
    if len(np.unique(late * schedule.transfers + early)) > len(np.unique(late)):
        raise NotApplicable(f"{schedule.algorithm}: no slices, for more than two ranks exchange the same chunks at once")
    return late, early
