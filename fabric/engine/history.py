"""Record the load of every capacity over time."""

from __future__ import annotations

import numpy as np

from . import kernel, state
from .flows import F64, History
from .kernel import State


class Recorder:
    """Keeps the changes of load from epoch to epoch."""

    def __init__(self, capacities: int) -> None:
        self._last = np.zeros(capacities)
        self._times: list[float] = []
        self._rows: list[np.ndarray[tuple[int], np.dtype[np.int32]]] = []
        self._loads: list[F64] = []

    def note(self, columns: State) -> None:
        """Note the loads that hold from now on."""
        now = float(columns.clock[kernel.NOW] + columns.clock[kernel.BASE])
        used = state.column(columns, "users") > 0
        load = np.where(used, state.column(columns, "limit") - state.column(columns, "spare"), 0.0)
        changed = np.flatnonzero(load != self._last).astype(np.int32)
        if not len(changed) and self._times:
            self._end = now
            return
        self._times.append(now)
        self._rows.append(changed)
        self._loads.append(load[changed])
        self._last, self._end = load, now

    def history(self) -> History:
        """All that was noted."""
        sizes = [len(rows) for rows in self._rows]
        return History(
            times=np.array([*self._times, self._end] if self._times else [0.0]),
            change_ptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            change_row=np.concatenate([np.zeros(0, np.int32), *self._rows]),
            change_load=np.concatenate([np.zeros(0), *self._loads]),
            row=np.arange(len(self._last), dtype=np.int32),
        )
