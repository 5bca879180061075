"""What the engine is given and what it returns: plain arrays, checked on entry.

A *capacity* is anything that has bytes per second to share; a *flow* is an amount of bytes that uses some capacities,
each with a coefficient. The timing rules of a flow:

1. it is *eligible* at the latest of its ``start`` and the finish of every flow that it waits for;
2. it *begins* ``delay`` later;
3. from then on its bytes leave at its max-min fair rate: for every capacity the sum of coefficient x rate over the
   flows that have begun stays within it, and no rate exceeds the flow's own ``flow_cap``;
4. it is *finished* when its bytes have left; a flow without bytes or without capacities finishes when it begins;
5. a flow with ``repeat`` m does 2-4 m times in a row and is finished at the end of the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
SHOWN = 10  # flows of a cycle that are named
Lists = Sequence[Sequence[int]]
Compressed = tuple[npt.ArrayLike, npt.ArrayLike]


@dataclass(frozen=True, eq=False)
class Flows:
    """F flows on K capacities. Make one with `Flows.build`, which fills the defaults and checks every array."""

    capacity: F64  # K, bytes/s
    bytes: F64  # F
    route_ptr: I64  # F + 1: flow f uses the capacities route_ids[route_ptr[f]:route_ptr[f + 1]]
    route_ids: I32
    route_coef: F64  # bytes taken from the capacity per byte of the flow
    delay: F64  # F, s between eligible and begin
    start: F64  # F, s
    wait_ptr: I64  # F + 1: flow f waits for wait_ids[wait_ptr[f]:wait_ptr[f + 1]]
    wait_ids: I32
    flow_cap: F64  # F, bytes/s; inf for none
    repeat: I64  # F
    label: I32  # F, first colour of the search for symmetry; no meaning for the timing
    event_time: F64  # E, s, ascending
    event_id: I32  # E, the capacity that changes
    event_capacity: F64  # E, bytes/s from then on

    @classmethod
    def build(
        cls,
        capacity: npt.ArrayLike,
        bytes: npt.ArrayLike,
        routes: Lists | Compressed = (),
        *,
        coefficients: Sequence[Sequence[float]] | npt.ArrayLike = 1.0,
        delay: npt.ArrayLike = 0.0,
        start: npt.ArrayLike = 0.0,
        waits: Lists | Compressed = (),
        flow_cap: npt.ArrayLike = np.inf,
        repeat: npt.ArrayLike = 1,
        label: npt.ArrayLike = 0,
        events: Sequence[tuple[float, int, float]] | tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike] = (),
    ) -> Flows:
        """Flows from lists or arrays; a single number stands for all flows.

        `routes` and `waits` are one list of indices per flow, or a pair of arrays (pointers F + 1, indices);
        `coefficients` follow the shape of `routes`. `events` are (time s, capacity index, bytes/s) triples in any
        order, or three arrays. Raises InputError that names the array and the index of the first bad value.
        """
        amounts = vector("bytes", bytes, np.float64)
        count = len(amounts)
        route_ptr, route_ids = _compressed("routes", routes, count)
        wait_ptr, wait_ids = _compressed("waits", waits, count)
        limits = vector("capacity", capacity, np.float64)
        time, changed, value = _events(events, len(limits))
        flows = cls(
            capacity=limits,
            bytes=amounts,
            route_ptr=route_ptr,
            route_ids=route_ids,
            route_coef=_coefficients(coefficients, len(route_ids)),
            delay=_spread("delay", delay, count, np.float64),
            start=_spread("start", start, count, np.float64),
            wait_ptr=wait_ptr,
            wait_ids=wait_ids,
            flow_cap=_spread("flow_cap", flow_cap, count, np.float64),
            repeat=_spread("repeat", repeat, count, np.int64),
            label=_spread("label", label, count, np.int32),
            event_time=time,
            event_id=changed,
            event_capacity=value,
        )
        flows.check()
        return flows

    def check(self) -> None:
        """Raise InputError on the first value that has no meaning: the array, the index and what was expected."""
        capacities, count = len(self.capacity), len(self.bytes)
        demand("capacity", self.capacity, _amount(self.capacity), "a finite number >= 0")
        demand("bytes", self.bytes, _amount(self.bytes), "a finite number >= 0")
        demand("delay", self.delay, _amount(self.delay), "a finite time >= 0")
        demand("start", self.start, _amount(self.start), "a finite time >= 0")
        demand("flow_cap", self.flow_cap, self.flow_cap > 0, "a rate > 0 or inf")
        demand("repeat", self.repeat, self.repeat >= 1, "a count >= 1")
        demand("route_coef", self.route_coef, np.isfinite(self.route_coef) & (self.route_coef > 0), "a finite number > 0")
        demand("route_ids", self.route_ids, _below(self.route_ids, capacities), f"a capacity 0..{capacities - 1}")
        demand("wait_ids", self.wait_ids, _below(self.wait_ids, count), f"a flow 0..{count - 1}")
        cycle = _cycle(self.wait_ptr, self.wait_ids)
        if cycle:
            shown = cycle if len(cycle) <= SHOWN else [*cycle[: SHOWN - 1], f"... ({len(cycle) - 1:,} flows in all)"]
            raise InputError("waits form a cycle: flow " + " waits for flow ".join(map(str, shown)))

    def starting(self, shift: float) -> Flows:
        """The same flows and events, `shift` seconds later."""
        return replace(self, start=self.start + shift, event_time=self.event_time + shift)

    @property
    def routes(self) -> list[list[int]]:
        """The capacities of each flow as lists: for small cases and for tests."""
        return [part.tolist() for part in np.split(self.route_ids, self.route_ptr[1:-1])] if len(self.bytes) else []


@dataclass(frozen=True, eq=False)
class History:
    """What the capacities carried over time, in slices that begin and end where rates change.

    In a slice all loads are constant; in a run of many changes several go into one slice, and its loads are means. After a
    quotient run several capacities share a row.
    """

    start: float  # s, where the first slice begins
    since: F64  # E + 1: where the slices begin and the last one ends, s after `start`
    carried: F64  # E + 1, rows: bytes carried by then
    row: I32  # K, the row of each capacity

    @property
    def times(self) -> F64:
        """Where the E slices begin and the last one ends, s."""
        return self.start + self.since

    @property
    def loads(self) -> F64:
        """[E, K] bytes/s, the mean of each slice."""
        mean = np.maximum(np.diff(self.carried, axis=0), 0.0) / np.diff(self.since)[:, None]
        return np.asarray(mean[:, self.row])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What happened. Times in seconds, nan for what did not happen."""

    eligible: F64  # F, of the first repetition
    begin: F64  # F, eligible + delay
    finish: F64  # F
    duration: F64  # F, finish - eligible taken on the engine's own clock: no digits are lost at a late start
    carried: F64  # K, bytes: coefficient x bytes of all that passed
    busy: F64  # K, s during which a flow was sending through it
    full: F64  # K, s during which it was saturated and held a flow back
    epochs: int  # intervals of constant rates; the end of a flow that makes room for no other begins none
    time: float  # s, the last finish
    elapsed: float  # s from the first eligible flow to the last finish, on the engine's own clock
    classes: int  # flows simulated ...
    flows: int  # ... for flows given
    tolerance: float  # relative change of the capacities for which this is the exact solution; 0 is exact to rounding
    partial: bool = False  # interrupted before the end
    stalls: tuple[str, ...] = ()  # the first flows that could not finish, and why
    history: History | None = None


