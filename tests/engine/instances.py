"""Random instances of everything that the engine knows, for the tests."""

from __future__ import annotations

import math

import numpy as np

from fabric.engine import Flows
from tests.reference import Instance

COEFFICIENTS = (1.0, 1.0, 1.0, 0.5, 1 / 3, 2.0)


def random_instance(seed: int) -> Instance:
    """A random DAG: delays, starts, waits, zero bytes, empty routes, coefficients, caps, repeats, and capacities
    that change, go to zero and come back."""
    rng = np.random.default_rng(seed)
    count, capacities = int(rng.integers(2, 40)), int(rng.integers(1, 9))
    capacity = rng.choice([1.0, 2.0, 3.0, 5.0, 10.0], capacities)
    routes = [_route(rng, capacities) for _ in range(count)]
    few = bool(rng.integers(2))  # few sizes make ties
    sizes = rng.choice([0.0, 1.0, 2.0, 4.0], count) if few else rng.uniform(0, 10, count) * (rng.random(count) > 0.1)
    waits = [
        sorted({int(rng.integers(flow)) for _ in range(int(rng.integers(3)))} if flow and rng.random() < 0.6 else set())
        for flow in range(count)
    ]
    events = []
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            index, time = int(rng.integers(capacities)), float(rng.uniform(0, 8))
            low = 0.0 if rng.random() < 0.6 else float(rng.uniform(0.2, 2))
            events += [(time, index, low), (time + float(rng.uniform(0.1, 4)), index, float(capacity[index]))]
    caps = rng.random() < 0.5
    return Instance(
        capacity=capacity.tolist(),
        bytes=sizes.tolist(),
        routes=routes,
        delay=rng.choice([0.0, 0.0, 0.25, 0.1], count).tolist(),
        start=np.where(rng.random(count) < 0.3, rng.uniform(0, 5, count), 0.0).tolist(),
        waits=waits,
        flow_cap=[float(rng.uniform(0.05, 2)) if caps and rng.random() < 0.4 else math.inf for _ in range(count)],
        repeat=rng.choice([1, 1, 1, 1, 2, 3], count).tolist(),
        events=events,
    )


def flows_of(instance: Instance) -> Flows:
    """The same for the engine."""
    return Flows.build(
        instance.capacity,
        instance.bytes,
        [list(route) for route in instance.routes],
        coefficients=[list(route.values()) for route in instance.routes],
        delay=instance.delay,
        start=instance.start,
        waits=instance.waits,
        flow_cap=instance.flow_cap,
        repeat=instance.repeat,
        events=instance.events,
    )


def switch(ports: int, sizes: np.ndarray | float, capacity: float = 1e9) -> Flows:
    """All-to-all over one switch: flow from port i takes capacity i, flow to port j takes capacity ports + j."""
    source, target = (index.ravel() for index in np.indices((ports, ports)))
    source, target = source[source != target], target[source != target]
    routes = np.stack([source, ports + target], 1)
    count = len(source)
    return Flows.build(
        np.full(2 * ports, capacity),
        np.broadcast_to(np.asarray(sizes, float), count),
        (np.arange(count + 1) * 2, routes.ravel()),
    )


def _route(rng: np.random.Generator, capacities: int) -> dict[int, float]:
    hops = int(rng.integers(0 if rng.random() < 0.1 else 1, min(4, capacities) + 1))
    return {int(index): float(rng.choice(COEFFICIENTS)) for index in rng.choice(capacities, hops, replace=False)}
