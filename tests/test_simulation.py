"""Schedules on fabrics: what holds for every one of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric import Network, Overheads, Schedule, simulate
from fabric.bind import Placement, bind, route_traffic
from fabric.collectives import ALGORITHMS, applicable
from fabric.collectives.all_to_all import direct_v
from fabric.engine import Engine
from fabric.engine.symmetry import find_classes
from fabric.errors import InputError
from fabric.layout import Layout
from fabric.simulation import least_time, run_flows

FABRICS = {
    "trn2": topologies.trn2,
    "torus 2x3": lambda: topologies.torus([2, 3], [1e9, 2e9], 1e-6),
    "trn3 rack": lambda: topologies.trn3_gen1(racks=1),
    "fat_tree": lambda: topologies.fat_tree(4, 1e9, 1e-7),
    "cluster": lambda: topologies.efa_cluster(topologies.torus([2, 2], 10e9, 3e-7), 3),
    "degraded": lambda: topologies.degrade(topologies.trn2(), down=[(0, 1)], slow=[((2, 3), 0.3)]),
}
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
                found += [(name, one) for one in schedules.values() if isinstance(one, Schedule)]
    return found


@pytest.mark.parametrize(("name", "schedule"), cases(), ids=lambda value: getattr(value, "algorithm", value))
def test_every_schedule_on_every_fabric(name: str, schedule: Schedule) -> None:
    """Bytes are conserved, no link is over its capacity, classes give what single flows give, the floor is one."""
    fabric = network(name)
    placed = Placement(schedule.scaled(3e7), np.arange(schedule.ranks))
    traffic = route_traffic(fabric, [placed])
    flows = bind(fabric, [placed], traffic, OVERHEADS)
    outcome = run_flows(flows, find_classes(flows), verify=True)

    engine = Engine(flows, kernel="python")
    engine.advance()
    alone = engine.outcome()
    assert outcome.finish == pytest.approx(alone.finish, rel=1e-12)
    assert outcome.carried == pytest.approx(alone.carried, rel=1e-12, abs=1e-6)

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
