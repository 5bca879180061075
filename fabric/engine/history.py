"""What every capacity carries over time, in a bounded number of slices and at a bounded cost."""

from __future__ import annotations

import numpy as np

from . import kernel, state
from .flows import F64, History
from .kernel import State

SLICES = 64
NUMBERS = 1 << 22  # kept at most: slices x capacities
# A sample visits every capacity and every route entry that is sending. The samples of a run may together visit so many for
# each capacity and route entry that it has, and this share of the entries that the run visits: some per cent of its time.
FREE, SHARE = 8, 1 / 32
NEAR = 1e-9  # of the time of the run; shorter slices would show rounding for loads


class Recorder:
    """Takes a sample every so many changes of rates, and fewer where they become too many or too dear."""

    def __init__(self, capacities: int, entries: int, slices: int) -> None:
        self._visits = capacities
        self._most = min(slices, max(4, NUMBERS // (capacities + 1)))
        self._allowance = float(-FREE * (capacities + entries))
        self._stride, self._due = 1, 0  # rounds of the kernel
        self._times: list[tuple[float, float]] = []  # base and offset, s
        self._carried: list[F64] = []

    def rounds(self, columns: State, most: int) -> int:
        """So many rounds, or fewer if a sample is due before."""
        columns.count[kernel.TALLY] = self._due + 1
        return max(0, min(most, self._due - int(columns.count[kernel.ROUNDS])))

    def note(self, columns: State) -> None:
        """Take a sample if one is due."""
        count = columns.count
        if count[kernel.ROUNDS] < self._due:
            return
        self._times.append((float(columns.clock[kernel.BASE]), float(columns.clock[kernel.NOW])))
        self._carried.append(state.column(columns, "carried")[: self._visits])
        self._allowance += self._visits + int(count[kernel.ENTRIES_N])
        if len(self._times) > self._most:
            del self._times[1::2], self._carried[1::2]
            self._stride *= 2
        elif self._allowance > SHARE * int(count[kernel.WORK]):
            self._stride *= 2
        self._due = int(count[kernel.ROUNDS]) + self._stride

    def history(self, columns: State, carried: F64) -> History:
        """All samples and the present state, of which `carried` is known."""
        times = [*self._times, (float(columns.clock[kernel.BASE]), float(columns.clock[kernel.NOW]))]
        base, offset = np.array(times).T
        since = (base - base[0]) + (offset - offset[0])
        kept = _apart(since)
        return History(
            start=times[0][0] + times[0][1],
            since=since[kept],
            carried=np.array([*self._carried, carried])[kept],
            row=np.arange(len(carried), dtype=np.int32),
        )


def _apart(since: F64) -> list[int]:
    """Samples that are apart, the first and the last time among them: a difference over no time says nothing."""
    near, kept = NEAR * since[-1], [0]
    for place in range(1, len(since)):
        if since[place] - since[kept[-1]] > near:
            kept.append(place)
    return [*kept[:-1], len(since) - 1] if len(kept) > 1 else kept
