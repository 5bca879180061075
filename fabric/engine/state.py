"""From flows to the columns of the kernel, in floats (numpy or lists) or Fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from . import kernel
from .flows import F64, I64, Flows
from .kernel import State

METHODS = {"hybrid": kernel.HYBRID, "full": kernel.FULL, "repair": kernel.REPAIR}

# Relative distances. Levels and ends nearer than 1e-12 are one: rounding alone sets them apart. Times within 4 units
# in the last place are one.
EXACT = {
    kernel.SNAP: 1e-12,
    kernel.MERGE: 1e-12,
    kernel.ROUNDING: 4 * 2.0**-52,
    kernel.SLACK: 1e-12,
    kernel.EDGE: 1e-12,
}


def make_state(flows: Flows, *, method: str, tolerance: float, held: I64, watch: I64) -> State:
    """Columns as numpy arrays, at time 0: nothing has begun, what may start is queued."""
    limit, route_ptr, route_ids, route_coef = _with_caps(flows)
    capacities, count, entries = len(limit), len(flows.bytes), len(route_ids)
    after_ptr, after_ids = _transpose(flows.wait_ptr, flows.wait_ids, count)
    member_ptr = np.concatenate([[0], np.cumsum(np.bincount(route_ids, minlength=capacities))]).astype(np.uint32)

    def numbers(length: int, value: float = 0.0) -> F64:
        return np.full(length, value)

    def ids(length: int, value: int = 0) -> npt.NDArray[np.int32]:
        return np.full(length, value, np.int32)

    def places(length: int) -> npt.NDArray[np.uint32]:  # never negative: compiled indexing need not look at the sign
        return np.zeros(length, np.uint32)

    def flags(length: int) -> npt.NDArray[np.int8]:
        return np.zeros(length, np.int8)

    waits = np.diff(flows.wait_ptr).astype(np.int32)
    waits[held] += 1
    watched = flags(count)
    watched[watch] = 1
    return State(
        route_ptr=route_ptr.view(np.uint64),
        route_ids=route_ids.view(np.uint32),
        route_coef=route_coef,
        after_ptr=after_ptr,
        after_ids=after_ids,
        member_ptr=member_ptr,
        size=flows.bytes,
        delay=flows.delay,
        start=flows.start,
        watched=watched,
        event_time=flows.event_time,
        event_id=flows.event_id,
        event_limit=flows.event_capacity,
        phase=flags(count),
        waits=waits,
        left=flows.repeat.copy(),
        rest=numbers(count),
        begin=numbers(count),
        born=numbers(count, np.nan),
        born_base=numbers(count),
        died=numbers(count, np.nan),
        died_base=numbers(count),
        host=ids(count, -1),
        home=ids(count, -1),
        limit=limit.copy(),
        spare=limit.copy(),
        level=numbers(capacities, np.inf),
        aim=numbers(capacities, np.inf),
        queued=flags(capacities),
        users=places(capacities),
        hosted=places(capacities),
        own=numbers(capacities),
        open=ids(capacities),
        ceiling=numbers(capacities),
        served=numbers(capacities),
        since=numbers(capacities),
        next=ids(capacities, -1),
        inside=flags(capacities),
        busy=numbers(capacities),
        busy_since=numbers(capacities),
        full=numbers(capacities),
        passed=numbers(capacities),
        carried=numbers(capacities),
        member=places(entries),
        member_entry=places(entries),
        slot=places(entries),
        pending=ids(count),
        pending_place=ids(count, -1),
        pending_key=numbers(count),
        finishing=places(capacities),
        finishing_place=ids(capacities, -1),
        finishing_key=numbers(capacities, np.inf),
        filling=places(capacities),
        filling_key=numbers(capacities),
        used=places(capacities),
        used_place=ids(capacities),
        area=places(capacities),
        new=places(count),
        ready=ids(count),
        hits=ids(count),
        count=_counts(method),
        clock=_clock(flows),
        rule=_rules(tolerance),
    )


def _with_caps(flows: Flows) -> tuple[F64, I64, npt.NDArray[np.int32], F64]:
    """Limits and routes (pointers, ids, coefficients) with the cap of a flow as one more capacity that it alone uses."""
    capped = np.isfinite(flows.flow_cap) & (np.diff(flows.route_ptr) > 0)
    if not capped.any():
        return flows.capacity, flows.route_ptr, flows.route_ids, flows.route_coef
    own = np.arange(len(flows.capacity), len(flows.capacity) + capped.sum(), dtype=np.int32)
    at = flows.route_ptr[1:][capped]
    return (
        np.concatenate([flows.capacity, flows.flow_cap[capped]]),
        flows.route_ptr + np.concatenate([[0], np.cumsum(capped)]),
        np.insert(flows.route_ids, at, own),
        np.insert(flows.route_coef, at, 1.0),
    )


def rates(columns: State) -> F64:
    """Bytes/s of every flow now: the level of the capacity that holds it back."""
    return np.where(column(columns, "phase") == kernel.SENDING, _of_host(columns, column(columns, "level")), 0.0)


def rests(columns: State) -> F64:
    """Bytes left of every flow now sending."""
    level = np.where(column(columns, "hosted") > 0, column(columns, "level"), 0.0)
    served = column(columns, "served") + level * (float(columns.clock[kernel.NOW]) - column(columns, "since"))
    return np.maximum(column(columns, "rest") - _of_host(columns, served), 0.0)


def _of_host(columns: State, values: F64) -> F64:
    """[F] of each flow the value of the capacity that holds it back; 0 where there is none, at the place -1."""
    return np.asarray(np.append(values, 0.0)[column(columns, "host")], np.float64)


def ends(columns: State) -> F64:
    """In how many seconds each flow now sending would finish at its present rate; inf if never."""
    rate, rest = rates(columns), rests(columns)
    with np.errstate(over="ignore"):
        return np.asarray(np.divide(rest, rate, out=np.full(len(rate), np.inf), where=rate > 0), np.float64)


def as_lists(state: State, *, exact: bool = False) -> State:
    """The same columns as Python lists, which plain Python reads far faster than arrays; of Fractions if exact."""
    return State(*(_as_list(name, column, exact) for name, column in zip(State._fields, state)))


def as_arrays(state: State) -> State:
    """Lists of floats back to arrays of the types that the compiled kernel is made for."""
    return State(*(_as_array(name, column) for name, column in zip(State._fields, state)))


def first_rules(columns: State, tolerance: float) -> State:
    """For Fractions nothing is near: what differs is different."""
    return columns._replace(rule=[Fraction(0), Fraction(0), Fraction(0), Fraction(tolerance), -Fraction(tolerance)])


def column(columns: State, name: str) -> npt.NDArray[Any]:
    """One column as an array, whatever the numbers are."""
    kind = INTEGERS.get(name, np.float64)
    return np.array(
        [float(value) for value in getattr(columns, name)]
        if kind is np.float64 and isinstance(getattr(columns, name), list)
        else getattr(columns, name),
        dtype=kind,
    )


INTEGERS: dict[str, type[np.integer[Any]]] = {
    "route_ptr": np.uint64,
    **dict.fromkeys(("after_ptr", "left", "count"), np.int64),
    **dict.fromkeys(
        ("route_ids", "member_ptr", "users", "hosted", "member", "member_entry", "slot", "finishing", "filling", "used"),
        np.uint32,
    ),
    **dict.fromkeys(("area", "new"), np.uint32),
    **dict.fromkeys(("watched", "phase", "queued", "inside"), np.int8),
    **dict.fromkeys(
        (
            "after_ids",
            "event_id",
            "waits",
            "host",
            "home",
            "open",
            "next",
            "pending",
            "pending_place",
            "finishing_place",
            "used_place",
            "ready",
            "hits",
        ),
        np.int32,
    ),
}


def _as_list(name: str, column: npt.NDArray[Any], exact: bool) -> list[Any]:
    values = column.tolist()
    if exact and name not in INTEGERS:
        return [Fraction(value) if np.isfinite(value) else value for value in values]
    return list(values)


def _as_array(name: str, column: list[Any]) -> npt.NDArray[Any]:
    return np.array(column, dtype=INTEGERS.get(name, np.float64))


def _counts(method: str) -> npt.NDArray[np.int64]:
    count = np.zeros(kernel.COUNTS, np.int64)
    count[kernel.METHOD] = METHODS[method]
    return count


def _clock(flows: Flows) -> F64:
    clock = np.zeros(kernel.CLOCKS)
    clock[kernel.BASE] = np.floor(flows.start.min()) if len(flows.start) else 0.0
    clock[kernel.FIRST] = np.inf
    return clock


def _rules(tolerance: float) -> F64:
    rule = np.array([EXACT[place] for place in sorted(EXACT)])
    if tolerance > EXACT[kernel.SLACK]:
        within = tolerance * (1 - 1e-9)  # so that rounding does not lead out of what was promised
        rule[kernel.SLACK], rule[kernel.EDGE] = within, -within
    return rule


def _transpose(ptr: npt.NDArray[np.int64], ids: npt.NDArray[np.int32], count: int) -> tuple[Any, Any]:
    owner = np.repeat(np.arange(count, dtype=np.int32), np.diff(ptr))
    order = np.argsort(ids, kind="stable")
    return np.concatenate([[0], np.cumsum(np.bincount(ids, minlength=count))]).astype(np.int64), owner[order]
