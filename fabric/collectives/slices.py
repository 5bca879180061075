"""Slices: any schedule cut so that it pipelines, each hop and each tier at work on another slice of the data.

Every transfer becomes `count` of them that go one after another. A slice waits for the same slice of what the whole waited
for. On a channel a slice takes all steps of a stage before the next one starts, so that the first is soon through, and the
next stage at work; a stage ends where no channel is used in two consecutive steps, as between the tiers of a hierarchy.
Where ranks exchange the same chunks (`ready`), a slice also waits until the slice before it has left its destination, or its
sum could come too early.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..csr import pointers, ranges
from ..errors import InputError
from ..layout import NotApplicable
from ..schedule import Schedule
from ..waits import cells, levels
from .lines import check_count

I64 = NDArray[np.int64]
Pairs = tuple[I64, I64]  # transfers that wait, and what each waits for


def sliced(schedule: Schedule, count: int) -> Schedule:
    """The same schedule in `count` equal slices, which its options then name; one slice is the schedule itself.

    Steps are numbered anew, by the longest chain of waits. Raises InputError for less than one slice or a folded schedule,
    NotApplicable where it takes too many transfers or more than two ranks exchange the same chunks in one step.
    """
    if count < 1:
        raise InputError(f"slices has to be at least 1, not {count}")
    if count == 1 or not schedule.transfers:
        return schedule
    if schedule.multiplicity is not None or schedule.repeat is not None:
        raise InputError("a folded schedule cannot be cut into slices")
    check_count(schedule.algorithm, schedule.ranks, schedule.transfers * count, len(schedule.wait_ids) * count)
    number, length = np.tile(np.arange(count), schedule.transfers), np.repeat(np.diff(schedule.chunk_ptr), count)
    # Part p of a block becomes the parts p * count, p * count + 1, ...
    first = np.repeat(schedule.chunk_ptr[:-1], count)
    chunks = schedule.chunk_ids[ranges(first, first + length)].astype(np.int64) * count + np.repeat(number, length)
    wait_ptr, wait_ids = _waits(schedule, count)
    return replace(
        schedule,
        source=np.repeat(schedule.source, count),
        destination=np.repeat(schedule.destination, count),
        operation=np.repeat(schedule.operation, count),
        channel=np.repeat(schedule.channel, count),
        ready=None if schedule.ready is None else np.repeat(schedule.ready, count),
        share=None if schedule.share is None else np.repeat(schedule.share, count),
        streams=None if schedule.streams is None else np.repeat(schedule.streams, count),
        parts=np.repeat(schedule.parts, count, axis=-1) / count,
        step=levels(wait_ptr, wait_ids).astype(np.int32),
        pause=None if schedule.pause is None else np.repeat(schedule.pause, count) / count,
        routes=schedule.routes and replace(schedule.routes, of=np.repeat(schedule.routes.of, count)),
        chunk_ptr=pointers(length),
        chunk_ids=chunks.astype(np.int32),
        wait_ptr=wait_ptr,
        wait_ids=wait_ids,
        options={**schedule.options, "slices": count},
    )


def _waits(schedule: Schedule, count: int) -> tuple[I64, NDArray[np.int32]]:
    """CSR of the slices that each slice waits for; slice s of transfer t is number t * count + s."""
    late, early = np.repeat(np.arange(schedule.transfers), np.diff(schedule.wait_ptr)), schedule.wait_ids.astype(np.int64)
    run = _runs(schedule)
    other = (run[early] >= 0) & (run[early] != run[late]) & (_lane(schedule)[early] == _lane(schedule)[late])
    following = [_succession(schedule, run)]
    if schedule.ready is not None:
        following.append(_exchanges(schedule, np.flatnonzero(schedule.ready)))
    alike, after = np.arange(count), np.arange(1, count)
    pairs = [(late[~other, np.newaxis] * count + alike, early[~other, np.newaxis] * count + alike)]
    pairs += [(late[other] * count, early[other] * count + count - 1)]
    pairs += [(one[:, np.newaxis] * count + after, two[:, np.newaxis] * count + after - 1) for one, two in following]
    total = schedule.transfers * count
    rows, ids = np.divmod(np.unique(np.concatenate([(one * total + two).ravel() for one, two in pairs])), total)
    return pointers(np.bincount(rows, minlength=total)), ids.astype(np.int32)


def _lane(schedule: Schedule) -> I64:
    """[T] the channel and its rank as one number, -1 without a channel."""
    lanes = schedule.channel.max() + np.int64(1)
    return np.where(schedule.channel < 0, -1, schedule.source * lanes + schedule.channel)


def _runs(schedule: Schedule) -> I64:
    """[T] numbers the lanes of each stage, -1 without a channel.

    Stages are the same for all lanes: so what a slice waits for is of an earlier stage, slice or step, and none waits forever.
    """
    lane = _lane(schedule)
    used = np.unique(np.where(lane < 0, -2, lane * schedule.steps + schedule.step))
    going_on = used[1:][(np.diff(used) == 1) & (used[1:] % schedule.steps > 0)]
    stage = np.cumsum(~np.isin(np.arange(schedule.steps), going_on % schedule.steps)) - 1
    return np.where(lane < 0, -1, lane * schedule.steps + stage[schedule.step])


def _succession(schedule: Schedule, run: I64) -> Pairs:
    """What a slice of each transfer waits for of the slice before: itself, or the last of its run where it is the first."""
    free = np.flatnonzero(run < 0)
    bound = np.flatnonzero(run >= 0)
    order = bound[np.lexsort((schedule.step[bound], run[bound]))]
    begins = np.flatnonzero(np.diff(run[order], prepend=-1))
    length = np.diff(begins, append=len(order))
    first, last = (np.repeat(schedule.step[order[at]], length) for at in (begins, begins + length - 1))
    heads, tails = order[schedule.step[order] == first], order[schedule.step[order] == last]
    late, early = _joined((heads, run[heads]), (tails, run[tails]))
    return np.concatenate((free, late)), np.concatenate((free, early))


def _exchanges(schedule: Schedule, writers: I64) -> Pairs:
    """Transfers that need their destination ready, and those that send the same chunks from there in that step."""
    readers = np.arange(schedule.transfers)
    writer, written = cells(schedule, writers, schedule.destination[writers])
    reader, read = cells(schedule, readers, schedule.source)
    late, early = _joined((writers[writer], written), (reader, read))
    if len(np.unique(late * schedule.transfers + early)) > len(np.unique(late)):
        raise NotApplicable(f"{schedule.algorithm}: no slices, for more than two ranks exchange the same chunks at once")
    return late, early


def _joined(one: Pairs, two: Pairs) -> Pairs:
    """All pairs of entries, each a value and a key, that have the same key."""
    order = np.argsort(two[1], kind="stable")
    first, last = (np.searchsorted(two[1][order], one[1], side) for side in ("left", "right"))
    return np.repeat(one[0], last - first), two[0][order[ranges(first, last)]]
