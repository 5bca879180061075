"""Schedules on fabrics: what holds for every one of them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy import Environment, Event

import topologies
from fabric import Network, Overheads, Schedule, simulate
from fabric.bind import Placement, bind, route_traffic
from fabric.collectives import ALGORITHMS, applicable
from fabric.collectives.all_to_all import direct_v
from fabric.engine import Engine, Progress, refine, solve
from fabric.errors import InputError, RunError
from fabric.layout import Layout
from fabric.simulation import fluid, least_time, run_flows
from tests.engine.instances import switch
from topologies.cores import with_cores
from topologies.parts import Link

FABRICS = {
    "trn1": topologies.trn1,
    "trn2": topologies.trn2,
    "cores": lambda: with_cores(topologies.torus([2, 2], 1e9, 1e-6), 2, Link(5e9, 1e-7, "core", "an example", "given")),
    "trn3 rack": lambda: topologies.trn3_gen1(racks=1),
    "trn3 sleds": lambda: topologies.trn3_gen2(racks=1),
    "ring": lambda: topologies.ring(5, 1e9, 1e-6),
    "mesh 2x3": lambda: topologies.mesh([2, 3], 1e9, 1e-6),
    "torus 2x3": lambda: topologies.torus([2, 3], [1e9, 2e9], 1e-6),
    "hypercube": lambda: topologies.hypercube(3, 1e9, 1e-6),
    "full_mesh": lambda: topologies.full_mesh(4, 1e9, 1e-6),
    "switch": lambda: topologies.switch(6, 1e9, 1e-6),
    "leaf_spine": lambda: topologies.leaf_spine(2, 2, 2, 1e9, 1e9, 1e-6),
    "fat_tree": lambda: topologies.fat_tree(4, 1e9, 1e-7),
    "cluster": lambda: topologies.efa_cluster(topologies.torus([2, 2], 10e9, 3e-7), 3),
    "degraded": lambda: topologies.degrade(topologies.trn2(), down=[(0, 1)], slow=[((2, 3), 0.3)]),
}
QUICK = 2000  # transfers; every algorithm has fewer on some of the fabrics
OVERHEADS = Overheads(alpha_link=1.3e-6, alpha_efa=15e-6, start=2e-6)


@cache
def network(name: str) -> Network:
    return Network(FABRICS[name]())


def cases() -> list[tuple[str, Schedule]]:
    found = []
    for name in FABRICS:
        layout = network(name).layout(np.arange(network(name).ranks))
        for collective in ALGORITHMS:
            if collective != "all_to_all_v":
                schedules = applicable(collective, layout)
                found += [(name, one) for one in schedules.values() if isinstance(one, Schedule) and one.transfers <= QUICK]
    return found


def test_no_algorithm_is_left_out() -> None:
    missing = {(collective, name) for collective, some in ALGORITHMS.items() for name in some}
    missing -= {(schedule.collective, schedule.algorithm) for _, schedule in cases()}
    assert {collective for collective, _ in missing} == {"all_to_all_v"}  # a matrix of its own; see the tests below


@pytest.mark.parametrize(("name", "schedule"), cases(), ids=lambda value: getattr(value, "algorithm", value))
def test_every_schedule_on_every_fabric(name: str, schedule: Schedule) -> None:
    """Classes give what single flows give; bytes are conserved, no link is over its capacity, the floor is one."""
    fabric = network(name)
    placed = Placement(schedule.scaled(1e7), np.arange(schedule.ranks))
    traffic = route_traffic(fabric, [placed])
    flows = bind(fabric, [placed], traffic, OVERHEADS)
    classes = refine(flows)  # small instances are not searched unless one asks
    assert classes is not None
    outcome, alone = run_flows(flows, classes, verify=True), run_flows(flows)
    assert (outcome.classes, alone.classes) == (classes.flows, len(flows.bytes))
    for what in ("finish", "carried", "busy", "full"):
        one, other = getattr(outcome, what), getattr(alone, what)
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * other.max(initial=0), err_msg=what)

    shares = np.add.reduceat(traffic.routes.share, traffic.routes.ptr[:-1])[traffic.pair]
    assert outcome.carried.sum() == pytest.approx((placed.schedule.bytes * shares).sum(), rel=1e-12)
    assert (outcome.carried <= fabric.capacity * outcome.time * (1 + 1e-12)).all()
    assert (outcome.full <= outcome.busy * (1 + 1e-12)).all()
    assert least_time(flows) <= outcome.time * (1 + 1e-12)


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_relabelling_ranks_changes_nothing(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 7))
    sizes = st.lists(st.floats(0, 1e9), min_size=n * n, max_size=n * n).filter(any)
    matrix = np.array(data.draw(sizes)).reshape(n, n)
    order = np.array(data.draw(st.permutations(range(n))))
    fabric = Network(topologies.switch(n, 1e9, 1e-6))
    schedule = direct_v(Layout(n), matrix)
    moved = direct_v(Layout(n), matrix[np.ix_(order, order)])
    if schedule.transfers:
        first = simulate(fabric, schedule, overheads=OVERHEADS)
        assert simulate(fabric, moved, overheads=OVERHEADS).time == pytest.approx(first.time, rel=1e-12)
        assert simulate(fabric, moved, ranks=order.tolist(), overheads=OVERHEADS).carried == pytest.approx(first.carried)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1e8), min_size=256, max_size=256).filter(any))
def test_no_exchange_beats_its_bounds(sizes: list[float]) -> None:
    """`simulate` raises an internal error if it does; the bound is reached where one port binds alone."""
    matrix = np.array(sizes).reshape(16, 16)
    np.fill_diagonal(matrix, 0)
    if matrix.any():
        result = simulate(network("trn2"), direct_v(Layout(16), matrix), overheads=OVERHEADS)
        assert result.gap >= 1 - 1e-9


def test_simpy_wakes_for_other_processes_alone() -> None:
    """56 flows of different sizes through a switch on which a port fails and returns: the fluid network wakes for the two
    changes and at the end, whatever happens within, and the times are those of an engine that is told of them before."""
    sizes = np.random.default_rng(6).uniform(1e6, 2e6, 56)
    flows, changes = switch(8, sizes), [(2e-3, 0.0), (5e-3, 1e9)]
    engine = Engine(flows, kernel="python")
    wakes: list[float] = []

    def advance(until: float) -> Progress:
        wakes.append(until)
        return Engine.advance(engine, until)

    def fail() -> Generator[Event, None, None]:
        for time, capacity in changes:
            yield env.timeout(time - env.now)
            engine.set_capacity(3, capacity)

    engine.advance = advance  # type: ignore[method-assign, assignment]
    env = Environment()
    env.process(fluid(env, engine))
    env.process(fail())
    env.run()
    told = solve(replace(flows, **events(changes)), kernel="python")
    assert told.epochs > 50
    assert engine.outcome().finish == pytest.approx(told.finish, rel=1e-12)
    assert len(wakes) <= 2 * (len(changes) + 1)  # before and after each event of the other process, its beginning too
    assert env.now == pytest.approx(told.time, rel=1e-12)


def events(changes: list[tuple[float, float]]) -> dict[str, np.ndarray]:
    times, capacities = np.array(changes).T
    return {"event_time": times, "event_id": np.full(len(times), 3, np.int32), "event_capacity": capacities}


def test_flows_that_stall_say_so_under_simpy() -> None:
    flows = switch(3, 1e6)
    with pytest.raises(RunError, match="the transfers stall: flow 2 has no bandwidth on capacity 3; flow 4 has"):
        run_flows(replace(flows, capacity=np.array([1.0, 1, 1, 0, 1, 1])))


def test_a_collective_pays_its_start_once_and_its_destinations_one_by_one() -> None:
    fabric = Network(topologies.full_mesh(4, 1e9))
    schedule = applicable("all_gather", Layout(4))["mesh"]
    assert isinstance(schedule, Schedule)
    overheads = Overheads(alpha_link=1e-6, start=5e-6, per_destination=1e-7)
    # The third destination starts 3 x 0.1 us late; every one has a link of its own.
    expected = 5e-6 + 1e-6 + 3e-7 + 1000 / 1e9
    assert simulate(fabric, schedule.scaled(4000), overheads=overheads).time == pytest.approx(expected, rel=1e-12)


def test_resources_of_nodes_bind_like_links() -> None:
    """Each rank sends 3 and receives 3 blocks of 1 GB through 1 GB/s of memory, two uses each: (3 + 3 x 2) s."""
    graph = topologies.full_mesh(4, 1e12)
    for node in graph.nodes:
        graph.nodes[node]["resources"] = {"hbm": {"bandwidth": 1e9, "send": 1, "receive": 2}}
    schedule = applicable("all_gather", Layout(4))["mesh"]
    assert isinstance(schedule, Schedule)
    result = simulate(graph, schedule.scaled(4e9))
    assert result.time == pytest.approx(9.0)
    assert result.bottleneck(1)[0].tier == "hbm"


def test_replica_groups_share_links() -> None:
    """Two groups on one ring of 4: each sends S/2 between opposite ranks, and the two cross on every link."""
    fabric = Network(topologies.ring(4, 1e9))
    schedule = applicable("all_gather", Layout(2))["mesh"]
    assert isinstance(schedule, Schedule)
    groups = [Placement(schedule.scaled(4e9), np.array(ranks)) for ranks in ([0, 2], [1, 3])]
    flows = bind(fabric, groups, route_traffic(fabric, groups), Overheads())
    # Each transfer of 2 GB is split half and half over both ways; every link carries one half of two of the four.
    assert run_flows(flows).time == pytest.approx(2.0)


def test_a_placement_is_checked() -> None:
    schedule = applicable("all_gather", Layout(4))["mesh"]
    assert isinstance(schedule, Schedule)
    with pytest.raises(InputError, match="placed on 3"):
        simulate(network("trn2"), schedule, ranks=[0, 1, 2])
    with pytest.raises(InputError, match="distinct ranks"):
        simulate(network("trn2"), schedule, ranks=[0, 1, 2, 2])
    with pytest.raises(InputError, match="distinct ranks"):
        simulate(network("trn2"), schedule, ranks=[0, 1, 2, 16])
