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
    capacities, count, entries = len(flows.capacity), len(flows.bytes), len(flows.route_ids)
    after_ptr, after_ids = _transpose(flows.wait_ptr, flows.wait_ids, count)
    member_ptr = np.concatenate([[0], np.cumsum(np.bincount(flows.route_ids, minlength=capacities))]).astype(np.uint32)

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
        route_ptr=flows.route_ptr,
        route_ids=flows.route_ids.view(np.uint32),
        route_coef=flows.route_coef,
        after_ptr=after_ptr,
        after_ids=after_ids,
        member_ptr=member_ptr,
        size=flows.bytes,
        delay=flows.delay,
        start=flows.start,
        flow_cap=flows.flow_cap,
        watched=watched,
        event_time=flows.event_time,
        event_id=flows.event_id,
        event_limit=flows.event_capacity,
        phase=flags(count),
        waits=waits,
        left=flows.repeat.copy(),
        rest=numbers(count),
        anchor=numbers(count),
        rate=numbers(count),
        share=numbers(count),
        end=numbers(count, np.inf),
        begin=numbers(count),
        born=numbers(count, np.nan),
        born_base=numbers(count),
        died=numbers(count, np.nan),
        died_base=numbers(count),
        host=ids(count, -1),
        mark=flags(count),
        bound=numbers(count, np.inf),
        limit=flows.capacity.copy(),
        spare=flows.capacity.copy(),
        level=numbers(capacities, np.inf),
        trial=numbers(capacities, np.inf),
        users=places(capacities),
        open=ids(capacities),
        lifted=ids(capacities),
        weight=numbers(capacities),
        floor=numbers(capacities, np.inf),
        inside=flags(capacities),
        soonest=numbers(capacities, np.inf),
        busy=numbers(capacities),
        busy_since=numbers(capacities),
        full=numbers(capacities),
        full_since=numbers(capacities),
        passed=numbers(capacities),
        carried=numbers(capacities),
        member=places(entries),
        member_entry=places(entries),
        slot=places(entries),
        rising=places(entries),
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
        moving=places(count),
        ready=ids(count),
        hits=ids(count),
        count=_counts(method),
        clock=_clock(flows),
        rule=_rules(tolerance),
        cost=numbers(2),
    )


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
    **dict.fromkeys(("route_ptr", "after_ptr", "left", "count"), np.int64),
    **dict.fromkeys(
        ("route_ids", "member_ptr", "users", "member", "member_entry", "slot", "rising", "finishing", "filling", "used"),
        np.uint32,
    ),
    **dict.fromkeys(("area", "moving"), np.uint32),
    **dict.fromkeys(("watched", "phase", "mark", "inside"), np.int8),
    **dict.fromkeys(
        (
            "after_ids",
            "event_id",
            "waits",
            "host",
            "open",
            "lifted",
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
    if exact and name != "cost" and name not in INTEGERS:
        return [Fraction(value) if np.isfinite(value) else value for value in values]
    return list(values)


def _as_array(name: str, column: list[Any]) -> npt.NDArray[Any]:
    return np.array(column, dtype=INTEGERS.get(name, np.float64))


def _counts(method: str) -> npt.NDArray[np.int64]:
    count = np.zeros(kernel.COUNTS, np.int64)
    count[kernel.METHOD] = METHODS[method]
    count[kernel.PATIENCE] = 16
    return count


def _clock(flows: Flows) -> F64:
    clock = np.zeros(kernel.CLOCKS)
    clock[kernel.BASE] = np.floor(flows.start.min()) if len(flows.start) else 0.0
    clock[kernel.FIRST] = np.inf
    clock[kernel.CUT] = np.inf
    return clock


def _rules(tolerance: float) -> F64:
    rule = np.array([EXACT[place] for place in sorted(EXACT)])
    if tolerance > EXACT[kernel.SLACK]:
        rule[kernel.SLACK], rule[kernel.EDGE] = tolerance, -tolerance
    return rule


def _transpose(ptr: npt.NDArray[np.int64], ids: npt.NDArray[np.int32], count: int) -> tuple[Any, Any]:
    owner = np.repeat(np.arange(count, dtype=np.int32), np.diff(ptr))
    order = np.argsort(ids, kind="stable")
    return np.concatenate([[0], np.cumsum(np.bincount(ids, minlength=count))]).astype(np.int64), owner[order]
