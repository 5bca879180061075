"""Flows that must behave alike, found once and simulated once.

A partition of flows and capacities is *equitable* if capacities of a class have the same value at all times and the
same flows of every class with the same coefficients, flows of a class have the same numbers, use the same classes of
capacities with the same coefficients, and wait for the same classes of flows. Then all flows of a class have the same
rate at every time: progressive filling treats whole classes alike, so completions, begins and changes hit whole
classes, and by induction over the epochs nothing ever tells two members apart. So the *quotient*, one flow per class on
one capacity per class, has the same times; a class of flows uses a capacity of a class with the sum of the coefficients
of all its members there.

Classes are found by colour refinement with 64-bit hashes and then checked exactly, so a collision of hashes cannot
harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .flows import I32, I64, Flows, Outcome

U64 = npt.NDArray[np.uint64]

SMALL = 4096  # flows and route entries below which a run is quicker than the search
SHRINK = 4  # the quotient must be so many times smaller to be worth it
ROUNDS = 64  # a chain of waits without labels needs as many rounds as it is long: no use


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of every flow and of every capacity, numbered from 0, and one member of each."""

    flow: I32  # F
    capacity: I32  # K
    flow_member: I64
    capacity_member: I64

    @property
    def flows(self) -> int:
        """Classes of flows."""
        return len(self.flow_member)

    @property
    def capacities(self) -> int:
        """Classes of capacities."""
        return len(self.capacity_member)


