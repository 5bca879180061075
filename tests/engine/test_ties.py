"""Flows that finish together in exact arithmetic finish in one epoch, at one time to the last bit, in every mode."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest

import topologies
from fabric import Network
from fabric.bind import Overheads, Placement, bind, route_traffic
from fabric.collectives import build
from fabric.engine import Flows, solve
from tests import reference
from tests.engine.instances import switch
from tests.reference import Instance

MODES = [(kernel, method) for kernel in ("python", "numba") for method in ("hybrid", "full", "repair")]
modes = pytest.mark.parametrize(("kernel", "method"), MODES)


def switch_of_three_sizes() -> Flows:
    """56 flows between 8 ports, the last of them slower."""
    flows = switch(8, np.random.default_rng(8).choice([1e6, 2e6, 3e6], 56), 1e11 / 7)
    flows.capacity[[7, 15]] *= 0.5
    return flows


def switch_of_odd_capacities() -> Flows:
    """56 equal flows between 8 ports, of which no two have the same share of a rounded number."""
    flows = switch(8, 1e6)
    return Flows.build(np.tile(1e9 / (3 + 2 * np.arange(8)), 2), flows.bytes, (flows.route_ptr, flows.route_ids))


def torus_of_three_sizes() -> Flows:
    """240 flows between the 16 nodes of a torus of 2x2x4, some on halves of two routes."""
    network = Network(topologies.torus([2, 2, 4], 1e11 / 3, 0))
    sizes = np.random.default_rng(4).choice([1e6, 2e6, 3e6], (16, 16))
    schedule = build("all_to_all_v", "direct", network.layout(np.arange(16)), matrix=sizes * (1 - np.eye(16)))
    placed = [Placement(schedule, np.arange(16))]
    return bind(network, placed, route_traffic(network, placed), Overheads())


CASES = [switch_of_three_sizes, switch_of_odd_capacities, torus_of_three_sizes]


@cache
def exact(case) -> tuple[int, list[list[int]]]:
    """The epochs of the kernel on Fractions, and which flows finish together in the independent reference, the first first."""
    flows = case()
    share = [part.tolist() for part in np.split(flows.route_coef, flows.route_ptr[1:-1])]
    routes = [dict(zip(route, shares)) for route, shares in zip(flows.routes, share)]
    run = reference.run(Instance(flows.capacity.tolist(), flows.bytes.tolist(), routes))
    return solve(flows, kernel="exact", symmetry="off").epochs, together(run.finish)


def together(finish) -> list[list[int]]:
    """The flows of each finish, in the order of time."""
    groups: dict[Fraction | float, list[int]] = {}
    for flow, time in enumerate(finish):
        groups.setdefault(time, []).append(flow)
    return [groups[time] for time in sorted(groups)]


@modes
@pytest.mark.parametrize("case", CASES)
def test_as_many_epochs_as_in_exact_arithmetic(case, kernel, method):
    epochs, groups = exact(case)
    outcome = solve(case(), kernel=kernel, method=method, symmetry="off")
    assert together(outcome.finish.tolist()) == groups
    assert outcome.epochs == epochs


@modes
def test_four_kinds_of_ports_are_four_finishes(kernel, method):
    """36 ports each of 1, 2, 3 and 4 c, in and out; 20,592 equal flows.

    The 36 slowest ports give each of their 143 flows x1 = c / 143. The next 36 have 143 flows too, 36 of them at x1, so
    x2 = (2 c - 36 x1) / 107; then x3 = (3 c - 36 (x1 + x2)) / 71 and x4 = (4 c - 36 (x1 + x2 + x3)) / 35. A flow goes at
    the rate of the slower of its ports to the end: what faster ones leave free nobody can use.
    """
    c, size = Fraction(1e11 / 7), 1e6
    kind = np.arange(144) % 4
    rates: list[Fraction] = []
    for step, flows in enumerate((143, 107, 71, 35)):
        rates.append(((step + 1) * c - 36 * sum(rates)) / flows)
    whole = switch(144, size)
    capacity = np.tile([float((k + 1) * c) for k in kind], 2)
    outcome = solve(
        Flows.build(capacity, whole.bytes, (whole.route_ptr, whole.route_ids)), kernel=kernel, method=method, symmetry="off"
    )
    assert outcome.epochs == 4
    source, target = (index.ravel() for index in np.indices((144, 144)))
    slower = np.minimum(kind[source], kind[target])[source != target]
    for step, rate in enumerate(rates):
        (finish,) = set(outcome.finish[slower == step].tolist())
        assert finish == pytest.approx(float(Fraction(size) / rate), rel=1e-14)


@modes
def test_many_steps_end_with_one(kernel, method):
    """On each capacity c a flow of 400 bytes and 400 flows of 1 byte, one after another, at c / 2 each.

    The j-th of them ends at 2 j / c, the last with the long one: 400 sums and one product that rounding sets apart. On
    capacities of 3, 7 and 11 bytes/s some of these times are the same again.
    """
    capacity, steps = [3, 7, 11], 400
    one = [step for _ in capacity for step in range(steps + 1)]
    flows = Flows.build(
        capacity,
        [steps if step == 0 else 1.0 for step in one],
        [[k] for k in range(len(capacity)) for _ in range(steps + 1)],
        waits=[[place - 1] if step > 1 else [] for place, step in enumerate(one)],
    )
    due = [Fraction(2 * (step or steps), c) for c in capacity for step in range(steps + 1)]
    outcome = solve(flows, kernel=kernel, method=method, symmetry="off")
    assert together(outcome.finish.tolist()) == together(due)
    assert outcome.epochs == 1 + len(set(due)) - 3  # rates change at 0 and with each finish but the last on a capacity
    assert outcome.finish.tolist() == pytest.approx([float(time) for time in due], rel=1e-12)