def vector(name: str, values: npt.ArrayLike, kind: type[Any]) -> npt.NDArray[Any]:
    """One row of numbers of a kind. Raises InputError for anything else, and for numbers that the kind cannot hold."""
    whole = issubclass(kind, np.integer)
    expected = "whole numbers" if whole else "numbers"
    try:
        given = np.asarray(values)
    except ValueError:
        raise InputError(f"{name}: expected one row of {expected}, got rows of several lengths") from None
    if given.ndim != 1:
        raise InputError(f"{name}: expected one row of {expected}, got shape {given.shape}")
    if given.size and (given.dtype.kind == "b" or not np.can_cast(given.dtype, kind, "same_kind")):
        raise InputError(f"{name}: expected {expected}, got values of type {given.dtype}")
    array = np.ascontiguousarray(given, dtype=kind)
    if whole:
        demand(name, given, array == given, f"a whole number up to {np.iinfo(kind).max}")
    return array


def _spread(name: str, values: npt.ArrayLike, count: int, kind: type[Any]) -> npt.NDArray[Any]:
    array = vector(name, np.full(count, values) if np.ndim(values) == 0 else values, kind)
    if len(array) != count:
        raise InputError(f"{name}: expected {count} values, one per flow, got {len(array)}")
    return array


def _compressed(name: str, lists: Lists | Compressed, count: int) -> tuple[I64, I32]:
    if len(lists) == 0:
        return np.zeros(count + 1, np.int64), np.zeros(0, np.int32)
    if isinstance(lists, tuple) and len(lists) == 2 and isinstance(lists[0], np.ndarray):
        ptr, ids = vector(f"{name} pointers", lists[0], np.int64), vector(name, lists[1], np.int32)
        _check_pointers(f"{name} pointers", ptr, count, len(ids))
    else:
        rows: list[list[int]] = [list(row) for row in lists]  # type: ignore[arg-type]
        if len(rows) != count:
            raise InputError(f"{name}: expected {count} lists, one per flow, got {len(rows)}")
        ptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        ids = vector(name, np.array([value for row in rows for value in row]), np.int32)
    return ptr, ids


