"""Folded clusters do what the cluster in full does, to rounding: the same time, and the same bytes on every link."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.bind import Overheads, Placement, bind, route_traffic
from fabric.bounds import bounds_at, find_limits
from fabric.collectives import build
from fabric.describe import describe
from fabric.engine.symmetry import find_classes
from fabric.errors import InputError, InternalError
from fabric.folding import check_folding
from fabric.network import Network
from fabric.result import Result
from fabric.routing import Rule
from fabric.runner import load, run_scenario
from fabric.scenario import read_scenario
from fabric.schedule import FAR, NEAR, Schedule
from fabric.simulation import measure, simulate
from topologies import Graph, degrade, efa_cluster, trn2

OVERHEADS = Overheads(alpha_link=1.3e-6, alpha_efa=15e-6, start=3e-6)
SIZE = 1e8
PODS_OF_TWO = {"leaf_ports": 8, "spines_per_plane": 2}
UNEQUAL = {"machine_parameters": {"dims": [4, 3, 2], "bandwidth": [100e9, 50e9, 20e9]}}
SMALL = {"machine_parameters": {"n": 3, "bandwidth": 100e9}}


def run(graph: Graph, collective: str, **options: Any) -> Result:
    network = Network(graph)
    group = np.arange(network.ranks)
    algorithm = "direct" if collective == "all_to_all" else "hierarchical"
    placed = [Placement(build(collective, algorithm, network.layout(group), **options).scaled(SIZE), group)]
    flows = bind(network, placed, route_traffic(network, placed), OVERHEADS)
    limits = find_limits(network, collective, [group], overheads=OVERHEADS)
    return measure(network, placed, flows, bounds_at(limits, SIZE), classes=find_classes(flows))


def class_of(name: str, per_machine: dict[str, int]) -> str:
    """The node of the folded cluster that stands for a node of the cluster in full."""
    kind, number, *rest = name.split(" ", 2)
    return " ".join((kind, str(int(number) % per_machine.get(kind, 1)), *rest))


def compare(machine: str, count: int, collective: str, parameters: dict[str, Any], **options: Any) -> None:
    folded = run(efa_cluster(machine, count, fold=True, **parameters), collective, **options)
    full = run(efa_cluster(machine, count, fold=False, spread=True, **parameters), collective, **options)
    assert folded.time == pytest.approx(full.time, rel=1e-12)
    assert (folded.ranks, folded.steps, folded.transfers) == (full.ranks, full.steps, full.transfers)
    one = folded.network
    per_machine = {kind: sum(name.startswith(f"{kind} ") for name in one.node_names) for kind in ("chip", "nic", "tor")}
    known = {name: index for index, name in enumerate(one.names)}
    alike = [known[" -> ".join(class_of(end, per_machine) for end in name.split(" -> "))] for name in full.network.names]
    assert np.array_equal(np.bincount(alike), one.multiplicity)
    for ours, theirs in ((folded.carried, full.carried), (folded.busy, full.busy)):
        np.testing.assert_allclose(ours[alike], theirs, rtol=1e-12, atol=1e-12 * theirs.max())
    for mine, its in zip(folded.tiers(), full.tiers(), strict=True):
        assert (mine.tier, mine.links) == (its.tier, its.links)
        assert mine.bytes == pytest.approx(its.bytes, rel=1e-12)
        assert mine.utilisation_mean == pytest.approx(its.utilisation_mean, rel=1e-12)
    bounds = {bound.name: bound.time for bound in full.bounds}
    for bound in folded.bounds:
        assert bound.time == pytest.approx(bounds[bound.name], rel=1e-12)


@pytest.mark.parametrize("outer", ["ring", "mesh", "rdh"])
@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "reduce_scatter"])
@pytest.mark.parametrize("layers", [2, 3])
def test_hierarchical(collective: str, outer: str, layers: int) -> None:
    compare("trn2", 4, collective, PODS_OF_TWO if layers == 3 else {}, outer=outer)


@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "reduce_scatter"])
@pytest.mark.parametrize(("pods", "count"), [(1, 3), (1, 7), (2, 6), (3, 6), (5, 5)])
def test_aggregated_trees_between(collective: str, pods: int, count: int) -> None:
    compare("full_mesh", count, collective, {**SMALL, "leaf_ports": 4 * count // pods, "spine_ports": 256}, outer="pat")


@pytest.mark.parametrize(("pods", "count"), [(1, 5), (2, 6), (3, 9), (2, 8)])
def test_bruck_between(pods: int, count: int) -> None:
    compare("full_mesh", count, "all_gather", {**SMALL, "leaf_ports": 4 * count // pods, "spine_ports": 256}, outer="bruck")


@pytest.mark.parametrize("layers", [2, 3])
def test_all_to_all(layers: int) -> None:
    compare("trn2", 4, "all_to_all", PODS_OF_TWO if layers == 3 else {})


@pytest.mark.parametrize("machine", ["trn2_ultraserver", "trn3_gen2"])
@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "all_to_all"])
def test_three_ultraservers(machine: str, collective: str) -> None:
    compare(machine, 3, collective, {})


@pytest.mark.parametrize("collective", ["all_reduce", "all_to_all"])
def test_unequal_dimensions(collective: str) -> None:
    compare("torus", 4, collective, {**UNEQUAL, **PODS_OF_TWO})


@pytest.mark.parametrize("collective", ["all_reduce", "reduce_scatter"])
def test_ring_in_both_directions(collective: str) -> None:
    compare("trn2", 6, collective, PODS_OF_TWO, outer="ring", directions=2)


def test_shared_nics() -> None:
    compare("trn1", 4, "all_reduce", {})
    compare("trn1", 4, "all_to_all", {})


@settings(max_examples=25, deadline=None)
@given(
    machine=st.sampled_from(["ring", "full_mesh", "switch"]),
    pods=st.integers(1, 4),
    each=st.integers(1, 3),
    oversubscription=st.sampled_from([1.0, 3.0]),
    way=st.sampled_from(["ring", "mesh", "direct"]),
)
def test_small_machines(machine: str, pods: int, each: int, oversubscription: float, way: str) -> None:
    if pods * each < 2:
        return
    parameters = {**SMALL, "oversubscription": oversubscription, "leaf_ports": 4 * each, "spine_ports": 256}
    parameters |= {"spines_per_plane": 1} if pods > 1 else {"leaf_ports": 256}
    options = {} if way == "direct" else {"outer": way, "inner": "mesh"}
    compare(machine, pods * each, "all_to_all" if way == "direct" else "all_reduce", parameters, **options)


# --- a million chips ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("machine", "m", "g", "pods"), [("trn2_ultraserver", 15_625, 64, 125), ("trn3_gen2", 6_944, 144, 217)])
def test_bytes_by_tier_of_a_million_chips(machine: str, m: int, g: int, pods: int) -> None:
    """Every byte of a rank crosses a link up and a link down in each layer; inside a machine each phase of a hierarchical
    collective brings every rank (g-1)/g of what its machine has together."""
    graph = efa_cluster(machine, m)
    n, far = m * g, (m - m // pods) * g
    outside = {"all_reduce": 2 * SIZE * (m - 1) / n, "all_gather": SIZE * (m - 1) / n, "all_to_all": SIZE * (m - 1) * g / n}
    for collective, each in outside.items():
        tiers = {tier.tier: tier for tier in run(graph, collective).tiers()}
        for tier in ("nic", "efa", "leaf"):
            assert tiers[tier].bytes == pytest.approx(2 * n * each, rel=1e-12)
        crossing = SIZE * far / n if collective == "all_to_all" else each
        assert tiers["spine"].bytes == pytest.approx(2 * n * crossing, rel=1e-12)
        assert tiers["efa"].links == 4 * n
        assert tiers["efa"].utilisation_max == pytest.approx(tiers["efa"].utilisation_mean, rel=1e-12)
    if machine == "trn2_ultraserver":
        inside = [tier.bytes for tier in run(graph, "all_reduce").tiers() if tier.tier.startswith("neuronlink")]
        assert sum(inside) == pytest.approx(n * 2 * SIZE * (g - 1) / g, rel=1e-12)


def test_time_of_a_million_chips() -> None:
    """Reduce-scatter and all-gather as in one UltraServer; between them 2 (m-1) turns of a ring, whose every hop crosses two
    links of 0.9 us to and from a spine and carries 1/m of a rank's 1/64 at 25 GB/s."""
    m, g = 15_625, 64
    turn = OVERHEADS.alpha_efa + 2 * 0.9e-6 + SIZE / g / m / 25e9
    machine = Network(efa_cluster("trn2_ultraserver", 1))
    layout = machine.layout(np.arange(g))
    inside, transfers = 0.0, 0
    for collective in ("reduce_scatter", "all_gather"):
        schedule = build(collective, "bucket", layout).scaled(SIZE)
        transfers += schedule.transfers
        inside += simulate(machine, schedule, overheads=Overheads(alpha_link=1.3e-6)).time
    result = run(efa_cluster("trn2_ultraserver", m), "all_reduce")
    assert result.time == pytest.approx(OVERHEADS.start + inside + 2 * (m - 1) * turn, rel=1e-12)
    assert result.steps == 2 * (m - 1) + 2 * 9
    assert result.transfers == m * (transfers + g * 2 * (m - 1))
    assert result.classes < 1000


