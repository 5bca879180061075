"""An independent exact reference of the engine: Fractions, progressive filling from scratch, one event after the other.

It shares nothing with the package: no code, no data structure, no shortcut. It is slow and meant to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

Route = dict[int, Fraction]


@dataclass
class Instance:
    """Flows as plain lists. `routes[f]` maps a capacity to its coefficient; `events` are (time, capacity, value)."""

    capacity: Sequence[float]
    bytes: Sequence[float]
    routes: Sequence[dict[int, float]]
    delay: Sequence[float] = ()
    start: Sequence[float] = ()
    waits: Sequence[Sequence[int]] = ()
    flow_cap: Sequence[float] = ()
    repeat: Sequence[int] = ()
    events: Sequence[tuple[float, int, float]] = ()


@dataclass
class Run:
    """Exact results: finish of each flow (None if it stalls), bytes and busy time per capacity, constant intervals."""

    finish: list[Fraction | None]
    carried: list[Fraction]
    busy: list[Fraction]
    epochs: int = 0
    rates: list[dict[int, Fraction]] = field(default_factory=list)


def max_min(capacity: list[Fraction], routes: dict[int, Route], cap: dict[int, Fraction | None]) -> dict[int, Fraction]:
    """Raise all rates together; fix those that meet a full capacity or their own cap; raise the rest on."""
    rate: dict[int, Fraction] = {}
    while len(rate) < len(routes):
        left, weight = list(capacity), [Fraction(0)] * len(capacity)
        for flow, route in routes.items():
            for index, coefficient in route.items():
                if flow in rate:
                    left[index] -= coefficient * rate[flow]
                else:
                    weight[index] += coefficient
        levels = {index: left[index] / weight[index] for index in range(len(capacity)) if weight[index]}
        limits = [cap[flow] for flow in routes if flow not in rate and cap[flow] is not None]
        level = min([*levels.values(), *limits])
        full = {index for index, value in levels.items() if value == level}
        rate |= {
            flow: level
            for flow, route in routes.items()
            if flow not in rate and (cap[flow] == level or not full.isdisjoint(route))
        }
    return rate


def run(instance: Instance) -> Run:
    """All flows to the end."""
    count = len(instance.bytes)
    exact = Fraction
    size = [exact(value) for value in instance.bytes]
    routes: list[Route] = [{index: exact(value) for index, value in route.items()} for route in instance.routes]
    delay = [exact(value) for value in instance.delay] or [exact(0)] * count
    start = [exact(value) for value in instance.start] or [exact(0)] * count
    waits = [set(flows) for flows in instance.waits] or [set() for _ in range(count)]
    cap = [None if value == float("inf") else exact(value) for value in instance.flow_cap] or [None] * count
    rounds = list(instance.repeat) or [1] * count
    capacity = [exact(value) for value in instance.capacity]
    events = sorted((exact(time), index, exact(value)) for time, index, value in instance.events)

    result = Run([None] * count, [exact(0)] * len(capacity), [exact(0)] * len(capacity))
    finished: set[int] = set()
    waking: dict[int, Fraction] = {}  # flow: when its delay is over
    left: dict[int, Fraction] = {}  # flow that is sending: bytes left
    now = min(start, default=exact(0))
    known: set[int] = set()
    while True:
        # What happens now: capacities change, delays end, flows finish and others become eligible, until nothing more
        # does
        while events and events[0][0] <= now:
            _, index, value = events.pop(0)
            capacity[index] = value
        changed = True
        while changed:
            changed = False
            for flow in set(range(count)) - known:
                if start[flow] <= now and waits[flow] <= finished:
                    known.add(flow)
                    waking[flow] = now + delay[flow]
                    changed = True
            for flow in [flow for flow, time in waking.items() if time <= now]:
                del waking[flow]
                left[flow] = size[flow] if routes[flow] else exact(0)
                changed = True
            for flow in [flow for flow, value in left.items() if value == 0]:
                del left[flow]
                rounds[flow] -= 1
                changed = True
                if rounds[flow]:
                    waking[flow] = now + delay[flow]
                else:
                    finished.add(flow)
                    result.finish[flow] = now
        rate = max_min(capacity, {flow: routes[flow] for flow in left}, {flow: cap[flow] for flow in left})
        times = [now + left[flow] / rate[flow] for flow in left if rate[flow]] + list(waking.values())
        times += [start[flow] for flow in range(count) if flow not in known and start[flow] > now]
        if events and len(finished) < count:
            times.append(events[0][0])
        if not times:
            return result
        then = min(times)
        if left:
            result.epochs += 1
            result.rates.append(rate)
        for index in {index for flow in left for index in routes[flow]}:
            result.busy[index] += then - now
        for flow in left:
            left[flow] -= rate[flow] * (then - now)
            for index, coefficient in routes[flow].items():
                result.carried[index] += coefficient * rate[flow] * (then - now)
        now = then
