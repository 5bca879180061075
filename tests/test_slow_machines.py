"""Slow links in single machines of a folded cluster: what max-plus gives is what the cluster in full does."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.bind import Overheads
from fabric.collectives import build
from fabric.describe import describe
from fabric.errors import InputError
from fabric.network import Network
from fabric.report import tables
from fabric.result import Result
from fabric.runner import load, run_scenario
from fabric.scenario import read_scenario
from fabric.simulation import simulate
from topologies import Graph, degrade, efa_cluster

from .test_folding import OVERHEADS, PODS_OF_TWO, SIZE, SMALL, UNEQUAL, class_of, run

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter")
Slow = list[tuple[tuple[Any, Any], float]]


def both(machine: str, count: int, slow: Slow, collective: str, parameters: dict[str, Any], **options: Any) -> list[Result]:
    """Folded and in full, with the same slow links by the same names."""
    graphs = (
        efa_cluster(machine, count, fold=True, **parameters),
        efa_cluster(machine, count, fold=False, spread=True, **parameters),
    )
    return [run(degrade(graph, slow=slow), collective, outer="ring", **options) for graph in graphs]


def alike(folded: Result, full: Result, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """For each link in full: the link of the folded result that stands for it, and whether it is of a machine that appears."""
    per_machine = {
        kind: sum(d["name"].startswith(f"{kind} ") for _, d in graph.nodes(data=True)) for kind in ("chip", "nic", "tor")
    }
    nodes = folded.network.graph.nodes.values()
    appear = {(class_of(node["name"], per_machine), node["machine"]): node["name"] for node in nodes}
    slow = {record["machine"] for record in folded.network.graph.graph["degraded"]}
    other = next(node["machine"] for node in nodes if node["machine"] not in (-1, *slow))
    known = {name: index for index, name in enumerate(folded.network.names)}
    place, shown = [], []
    for name in full.network.names:
        ends, real = [], True
        for end in name.split(" -> "):
            kind, number = end.split(" ")[:2]
            machine = -1 if kind in ("leaf", "spine") else int(number) // per_machine.get(kind, 1)
            twin = class_of(end, per_machine)
            real &= ((twin, machine) in appear and machine >= 0) or machine < 0
            ends.append(appear.get((twin, machine)) or appear[twin, other])
        place.append(known[" -> ".join(ends)])
        shown.append(real and not all(end.split()[0] in ("leaf", "spine") for end in ends))
    return np.array(place), np.array(shown)


def compare(machine: str, count: int, slow: Slow, collective: str, parameters: dict[str, Any], **options: Any) -> Result:
    """Time, bytes, utilisation and bounds of all links; busy and full of those that appear under their own names."""
    folded, full = both(machine, count, slow, collective, parameters, **options)
    assert folded.time == pytest.approx(full.time, rel=1e-12)
    assert (folded.ranks, folded.steps, folded.transfers) == (full.ranks, full.steps, full.transfers)
    place, shown = alike(folded, full, efa_cluster(machine, count, fold=True, **parameters))
    assert np.array_equal(np.bincount(place), folded.network.multiplicity)
    np.testing.assert_allclose(folded.network.capacity[place], full.network.capacity, rtol=1e-15)
    np.testing.assert_allclose(folded.carried[place], full.carried, rtol=1e-12)
    np.testing.assert_allclose(folded.busy[place][shown], full.busy[shown], rtol=1e-12, atol=1e-12 * full.time)
    np.testing.assert_allclose(folded.full[place][shown], full.full[shown], rtol=1e-12, atol=1e-12 * full.time)
    for mine, its in zip(folded.tiers(), full.tiers(), strict=True):
        assert (mine.tier, mine.links) == (its.tier, its.links)
        assert mine.bytes == pytest.approx(its.bytes, rel=1e-12)
        assert mine.utilisation_mean == pytest.approx(its.utilisation_mean, rel=1e-12)
        assert mine.utilisation_max == pytest.approx(its.utilisation_max, rel=1e-12)
    bounds = {bound.name: bound.time for bound in full.bounds}
    for bound in folded.bounds:
        assert bound.time == pytest.approx(bounds[bound.name], rel=1e-12)
    return folded


@pytest.mark.parametrize("count", [3, 4, 5, 8])
@pytest.mark.parametrize("collective", COLLECTIVES)
def test_one_slow_nic(collective: str, count: int) -> None:
    result = compare("trn2", count, [(("nic 18", "tor 2"), 0.25)], collective, {})
    assert result.time > 1.5 * run(efa_cluster("trn2", count, fold=True), collective, outer="ring").time
    assert f"max-plus over {count} machines, 1 with slow links; {result.classes:,} classes for " in result.note


@pytest.mark.parametrize("count", [3, 4, 5, 8])
@pytest.mark.parametrize("collective", COLLECTIVES)
def test_one_slow_link_between_chips(collective: str, count: int) -> None:
    compare("trn2", count, [((18, 22), 0.25)], collective, {})


@pytest.mark.parametrize("count", [4, 8])
@pytest.mark.parametrize("link", [("nic 18", "tor 2"), ("chip 18", "nic 18"), (18, 22)])
def test_two_pods(count: int, link: tuple[Any, Any]) -> None:
    compare("trn2", count, [(link, 0.2)], "all_reduce", PODS_OF_TWO)


@pytest.mark.parametrize(("share", "count"), [(1, 3), (1, 8), (2, 4), (2, 5), (2, 8)])
def test_shared_nics_of_unequal_tori(share: int, count: int) -> None:
    """Machines of 4x3x2 chips, of which the last has the slow NIC: its ring meets it in the first turn, from behind."""
    nic = 24 // share * (count - 1)
    compare("torus", count, [((f"nic {nic}", f"tor {2 * (count - 1)}"), 0.3)], "all_reduce", {**UNEQUAL, "nic_share": share})


@pytest.mark.parametrize("cable", [(("tor 2", "nic 10"), 0.4), (("nic 10", "tor 2"), 0.4)])
def test_one_direction_is_slow(cable: tuple[tuple[str, str], float]) -> None:
    """What is slow on the way in holds back the machine before."""
    graphs = (efa_cluster("trn1", 5, fold=True), efa_cluster("trn1", 5, fold=False, spread=True))
    folded, full = (run(degrade(graph, slow=[cable], cable=False), "all_reduce", outer="ring") for graph in graphs)
    assert folded.time == pytest.approx(full.time, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    machine=st.sampled_from(["ring", "full_mesh", "switch"]),
    pods=st.integers(1, 3),
    each=st.integers(1, 3),
    collective=st.sampled_from(COLLECTIVES),
    losses=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4), st.floats(0.05, 1)), min_size=1, max_size=3),
)
def test_several_slow_links(machine: str, pods: int, each: int, collective: str, losses: list[tuple[int, int, float]]) -> None:
    """Of several machines of three chips, inside and outside: in full or, where all machines have one, not at all."""
    count = pods * each
    if count < 2:
        return
    parameters = {**SMALL, "leaf_ports": 4 * each if pods > 1 else 256, "spine_ports": 256}
    parameters |= {"spines_per_plane": 1} if pods > 1 else {}
    slow: Slow = []
    for place, which, factor in losses:
        first = 3 * (place % count)
        inside = (first, f"machine {place % count} switch" if machine == "switch" else first + 1)
        outside = [(f"nic {first + chip}", f"tor {2 * (place % count) + chip % 2}") for chip in range(3)]
        slow.append(([inside, (first + 2, f"nic {first + 2}"), *outside][which], factor))
    if len({place % count for place, _, _ in losses}) == count:
        with pytest.raises(InputError, match="every machine has some"):
            run(degrade(efa_cluster(machine, count, fold=True, **parameters), slow=slow), collective, outer="ring")
        return
    try:
        compare(machine, count, slow, collective, parameters, inner="mesh")
    except InputError as refused:  # few machines, and one so slow inside that the ring overtakes it
        if "is not through with what comes before the ring when some of what comes after it begins" not in str(refused):
            raise


def test_a_cable_that_is_slow_but_not_narrow_changes_nothing() -> None:
    """The host link of 32 GB/s to a NIC of 25 GB/s: four fifths of it suffice."""
    slow = compare("trn2", 5, [(("chip 18", "nic 18"), 0.8)], "all_reduce", {})
    assert slow.time == pytest.approx(run(efa_cluster("trn2", 5, fold=True), "all_reduce", outer="ring").time, rel=1e-12)


def test_slower_uplinks_than_the_slow_nic() -> None:
    """Oversubscribed three times, all lanes have a third of a NIC; a NIC of half its rate holds none back."""
    compare("trn2", 5, [(("nic 18", "tor 2"), 0.5)], "all_reduce", {"oversubscription": 3.0})


@pytest.mark.parametrize(
    ("slow", "collective", "tier", "factor"),
    [
        ((5, 6), "all_reduce", "leaf", 0.9),  # lanes that start at different times share a ToR's uplinks
        (("nic 5", "tor 0"), "all_gather", "leaf", 0.9),  # a slow lane leaves the others more of these
        (("nic 5", "tor 0"), "all_gather", "spine", 0.9),  # machines that are not in step share a leaf's
    ],
)
def test_links_that_lanes_take_turns_on(slow: tuple[Any, Any], collective: str, tier: str, factor: float) -> None:
    graph = degrade(efa_cluster("trn2", 4, fold=True, **PODS_OF_TWO), slow=[(slow, 0.5)])
    for _, _, link in graph.edges(data=True):
        link["bandwidth"] *= factor if link["tier"] == tier else 1.0
    with pytest.raises(InputError, match="lanes of the ring that do not stay in step share the links that hold them back"):
        run(graph, collective, outer="ring")


def test_a_ring_that_overtakes_what_is_inside() -> None:
    """Two machines: chip 0 has all from the other machine before its own is through with a link of an eighth."""
    graph = degrade(efa_cluster("ring", 2, fold=True, **SMALL), slow=[((0, 1), 0.125)])
    with pytest.raises(InputError, match="is not through with what comes before the ring"):
        run(graph, "all_reduce", outer="ring", inner="mesh")


# --- a million chips ----------------------------------------------------------------------------------------------------


def test_time_of_a_million_chips() -> None:
    """Inside as in one UltraServer; the machine with the slow NIC takes 2 (m-1) turns at half the rate, each on its own, and
    the one after it has all when that has sent all. The chunks that come last have all of the way inside before them."""
    m, g, factor = 15_625, 64, 0.5
    turn = OVERHEADS.alpha_efa + 2 * 0.9e-6 + SIZE / g / m / (25e9 * factor)
    machine = Network(efa_cluster("trn2_ultraserver", 1))
    layout = machine.layout(np.arange(g))
    inside = 0.0
    for collective in ("reduce_scatter", "all_gather"):
        schedule = build(collective, "bucket", layout).scaled(SIZE)
        inside += simulate(machine, schedule, overheads=Overheads(alpha_link=1.3e-6)).time
    graph = degrade(efa_cluster("trn2_ultraserver", m), slow=[(("nic 1000", "tor 31"), factor)])
    result = run(graph, "all_reduce", outer="ring")
    assert result.time == pytest.approx(OVERHEADS.start + inside + 2 * (m - 1) * turn, rel=1e-12)
    assert (result.ranks, result.transfers) == (
        m * g,
        run(efa_cluster("trn2_ultraserver", m), "all_reduce", outer="ring").transfers,
    )


def test_reduce_scatter_of_a_million_chips() -> None:
    """It ends when the slow machine has sent all: inside first, then m-1 turns."""
    m, g, factor = 15_625, 64, 0.5
    machine = Network(efa_cluster("trn2_ultraserver", 1))
    schedule = build("reduce_scatter", "bucket", machine.layout(np.arange(g))).scaled(SIZE)
    inside = simulate(machine, schedule, overheads=Overheads(alpha_link=1.3e-6)).time
    turn = OVERHEADS.alpha_efa + 2 * 0.9e-6 + SIZE / g / m / (25e9 * factor)
    graph = degrade(efa_cluster("trn2_ultraserver", m), slow=[(("nic 1000", "tor 31"), factor)])
    result = run(graph, "reduce_scatter", outer="ring")
    assert result.time == pytest.approx(OVERHEADS.start + inside + (m - 1) * turn, rel=1e-12)


def test_a_slow_chip_link_among_a_million() -> None:
    """It delays the start of the ring by what the slow machine takes longer inside, and the end by the same once more; the
    ring itself goes on at full rate."""
    m, g, factor = 15_625, 64, 0.5
    turn = OVERHEADS.alpha_efa + 2 * 0.9e-6 + SIZE / g / m / 25e9
    whole = efa_cluster("trn2_ultraserver", m)
    slow = degrade(whole, slow=[((64, 65), factor)])
    machine = Network(degrade(efa_cluster("trn2_ultraserver", 1), slow=[((0, 1), factor)]))
    layout = machine.layout(np.arange(g))
    assert Network(slow).layout(np.arange(g)).inner == layout
    inside = 0.0
    for collective in ("reduce_scatter", "all_gather"):
        schedule = build(collective, "bucket", layout).scaled(SIZE)
        inside += simulate(machine, schedule, overheads=Overheads(alpha_link=1.3e-6)).time
    assert run(slow, "all_reduce", outer="ring").time == pytest.approx(OVERHEADS.start + inside + 2 * (m - 1) * turn, rel=1e-12)


def test_bytes_by_tier_of_a_million_chips() -> None:
    """A slow NIC changes none of them; its links are used at the rate at which they are slow."""
    m, g, factor = 15_625, 64, 0.5
    result = run(degrade(efa_cluster("trn2_ultraserver", m), slow=[(("nic 12", "tor 1"), factor)]), "all_reduce", outer="ring")
    tiers = {tier.tier: tier for tier in result.tiers()}
    for tier in ("nic", "efa", "leaf", "spine"):
        assert tiers[tier].bytes == pytest.approx(4 * SIZE * (m - 1), rel=1e-12)
    assert tiers["efa"].links == 4 * m * g
    sent = 2 * SIZE / g * (m - 1) / m
    assert tiers["efa"].utilisation_max == pytest.approx(sent / (25e9 * factor) / result.time, rel=1e-12)
    link = result.network.names.index("nic 12 -> tor 1")
    assert result.busy[link] == pytest.approx(sent / (25e9 * factor), rel=1e-12)
    assert result.full[link] == pytest.approx(result.busy[link], rel=1e-9)
    other = result.network.names.index("nic 76 -> tor 3")  # of machine 1, which is the last to end: in its own time
    assert result.busy[other] == pytest.approx(sent / 25e9, rel=1e-12)
    assert np.isnan(result.busy[result.network.tier == result.network.tiers.index("spine")]).all()


# --- scenarios ----------------------------------------------------------------------------------------------------------

CASE = """name: t
cases:
  - name: c
    topology:
      builder: efa_cluster
      machine: trn2
      count: 4
      fold: {fold}
      degrade: [{{cable: [nic 18, tor 2], factor: 0.25}}]
    collective: all_reduce
    algorithm: {algorithm}
    sizes: 64 MiB