def test_spreading_costs_a_ring_no_time() -> None:
    """A ring is as slow as its slowest hop, and some hop crosses a spine in any case."""
    parameters: dict[str, Any] = PODS_OF_TWO
    filled = run(efa_cluster("trn2", 8, fold=False, **parameters), "all_reduce", outer="ring")
    spread = run(efa_cluster("trn2", 8, fold=True, **parameters), "all_reduce", outer="ring")
    assert spread.time == pytest.approx(filled.time, rel=1e-12)
    carried = [{tier.tier: tier.bytes for tier in result.tiers()}["spine"] for result in (filled, spread)]
    assert carried[0] == pytest.approx(carried[1] / 2, rel=1e-12)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell what was resident")
def test_shipped_scenario_as_a_process() -> None:
    code = (
        "import sys\n"
        "from fabric.cli import command\n"
        "command.main(['run', 'million-chip-allreduce', '--json', '-q'], standalone_mode=False)\n"
        "status = dict(line.split(':') for line in open('/proc/self/status'))\n"
        "print(status['VmHWM'].split()[0], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)["results"]
    assert {row["ranks"] for row in rows} == {1_000_000, 999_936}
    assert all(row["gap"] >= 1 for row in rows)
    assert int(done.stderr.splitlines()[-1]) < 300 * 1024  # KiB, the most that was resident


# --- a slow NIC ---------------------------------------------------------------------------------------------------------


def test_one_slow_nic_gives_the_max_plus_time() -> None:
    """Unfolded. Machines of two chips; the ring of chip 0's place has one hop of another duration. A machine sends its next
    chunk when it has sent the last one and has received it: T[s, i] = max(T[s-1, i], T[s-1, i-1]) + d[i]."""
    m, halves = 6, SIZE / 2
    parameters = {"machine_parameters": {"n": 2, "bandwidth": 100e9}}
    graph = efa_cluster("ring", m, fold=False, **parameters)
    slow = degrade(graph, slow=[(("nic 6", "tor 6"), 0.25), (("nic 6", "tor 7"), 0.25)])
    result = run(slow, "all_reduce", inner="mesh", outer="ring")
    hop = np.full(m, OVERHEADS.alpha_efa + halves / m / 25e9)
    hop[3] = OVERHEADS.alpha_efa + halves / m / (25e9 / 4)
    ends = np.zeros(m)
    for _ in range(2 * (m - 1)):
        ends = np.maximum(ends, np.roll(ends, 1)) + hop
    link = next(data for a, b, data in graph.edges(data=True) if (a, b) == (0, 1))
    inside = OVERHEADS.alpha_link + link["latency"] + halves / link["bandwidth"]
    assert result.time == pytest.approx(OVERHEADS.start + 2 * inside + ends.max(), rel=1e-12)


# --- description and refusals -------------------------------------------------------------------------------------------


def test_description_is_that_of_the_cluster_in_full() -> None:
    folded = describe(Network(efa_cluster("trn2", 4, fold=True, **PODS_OF_TWO)))
    full = describe(Network(efa_cluster("trn2", 4, fold=False, spread=True, **PODS_OF_TWO)))
    assert folded.folded == "one machine stands for 4, dealt to 2 pods in turn"
    assert (folded.ranks, folded.nodes, folded.tiers) == (full.ranks, full.nodes, full.tiers)
    assert (folded.diameter, folded.degree, folded.injection) == (full.diameter, full.degree, full.injection)
    assert folded.mean_distance == pytest.approx(full.mean_distance, rel=1e-12)
    # Half of the pods: 2 machines of 16 chips with 25 GB/s each.
    assert folded.balanced_cut == ("spine", pytest.approx(2 * 16 * 25e9, rel=1e-12))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cases.0.algorithm=ring"], "a folded cluster serves all_reduce by hierarchical, .*; not all_reduce by ring"),
        (["cases.0.collective=broadcast", "cases.0.algorithm=auto"], "serves all_reduce .*; not broadcast$"),
        (["cases.0.algorithm={name: hierarchical, outer: bucket}"], "between the machines of a folded cluster 'bucket'"),
        (["cases.0.algorithm={name: hierarchical, outer: rdh}"], "rdh needs a power of two, not 15625"),
        (["cases.0.groups=64"], "a folded cluster does not run this: these replica groups do not part all ranks"),
        (["cases.0.groups=[[0, 1]]"], "fold: false, up to 262,144 chips"),
        (["routing=ecmp"], "routing ecmp does not serve a folded cluster"),
        (["routing=spray"], "routing spray does not serve a folded cluster"),
        (["cases.0.topology.degrade=[{cable: [nic 0, tor 0], down: true}]"], "a link that is down sends the traffic"),
        (
            ["cases.0.algorithm={name: hierarchical, outer: mesh}", "overheads.per_destination=1 us"],
            "per_destination sets apart transfers",
        ),
    ],
)
def test_refusals(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_scenario(load("million-chip-allreduce", overrides), lambda text: None)


@pytest.mark.parametrize(
    ("collective", "algorithm"),
    [("all_reduce", "{name: hierarchical, outer: rdh}"), ("all_gather", "hierarchical"), ("all_to_all", "direct")],
)
def test_verify_compares_with_clusters_in_full(collective: str, algorithm: str) -> None:
    case = f"name: c\n    topology: {{builder: efa_cluster, machine: trn1, count: 2048}}\n    collective: {collective}"
    text = f"name: t\nverify: true\ncases:\n  - {case}\n    algorithm: {algorithm}\n    sizes: 1 GiB\n"
    (result,) = run_scenario(read_scenario(text, name="t"), lambda text: None).results
    assert result.ranks == 2048 * 16
    assert result.proof.endswith(f"folding checked against {4 if 'rdh' in algorithm else 5} clusters in full")


def test_verify_finds_a_wrong_multiplicity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were twice as many near machines."""
    graph = efa_cluster("trn1", 2048)
    network = Network(graph)
    schedule = build("all_to_all", "direct", network.layout(np.arange(16)))
    counts = {NEAR: 2, FAR: 0}
    monkeypatch.setattr("fabric.collectives.folded.others", lambda machines, pods: counts)
    with pytest.raises(InternalError, match=r"folded and in full, 2 machines differ in time"):
        check_folding(graph, schedule, Rule(), OVERHEADS)


def test_folded_schedules_are_for_folded_clusters_alone() -> None:
    folded = Network(efa_cluster("trn2", 2, fold=True))
    schedule = build("all_reduce", "hierarchical", folded.layout(np.arange(16)))
    ring = build("all_reduce", "ring", Network(trn2()).layout(np.arange(16)))
    for network, other in ((folded, ring), (Network(trn2()), schedule)):
        with pytest.raises(InputError, match="a folded cluster takes the schedules of algorithms that serve one"):
            route_traffic(network, [Placement(other, np.arange(16))])


def test_a_folded_schedule_is_not_run_unproved() -> None:
    network = Network(efa_cluster("trn2", 2, fold=True))
    with pytest.raises(InputError, match="a folded schedule runs in a scenario, which proves a smaller one"):
        simulate(network, build("all_reduce", "hierarchical", network.layout(np.arange(16))))


def test_bounds_of_other_collectives_are_refused() -> None:
    with pytest.raises(InputError, match="unknown collective of a folded cluster 'broadcast'"):
        find_limits(Network(efa_cluster("trn2", 2, fold=True)), "broadcast", [np.arange(16)])


def test_routes_of_images() -> None:
    """To a rank of a near machine: chip, NIC, two ToRs, leaf and back down; to a far one over the spine too."""
    network = Network(efa_cluster("trn2", 4, fold=True, **PODS_OF_TWO))
    schedule: Schedule = build("all_to_all", "direct", network.layout(np.arange(16)))
    traffic = route_traffic(network, [Placement(schedule, np.arange(16))], Rule())
    length = np.bincount(np.repeat(np.arange(len(traffic.pair)), np.diff(traffic.routes.ptr)[traffic.pair]))
    assert set(length[schedule.image == NEAR].tolist()) == {2 * (1 + 2 + 2)}
    assert set(length[schedule.image == FAR].tolist()) == {2 * (1 + 2 + 2 + 1)}
    assert np.allclose(traffic.routes.latency[traffic.pair][schedule.image == FAR], 1.8e-6, rtol=1e-12, atol=0)