def _check_pointers(name: str, ptr: I64, count: int, length: int) -> None:
    if len(ptr) != count + 1:
        raise InputError(f"{name}: expected {count + 1} values, one more than there are flows, got {len(ptr)}")
    demand(name, ptr[:1], ptr[:1] == 0, "0, where the first flow begins")
    demand(name, ptr, np.diff(ptr, prepend=0) >= 0, "ascending pointers")
    if ptr[-1] != length:
        raise InputError(f"{name}[{count}] is {ptr[-1]}: expected {length}, as many as there are indices")


def _coefficients(values: Any, count: int) -> F64:
    if isinstance(values, (int, float)):
        values = np.full(count, values)
    elif not isinstance(values, np.ndarray):
        values = [item for row in values for item in (row if isinstance(row, Sequence) else [row])]
    array = vector("route_coef", values, np.float64)
    if len(array) != count:
        raise InputError(f"route_coef: expected {count} values, one per entry of the routes, got {len(array)}")
    return array


def _events(events: Any, capacities: int) -> tuple[F64, I32, F64]:
    """Checked as they are given, so that messages count as the giver does; then in the order of time."""
    if len(events) == 3 and isinstance(events[0], np.ndarray):
        time, index, value = events
    else:
        time, index, value = (list(column) for column in zip(*events, strict=True)) if len(events) else ([], [], [])
    times, ids = vector("event_time", time, np.float64), vector("event_id", index, np.int32)
    values = vector("event_capacity", value, np.float64)
    if not len(times) == len(ids) == len(values):
        raise InputError(
            f"events: expected as many times, capacities and values, got {len(times)}, {len(ids)} and {len(values)}"
        )
    demand("event_time", times, _amount(times), "a finite time >= 0")
    demand("event_id", ids, _below(ids, capacities), f"a capacity 0..{capacities - 1}")
    demand("event_capacity", values, _amount(values), "a finite number >= 0")
    order = np.argsort(times, kind="stable")
    return times[order], ids[order], values[order]


def _amount(values: F64) -> npt.NDArray[np.bool_]:
    return np.isfinite(values) & (values >= 0)


def _below(ids: I32, count: int) -> npt.NDArray[np.bool_]:
    return (ids >= 0) & (ids < count)


def demand(name: str, values: npt.NDArray[Any], good: npt.NDArray[np.bool_], expected: str) -> None:
    """Raise InputError with the index and the value of the first that is not good."""
    if not good.all():
        index = int(np.argmin(good))
        raise InputError(f"{name}[{index}] is {values[index]}: expected {expected}")


def _cycle(ptr: I64, ids: I32) -> list[int]:
    """Flows that wait for one another in a circle, the first repeated at the end; empty if there is none."""
    count = len(ptr) - 1
    owner = np.repeat(np.arange(count), np.diff(ptr))
    if np.all(ids < owner):  # listed after all that it waits for: the usual case
        return []
    left, order = np.diff(ptr), np.argsort(ids, kind="stable")
    after, after_ptr = owner[order], np.concatenate([[0], np.cumsum(np.bincount(ids, minlength=count))])
    ready = np.flatnonzero(left == 0)
    while len(ready):
        left[ready] = -1
        length = after_ptr[ready + 1] - after_ptr[ready]
        offset = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        reached = after[np.repeat(after_ptr[ready], length) + offset]
        np.subtract.at(left, reached, 1)
        ready = np.unique(reached[left[reached] == 0])
    stuck = np.flatnonzero(left > 0)
    return _walk(ptr, ids, left, int(stuck[0])) if len(stuck) else []


def _walk(ptr: I64, ids: I32, left: I64, flow: int) -> list[int]:
    place: dict[int, int] = {}
    while flow not in place:
        place[flow] = len(place)
        flow = next(int(other) for other in ids[ptr[flow] : ptr[flow + 1]] if left[other] > 0)
    return [*list(place)[place[flow] :], flow]