def find_classes(flows: Flows) -> Classes | None:
    """Classes where the search is worth its time and shrinks the instance well."""
    if len(flows.bytes) + len(flows.route_ids) < SMALL:
        return None
    return refine(flows, most=len(flows.bytes) // SHRINK)


def refine(flows: Flows, *, most: int | None = None) -> Classes | None:
    """The coarsest equitable classes that respect labels; None if there are more than `most` classes of flows."""
    limit = len(flows.bytes) if most is None else most
    flow, capacity = _first_colours(flows)
    entry_flow = np.repeat(np.arange(len(flow), dtype=np.int32), np.diff(flows.route_ptr))
    key = _mix(_bits(flows.route_coef)) | np.uint64(1)
    plain = len(key) == 0 or bool(np.all(key == key[0]))
    known = (0, 0)
    for _ in range(ROUNDS if most is not None else len(flow) + len(capacity) + 1):
        counts = (_distinct(flow), _distinct(capacity))
        if counts[0] > limit:
            return None
        if counts == known:
            return _checked(flows, flow, capacity, entry_flow)
        known = counts
        seen = _mix(capacity)[flows.route_ids]
        told = _mix(flow)[entry_flow]
        if not plain:
            seen, told = seen * key, told * key
        before = _sums(_mix(flow + np.uint64(1))[flows.wait_ids], flows.wait_ptr)
        flow, capacity = (
            _mix(flow + _mix(_sums(seen, flows.route_ptr)) + _mix(before ^ np.uint64(0x9E3779B97F4A7C15))),
            _mix(capacity + _sums_at(told, flows.route_ids, len(capacity))),
        )
    return None


def quotient(flows: Flows, classes: Classes) -> Flows:
    """One flow and one capacity per class."""
    one, other = classes.flow_member, classes.capacity_member
    # entries on the member of each class of capacities
    mine = other[classes.capacity[flows.route_ids]] == flows.route_ids
    owner = np.repeat(classes.flow, np.diff(flows.route_ptr))[mine].astype(np.int64)
    pair, place = np.unique(owner * len(other) + classes.capacity[flows.route_ids[mine]], return_inverse=True)
    wait_ptr, wait_ids = _member_waits(flows, classes)
    keep = np.isin(flows.event_id, other)
    return Flows(
        capacity=flows.capacity[other],
        bytes=flows.bytes[one],
        route_ptr=np.searchsorted(pair, np.arange(len(one) + 1) * len(other)).astype(np.int64),
        route_ids=(pair % len(other)).astype(np.int32),
        route_coef=_sums_of_alike(place, flows.route_coef[mine], len(pair)),
        delay=flows.delay[one],
        start=flows.start[one],
        wait_ptr=wait_ptr,
        wait_ids=wait_ids,
        flow_cap=flows.flow_cap[one],
        repeat=flows.repeat[one],
        label=flows.label[one],
        event_time=flows.event_time[keep],
        event_id=classes.capacity[flows.event_id[keep]],
        event_capacity=flows.event_capacity[keep],
    )


def _sums_of_alike(place: I64, values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """[count] the sum at each place. Equal values are counted, so that a million of them add up without rounding."""
    distinct, kind = np.unique(values, return_inverse=True)
    key, times = np.unique(place * len(distinct) + kind, return_counts=True)
    return np.bincount(key // len(distinct), times * distinct[key % len(distinct)], count).astype(float)


def expand(outcome: Outcome, classes: Classes, flows: Flows) -> Outcome:
    """Give every flow and capacity what its class did."""
    history = outcome.history
    return replace(
        outcome,
        eligible=outcome.eligible[classes.flow],
        begin=outcome.begin[classes.flow],
        finish=outcome.finish[classes.flow],
        duration=outcome.duration[classes.flow],
        carried=outcome.carried[classes.capacity],
        busy=outcome.busy[classes.capacity],
        full=outcome.full[classes.capacity],
        classes=classes.flows,
        flows=len(flows.bytes),
        history=history and replace(history, row=history.row[classes.capacity]),
    )


def equitable(flows: Flows, classes: Classes) -> bool:
    """Whether the classes are equitable, compared number by number."""
    one, other = classes.flow_member[classes.flow], classes.capacity_member[classes.capacity]
    for column in (flows.bytes, flows.delay, flows.start, flows.flow_cap, flows.repeat):
        if not np.array_equal(column, column[one]):
            return False
    if not np.array_equal(flows.capacity, flows.capacity[other]):
        return False
    entry_flow = np.repeat(np.arange(len(one)), np.diff(flows.route_ptr))
    _, coef = np.unique(flows.route_coef, return_inverse=True)
    kinds = int(coef.max(initial=0)) + 1
    waiting = np.repeat(np.arange(len(one)), np.diff(flows.wait_ptr))
    changes = np.rec.fromarrays([flows.event_time, flows.event_capacity])
    _, change = np.unique(changes, return_inverse=True)
    return (
        _alike(flows.route_ids, classes.flow[entry_flow].astype(np.int64) * kinds + coef, classes.flows * kinds, other)
        and _alike(
            entry_flow,
            classes.capacity[flows.route_ids].astype(np.int64) * kinds + coef,
            classes.capacities * kinds,
            one,
        )
        and _alike(waiting, classes.flow[flows.wait_ids].astype(np.int64), classes.flows, one)
        and _alike(flows.event_id, change, len(change), other)
    )


def _alike(row: npt.NDArray[Any], token: I64, tokens: int, member: I64) -> bool:
    """Whether every row holds the same tokens, equally often, as the row of its member."""
    if not len(row):
        return True
    held = np.sort(row.astype(np.int64) * tokens + token)
    owner = held // tokens
    ptr = np.searchsorted(owner, np.arange(len(member) + 1))
    length = np.diff(ptr)
    if not np.array_equal(length, length[member]):
        return False
    shift = ptr[member[owner]] - ptr[owner]
    twin = np.arange(len(held)) + shift
    return np.array_equal(held - owner * tokens, held[twin] - owner[twin] * tokens)


def _checked(flows: Flows, flow: U64, capacity: U64, entry_flow: I32) -> Classes | None:
    _, flow_member, flow_class = np.unique(flow, return_index=True, return_inverse=True)
    _, capacity_member, capacity_class = np.unique(capacity, return_index=True, return_inverse=True)
    classes = Classes(flow_class.astype(np.int32), capacity_class.astype(np.int32), flow_member, capacity_member)
    return classes if equitable(flows, classes) else None


def _first_colours(flows: Flows) -> tuple[U64, U64]:
    flow = _mix(flows.label.astype(np.uint64))
    for column in (flows.bytes, flows.delay, flows.start, flows.flow_cap, flows.repeat):
        flow = _mix(flow + _bits(column))
    capacity = _mix(_bits(flows.capacity))
    changes = _mix(_bits(flows.event_time) + _mix(_bits(flows.event_capacity)))
    return flow, _mix(capacity + _sums_at(changes, flows.event_id, len(capacity)))


def _member_waits(flows: Flows, classes: Classes) -> tuple[I64, I32]:
    one = classes.flow_member
    length = flows.wait_ptr[one + 1] - flows.wait_ptr[one]
    place = np.arange(length.sum()) + np.repeat(flows.wait_ptr[one] - (np.cumsum(length) - length), length)
    owner = np.repeat(np.arange(len(one)), length)
    pair = np.unique(owner * len(one) + classes.flow[flows.wait_ids[place]])
    return np.searchsorted(pair, np.arange(len(one) + 1) * len(one)).astype(np.int64), (pair % len(one)).astype(np.int32)


def _bits(values: npt.NDArray[Any]) -> U64:
    return np.ascontiguousarray(values + 0).view(np.uint64) if values.dtype.itemsize == 8 else values.astype(np.uint64)


def _mix(values: U64) -> U64:
    """Scatter the bits of each number: two rounds of multiply and shift (the finaliser of SplitMix64)."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _sums(values: U64, ptr: I64) -> U64:
    """Sum of each run of values, modulo 2^64: the order does not matter."""
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    return np.asarray(total[ptr[1:]] - total[ptr[:-1]])


def _sums_at(values: U64, index: npt.NDArray[Any], length: int) -> U64:
    total = np.zeros(length, np.uint64)
    np.add.at(total, index, values)
    return total


def _distinct(values: U64) -> int:
    ordered = np.sort(values)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if len(ordered) else 0
