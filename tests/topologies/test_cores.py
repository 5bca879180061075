"""Cores as ranks: their numbers, their links, and the routes between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

import topologies
from fabric.bind import Overheads
from fabric.collectives import build
from fabric.layout import Layout
from fabric.network import Network
from fabric.routing import Rule, find_routes
from fabric.runner import run
from fabric.simulation import simulate
from topologies.cores import chips_of, with_cores
from topologies.parts import Link, count_ranks

LINK = Link(1e12, 0.0, "core", "an example", "given")


@pytest.mark.parametrize(("lnc", "each"), [(2, 4), (1, 8)])
def test_cores_are_counted_chip_by_chip_and_chips_come_after_them(lnc: int, each: int) -> None:
    plain, graph = topologies.trn2(), topologies.trn2(lnc=lnc)
    assert topologies.check(graph) == []
    first = 16 * each
    assert count_ranks(graph) == first
    for rank in range(first):
        assert graph.nodes[rank]["kind"] == "core"
        assert list(graph.successors(rank)) == list(graph.predecessors(rank)) == [first + rank // each]
        assert graph.edges[rank, first + rank // each]["bandwidth"] == 2.9e12 / each
    chips = nx.relabel_nodes(graph.subgraph(range(first, first + 16)), lambda node: node - first)
    assert sorted(chips.edges(data="bandwidth")) == sorted(plain.edges(data="bandwidth"))
    assert [chips.nodes[chip]["name"] for chip in range(16)] == [f"chip {chip}" for chip in range(16)]


def test_parameters_tell_what_was_built() -> None:
    graph = topologies.trn2_ultraserver(lnc=2)
    assert graph.graph["provenance"]["parameters"] == {"lnc": 2}
    assert (graph.graph["chip_dims"], graph.graph["cores_per_chip"], count_ranks(graph)) == ([4, 4, 4], 4, 256)
    assert graph.nodes[255]["server"] == 3


def test_routes_go_through_the_chips() -> None:
    """Core 1 of chip 0 to core 2 of chip 5: one hop along x, one along y; two cores of a chip meet in it."""
    network = Network(topologies.trn2(lnc=2))
    routes = find_routes(network, np.array([1, 4]), np.array([22, 7]))
    names = [[network.names[link] for link in routes.links[a:b]] for a, b in zip(routes.ptr, routes.ptr[1:])]
    assert names[0] == ["core 0.1 -> chip 0", "chip 0 -> chip 1", "chip 1 -> chip 5", "chip 5 -> core 5.2"]
    assert names[1] == ["core 1.0 -> chip 1", "chip 1 -> core 1.3"]
    assert routes.latency == pytest.approx([0.6e-6, 0.0])


@pytest.mark.parametrize(
    ("name", "parameters", "each", "hbm"),
    [
        ("trn1", {"lnc": 1}, 2, 820e9),
        ("trn1n", {"lnc": 1}, 2, 820e9),
        ("trn2_ultraserver", {"lnc": 1}, 8, 2.9e12),
        ("trn3_gen1", {"lnc": 2}, 4, 4.9e12),
        ("trn3_gen2", {"lnc": 1, "racks": 1}, 8, 4.9e12),
        ("trn3_gen2", {"lnc": 2, "preset": "flat"}, 4, 4.9e12),
    ],
)
def test_every_trainium_machine_has_cores(name: str, parameters: dict[str, object], each: int, hbm: float) -> None:
    """As many as documented: 2 physical cores of a chip of Trn1, 8 of Trn2 and Trn3; they share its HBM."""
    plain = topologies.BUILDERS[name](**{key: value for key, value in parameters.items() if key != "lnc"})
    graph = topologies.BUILDERS[name](**parameters)
    assert topologies.check(graph) == []
    assert count_ranks(graph) == each * count_ranks(plain)
    assert graph.edges[0, count_ranks(graph)]["bandwidth"] == hbm / each
    chips = chips_of(graph)
    assert chips.graph == {**plain.graph, "provenance": graph.graph["provenance"]}
    assert dict(chips.nodes(data=True)) == dict(plain.nodes(data=True))
    assert sorted(chips.edges(data="bandwidth")) == sorted(plain.edges(data="bandwidth"))


def test_routes_between_cores_go_as_between_their_chips() -> None:
    """On Trn3 over sled and rack switches, and from rack to rack over the direct link."""
    network, plain = Network(topologies.trn3_gen2(lnc=2)), Network(topologies.trn3_gen2())
    pairs = [(0, 1), (0, 2), (3, 7), (5, 100), (71, 80)]
    source, destination = np.array(pairs).T
    expected = find_routes(plain, source, destination)
    routes = find_routes(network, 4 * source + 1, 4 * destination + 2)
    for pair, (a, b) in enumerate(pairs):
        names = [network.names[link] for link in routes.links[routes.ptr[pair] : routes.ptr[pair + 1]]]
        between = [plain.names[link] for link in expected.links[expected.ptr[pair] : expected.ptr[pair + 1]]]
        assert sorted(names) == sorted([f"core {a}.1 -> chip {a}", *between, f"chip {b} -> core {b}.2"])
    assert routes.latency == pytest.approx(expected.latency)


def test_a_cable_that_is_down_is_gone_round() -> None:
    """Core 0 of chip 0 to core 0 of chip 1, side by side: three hops between the chips where the link is gone."""
    network = Network(topologies.degrade(topologies.trn2(lnc=2), down=[("chip 0", "chip 1")]))
    assert len(find_routes(network, np.array([0]), np.array([4])).links) == 2 + 3


def cluster(count: int = 2) -> Network:
    return Network(topologies.efa_cluster("trn2", count, machine_parameters={"lnc": 2}))


def test_a_cluster_of_machines_with_cores() -> None:
    """Core i of chip c of the cluster is rank 4c + i; chips, NICs and switches follow, in the order that they have without."""
    network, plain = cluster(), topologies.efa_cluster("trn2", 2)
    graph = network.graph
    assert (count_ranks(graph), graph.graph["machine_ranks"], graph.graph["servers"]) == (128, 64, 2)
    assert [network.node_names[4 * 17 + 3], network.node_names[128], network.node_names[128 + 32]] == [
        "core 17.3",
        "chip 0",
        "nic 0",
    ]
    assert graph.nodes[4 * 17]["machine"] == 1
    assert network.node_names[128:] == [plain.nodes[node]["name"] for node in range(len(plain))]
    routes = find_routes(network, np.array([0]), np.array([4 * 16 + 1]))
    names = {network.names[link] for link in routes.links}
    assert {"core 0.0 -> chip 0", "chip 0 -> nic 0", "nic 16 -> chip 16", "chip 16 -> core 16.1"} < names
    assert routes.efa.all()


def test_layout_of_a_cluster_of_cores() -> None:
    """200 Gb/s of a NIC for the four cores of its chip: 50 Gb/s for each."""
    network = cluster(3)
    chips = Layout(16, (4, 4), (128e9, 128e9))
    machine = Layout(64, servers=16, inner=Layout(4, injection=725e9), between=chips)
    assert network.layout(np.arange(192)) == Layout(192, servers=3, inner=machine, injection=50e9 / 8)
    assert network.layout(np.arange(64, 128)) == machine
    assert network.layout(np.arange(2, 66)) == Layout(64)
    trn1 = Network(topologies.efa_cluster("trn1", 2, machine_parameters={"lnc": 1}))
    # One NIC of 100 Gb/s for two chips of two cores.
    assert trn1.layout(np.arange(64)).injection == 100e9 / 8 / 4


@pytest.mark.parametrize("routing", ["default", "ecmp"])
def test_cores_of_a_chip_share_its_nic(routing: str) -> None:
    """Each core sends 1 MB to its twin in the other machine: 4 MB through each NIC of 25 GB/s, after 15 us.

    All four flows of a NIC on one ToR, by the hash, take twice as long at most.
    """
    network = cluster()
    matrix = np.zeros((128, 128))
    matrix[np.arange(128), (np.arange(128) + 64) % 128] = 1e6
    schedule = build("all_to_all_v", "direct", network.layout(np.arange(128)), matrix=matrix)
    result = simulate(network, schedule, overheads=Overheads(alpha_efa=15e-6), routing=Rule(routing))
    if routing == "default":
        assert result.time == pytest.approx(15e-6 + 4e6 / 25e9)
    else:
        assert 4e6 / 25e9 <= result.time - 15e-6 <= 2.001 * 4e6 / 25e9


@pytest.mark.parametrize("inner", ["kangaring", "hierarchical", ("mesh", "rdh"), "themis", None])
def test_hierarchical_on_a_cluster_of_cores(inner: str | tuple[str, ...] | None) -> None:
    """Between two machines each of 64 cores exchanges 1/64 of 64 MB, half of it in each of two steps: all through NICs."""
    network = cluster()
    schedule = build("all_reduce", "hierarchical", network.layout(np.arange(128)), inner=inner, outer="rdh").scaled(64e6)
    across = schedule.source // 64 != schedule.destination // 64
    assert (schedule.source[across] % 64 == schedule.destination[across] % 64).all()
    assert np.bincount(schedule.source[across], schedule.bytes[across]) == pytest.approx(np.full(128, 1e6))
    result = simulate(network, schedule)
    nic = network.tier == network.tiers.index("nic")
    # 4 cores send 1 MB each from a chip to its NIC, and as much comes back.
    assert result.carried[nic] == pytest.approx(np.full(2 * 32, 4e6))
    assert result.time >= 4e6 / 25e9


def test_replica_groups_of_all_cores_of_a_machine(tmp_path: Path) -> None:
    """The 64 cores of either machine of a cluster have the shape that KangaRing needs: as fast as on one machine alone."""
    times = []
    for topology in ("builder: efa_cluster, machine: trn2, machine_parameters: {lnc: 2}, count: 2", "builder: trn2, lnc: 2"):
        about = "collective: all_reduce, algorithm: kangaring, groups: {of: 64}, sizes: 64 MiB"
        file = tmp_path / "cores.yaml"
        file.write_text(f"name: cores\ncases:\n- {{name: a, topology: {{{topology}}}, {about}}}\n")
        times.append(run(file).results[0].time)
    assert times[0] == pytest.approx(times[1], rel=1e-9)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="the ranks of trn2 are cores already"):
        with_cores(topologies.trn2(lnc=2), 4, LINK)
    with pytest.raises(ValueError, match="per_chip must be a whole number of at least 1, not 0"):
        with_cores(topologies.trn2(), 0, LINK)
    with pytest.raises(ValueError, match="lnc must be 1 or 2, not 3"):
        topologies.trn2(lnc=3)
    with pytest.raises(ValueError, match="lnc must be 1, not 2"):
        topologies.trn1(lnc=2)
    with pytest.raises(ValueError, match=r"fold: a cluster whose ranks are cores \(lnc\) is not folded"):
        topologies.efa_cluster("trn2", 2, machine_parameters={"lnc": 2}, fold=True)
    with pytest.raises(ValueError, match="320,000 cores are more than the 262,144"):
        topologies.efa_cluster("trn2", 5000, machine_parameters={"lnc": 2})
    with pytest.raises(ValueError, match="a folded cluster has no cores as ranks"):
        with_cores(topologies.efa_cluster("trn2", 4, fold=True), 4, LINK)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda graph: graph.graph.pop("cores_per_chip"), "graph, cores: cores_per_chip is missing"),
        (lambda graph: graph.graph.pop("chip_routing"), "graph, cores: chip_routing is missing"),
        (lambda graph: graph.graph.update(chip_routing="x"), "unknown chip_routing 'x'"),
        (lambda graph: graph.remove_edge(5, 65), "node 5: core 1 of chip 1 must be linked to node 65, and to no other"),
    ],
)
def test_what_is_wrong_with_cores_is_found(spoil: Callable[[Any], object], fault: str) -> None:
    graph = topologies.trn2(lnc=2)
    spoil(graph)
    assert any(fault in one for one in topologies.check(graph))
