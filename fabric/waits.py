"""What each transfer of a schedule waits for, derived from its data, its steps and its channels.

A transfer waits for the transfers that brought its source what it sends: all that reduced into those chunks since the last
copy, and that copy, as far as they are of earlier steps. One that has to find its destination ready also waits for those
that brought the destination the same chunks. Transfers of one source and channel (a lane) go one after another.

Waits that others imply are left out; a large schedule would not fit otherwise, for in a machine of 144 ranks each of the 143
transfers of a rank may need the 143 that reached it. A transfer does not wait for

    lanes    what a later transfer of the same lane follows that it waits for,
    order    what an earlier transfer of its own lane waited for,
    copies   what was written to a cell before a copy to the cell that it waits for. A copy that could overtake an
             earlier write to its cell is a race, and the proof refuses it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .csr import pointers, ranges
from .schedule import COPY, Schedule

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]


def derive_waits(schedule: Schedule) -> tuple[I64, I32]:
    """CSR of the transfers that each transfer of `schedule` waits for; the waits that it holds are not looked at."""
    if not schedule.transfers:
        return np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32)
    row, readers = _alike(schedule)
    lane = np.where(schedule.channel < 0, -1, schedule.source * (schedule.channel.max() + np.int64(1)) + schedule.channel)
    keys = np.concatenate((_data_waits(schedule, readers, lane), _lane_waits(schedule, readers, lane)))
    rows, ids = np.divmod(_distinct(keys), schedule.transfers)
    ptr = pointers(np.bincount(rows, minlength=len(readers)))
    return pointers(np.diff(ptr)[row]), ids[ranges(ptr[row], ptr[row + 1])].astype(np.int32)


def levels(wait_ptr: I64, wait_ids: I32) -> I64:
    """[T] 0 for a transfer that waits for nothing, else one more than the highest that it waits for; -1 if that never ends."""
    open_waits = np.diff(wait_ptr)
    level = np.full(len(open_waits), -1)
    waiter = np.repeat(np.arange(len(open_waits)), open_waits)[np.argsort(wait_ids, kind="stable")]
    ptr = pointers(np.bincount(wait_ids, minlength=len(open_waits)))
    free, height = np.flatnonzero(open_waits == 0), 0
    while len(free):
        level[free] = height
        freed = waiter[ranges(ptr[free], ptr[free + 1])]
        np.subtract.at(open_waits, freed, 1)
        free, height = np.unique(freed[open_waits[freed] == 0]), height + 1
    return level


def _alike(schedule: Schedule) -> tuple[I64, I64]:
    """Transfers of one source, step, channel and list of chunks wait for the same: one row for all of them.

    Where the destination has to be ready it must be the same as well.

    Returns [T] the row of each transfer and [rows] a transfer of each row.
    """
    same = [schedule.source, schedule.step, schedule.channel, np.diff(schedule.chunk_ptr)]
    if schedule.ready is not None:
        same.append(np.where(schedule.ready, schedule.destination, -1))
    mixed = np.add.reduceat(_mixed(schedule.chunk_ids), schedule.chunk_ptr[:-1])
    for column in same:
        mixed = _mixed(mixed + column.astype(np.uint64))
    _, first, row = np.unique(mixed, return_index=True, return_inverse=True)
    like = first[row]
    twins = schedule.chunk_ids[ranges(schedule.chunk_ptr[like], schedule.chunk_ptr[like + 1])] if _equal(same, like) else None
    if twins is None or (twins != schedule.chunk_ids).any():
        everyone = np.arange(schedule.transfers)  # two that differ have one hash
        return everyone, everyone
    return row, first


def _equal(columns: list[NDArray[np.generic]], like: I64) -> bool:
    return all(bool((column == column[like]).all()) for column in columns)


def _mixed(values: NDArray[np.generic]) -> NDArray[np.uint64]:
    """A hash of integers."""
    mixed = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray((mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9))


def _lane_waits(schedule: Schedule, readers: I64, lane: I64) -> I64:
    """Keys row * T + transfer: each transfer of a lane waits for those of the step before it in the lane."""
    place = lane * schedule.steps + schedule.step
    ids = np.flatnonzero(lane >= 0)
    ids = ids[np.argsort(place[ids], kind="stable")]
    starts = np.flatnonzero(_changes(place[ids]))
    ends = np.append(starts[1:], len(ids))
    rows = np.flatnonzero(lane[readers] >= 0)
    at = np.searchsorted(place[ids][starts], place[readers[rows]])  # the row's place in the order of places
    later = at > 0
    rows, before = rows[later], at[later] - 1
    follows = lane[ids[starts[before]]] == lane[readers[rows]]
    rows, before = rows[follows], before[follows]
    first, last = starts[before], ends[before]
    return np.repeat(rows, last - first) * schedule.transfers + ids[ranges(first, last)]


def _data_waits(schedule: Schedule, readers: I64, lane: I64) -> I64:
    """Keys row * T + transfer: the writers of what a row reads since the last copy, inclusive, less what others imply."""
    step, none = schedule.step, np.empty(0, dtype=np.int64)
    written_from = np.full(schedule.ranks, schedule.steps)
    np.minimum.at(written_from, schedule.destination, step)
    rows, place = _reads(schedule, readers)
    late = step[readers[rows]] > written_from[place]
    rows, place = rows[late], place[late]
    read_until = np.full(schedule.ranks, -1)
    np.maximum.at(read_until, place, step[readers[rows]])
    writers = np.flatnonzero(step < read_until[schedule.destination])
    if not len(writers):
        return none

    # All writes by cell (rank and chunk), then by step. An epoch of a cell starts with a copy.
    owner, written = cells(schedule, writers, schedule.destination[writers])
    order = np.argsort(written)
    written, writer = written[order], writers[owner[order]]
    cell, places = written // schedule.steps, np.arange(len(written))
    opens = _changes(cell)
    cell_start = np.maximum.accumulate(np.where(opens, places, 0))
    epoch_start = np.maximum.accumulate(np.where(opens | (schedule.operation[writer] == COPY), places, 0))

    owner, read = cells(schedule, readers[rows], place)
    last = np.searchsorted(written, read) - 1
    found = (last >= 0) & (cell[last] == read // schedule.steps)
    row, last = rows[owner[found]], last[found]
    first, epoch = cell_start[last], epoch_start[last]

    def keys(row: I64, first: I64, last: I64) -> I64:
        return _distinct(np.repeat(row, last - first) * schedule.transfers + writer[ranges(first, last)])

    needed = keys(row, epoch, last + 1)
    oldest = _greatest(row, epoch - first)  # the copy that covers most is enough
    implied = keys(row[oldest], first[oldest], epoch[oldest])
    needed = needed[~_contained(needed, implied)]
    return needed[_unimplied_by_lanes(*np.divmod(needed, schedule.transfers), readers, lane, schedule)]


def _reads(schedule: Schedule, readers: I64) -> tuple[I64, I32]:
    """Every row and the rank at which it must find its chunks: its source, and a destination that has to be ready."""
    rows, source = np.arange(len(readers)), schedule.source[readers]
    if schedule.ready is None:
        return rows, source
    more = np.flatnonzero(schedule.ready[readers])
    return np.concatenate((rows, more)), np.concatenate((source, schedule.destination[readers[more]]))


def _unimplied_by_lanes(row: I64, writer: I64, readers: I64, lane: I64, schedule: Schedule) -> Bools:
    """Which of the waits (row, writer) neither a later one of the writer's lane nor an earlier row of the row's implies."""
    keep = np.ones(len(row), dtype=bool)
    lanes = int(lane.max()) + 1
    on = np.flatnonzero(lane[writer] >= 0)
    keep[on] = _greatest(row[on] * lanes + lane[writer[on]], schedule.step[writer[on]])
    own = lane[readers[row]]
    on = np.flatnonzero(own >= 0)
    keep[on] &= _greatest(own[on] * schedule.transfers + writer[on], -schedule.step[readers[row[on]]])
    return keep


def cells(schedule: Schedule, transfers: I64, rank: I32) -> tuple[I64, I64]:
    """For each chunk of some transfers, each at a rank: the transfer's index among them, and a key (rank, chunk, step)."""
    first, last = schedule.chunk_ptr[transfers], schedule.chunk_ptr[transfers + 1]
    owner = np.repeat(np.arange(len(transfers)), last - first)
    which = transfers[owner]
    cell = rank[owner].astype(np.int64) * schedule.chunks + schedule.chunk_ids[ranges(first, last)]
    return owner, cell * schedule.steps + schedule.step[which]


def _changes(values: I64) -> Bools:
    """Where a sorted array has another value than before; true at its start."""
    return np.concatenate((np.ones(min(len(values), 1), dtype=bool), values[1:] != values[:-1]))


def _distinct(values: I64) -> I64:
    """Sorted, each once."""
    values = np.sort(values)
    return values[_changes(values)]


def _contained(values: I64, others: I64) -> Bools:
    """Which values are among the others; both sorted and distinct."""
    if not len(others):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(others[np.minimum(np.searchsorted(others, values), len(others) - 1)] == values)


def _greatest(group: I64, value: NDArray[np.integer]) -> Bools:
    """Which entries have the greatest value of their group."""
    order = np.lexsort((value, group))
    opens = _changes(group[order])
    ends = np.flatnonzero(np.append(opens[1:], True)[: len(order)])
    keep = np.empty(len(group), dtype=bool)
    keep[order] = value[order] == value[order][ends][np.cumsum(opens) - 1]
    return keep