"""


@pytest.mark.parametrize("algorithm", ["hierarchical", "{name: hierarchical, inner: mesh}"])
def test_one_scenario_folded_and_in_full(algorithm: str) -> None:
    rows = []
    for fold in ("true", "false"):
        rows += run_scenario(read_scenario(CASE.format(fold=fold, algorithm=algorithm), name="t"), lambda text: None).results
    assert rows[0].time == pytest.approx(rows[1].time, rel=1e-12)
    assert rows[0].bound.time == pytest.approx(rows[1].bound.time, rel=1e-12)
    links = [row.bottleneck(2) for row in rows]
    assert [busy.name for busy in links[0]] == [busy.name for busy in links[1]] == ["nic 18 -> tor 2", "tor 2 -> nic 18"]
    for folded, full in zip(*links):
        assert folded.full == pytest.approx(full.full, rel=1e-9)
        assert "slowed to 0.25 of it" in folded.source


def test_auto_leaves_out_what_max_plus_does_not_serve() -> None:
    (row,) = run_scenario(read_scenario(CASE.format(fold="true", algorithm="auto"), name="t"), lambda text: None).results
    assert row.options["outer"] == "ring"
    assert any("left out: hierarchical (bucket inside, pat between): slow links in" in warning for warning in row.warnings)


def test_the_time_that_a_shared_link_is_full_is_left_open() -> None:
    """Of links between leaves and spines, which machines cross at different times."""
    graph = degrade(efa_cluster("trn2", 4, fold=True, **PODS_OF_TWO), slow=[(("nic 18", "tor 2"), 0.9)])
    result = run(graph, "all_reduce", outer="ring")
    assert any(busy.full != busy.full for busy in result.bottleneck(1000))
    assert json.loads(json.dumps(result.to_dict(1000), allow_nan=False))
    assert "       -  spine, " in tables([result], links=1000)


def test_description_is_that_of_the_cluster_in_full() -> None:
    slow: Slow = [(("nic 18", "tor 2"), 0.25), ((5, 6), 0.5)]
    folded, full = (
        describe(Network(degrade(efa_cluster("trn2", 4, fold=fold, spread=True), slow=slow))) for fold in (True, False)
    )
    assert folded.injection == full.injection
    assert [(tier.tier, tier.links, tier.bandwidth) for tier in folded.tiers] == [
        (tier.tier, tier.links, tier.bandwidth) for tier in full.tiers
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["cases.0.algorithm={name: hierarchical, outer: pat}"],
            "with a ring of one direction between the machines.* transfers, about",
        ),
        (
            ["cases.0.algorithm={name: hierarchical, outer: ring, directions: 2}"],
            "with a ring of one direction between the machines",
        ),
        (["cases.0.collective=all_to_all", "cases.0.algorithm=direct"], "this takes 999,999,000,000 transfers, about .* GiB"),
        (
            ["cases.0.collective=all_gather", "cases.0.groups={of: 64}", "cases.0.algorithm=bucket"],
            "sets its replica groups apart",
        ),
        (
            ["cases.0.algorithm={name: hierarchical, outer: ring}", "cases.0.topology.oversubscription=3"],
            "lanes of the ring that do not stay in step share the links that hold them back",
        ),
        (
            ["cases.0.algorithm={name: hierarchical, outer: ring, inner: mesh}"],
            "the ring leaves too many machines at different times, each of which might be the last to end",
        ),
    ],
)
def test_refusals(overrides: list[str], message: str) -> None:
    slow = "cases.0.topology.degrade=[{cable: [nic 12, tor 1], factor: 0.2}]"
    with pytest.raises(InputError, match=message):
        run_scenario(load("million-chip-allreduce", [slow, "cases.0.sizes=1 GiB", *overrides]), lambda text: None)
