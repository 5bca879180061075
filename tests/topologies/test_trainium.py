from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest

import topologies as t
from topologies.trn2 import NEIGHBOURS


def tiers(graph: t.Graph) -> Counter[str]:
    return Counter(link["tier"] for _, _, link in graph.edges(data=True))


def injection(graph: t.Graph, rank: int) -> float:
    """GB/s that a rank can send, in one direction."""
    return sum(link["bandwidth"] for _, _, link in graph.out_edges(rank, data=True)) / 1e9


def mean_distance(graph: t.Graph) -> float:
    return nx.average_shortest_path_length(graph)


@pytest.mark.parametrize("build", [t.trn1, t.trn1n, t.trn2])
def test_one_instance_is_a_4x4_torus(build) -> None:
    graph = build()
    assert nx.utils.edges_equal(graph.edges, t.torus([4, 4], 1.0).edges)
    assert {out for _, out in graph.out_degree()} == {4}
    assert tiers(graph) == {"neuronlink-x": 32, "neuronlink-y": 32}
    assert nx.diameter(graph) == 4
    assert mean_distance(graph) == pytest.approx(32 / 15)


def test_trn2_table_is_the_torus_by_arithmetic() -> None:
    for device, neighbours in enumerate(NEIGHBOURS):
        row, column = divmod(device, 4)
        around = {4 * ((row + step) % 4) + column for step in (1, -1)}
        around |= {4 * row + (column + step) % 4 for step in (1, -1)}
        assert set(neighbours) == around


def test_trn2_x_is_the_column() -> None:
    graph = t.trn2()
    assert graph.nodes[6]["coord"] == [2, 1]
    assert graph.edges[6, 7]["tier"] == "neuronlink-x"
    assert graph.edges[6, 10]["tier"] == "neuronlink-y"


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (t.trn1(), 4 * 48),
        (t.trn1n(), 4 * 96),
        (t.trn2(), 4 * 128),
        (t.trn2_ultraserver(), 4 * 128 + 2 * 64),
        (t.trn3_gen1(), 256 + 320 + 128),
        (t.trn3_gen2(), 256 + 320 + 128),
        (t.trn3_gen1("lanes160"), 512 + 512 + 128),
        (t.trn3_gen2("lanes160"), 512 + 512 + 128),
        (t.trn3_gen2(racks=1), 256 + 320),
        (t.trn3_gen1("flat"), 1024),
        (t.trn3_gen2("flat"), 1024),
    ],
)
def test_injection_per_chip(graph: t.Graph, expected: float) -> None:
    ranks = [node for node, attributes in graph.nodes(data=True) if attributes["kind"] == "chip"]
    assert {injection(graph, rank) for rank in ranks} == {expected}


def test_ultraserver() -> None:
    graph = t.trn2_ultraserver()
    assert len(graph) == 64
    assert nx.diameter(graph) == 6
    assert mean_distance(graph) == pytest.approx(192 / 63)
    assert tiers(graph) == {"neuronlink-x": 128, "neuronlink-y": 128, "neuronlink-z": 128}
    for rank in graph:
        assert graph.nodes[rank]["server"] == graph.nodes[rank]["coord"][2] == rank // 16


def test_ultraserver_instances_are_trn2() -> None:
    instance = t.trn2_ultraserver().subgraph(range(16))
    assert nx.utils.edges_equal(instance.edges(data=True), t.trn2().edges(data=True))


def test_latencies_of_section_11() -> None:
    seen = {
        (name, link["tier"], link["latency"])
        for name in ("trn1", "trn2_ultraserver", "trn3_gen1", "trn3_gen2")
        for _, _, link in t.BUILDERS[name]().edges(data=True)
    }
    assert seen == {
        ("trn1", "neuronlink-x", 0.30e-6),
        ("trn1", "neuronlink-y", 0.30e-6),
        ("trn2_ultraserver", "neuronlink-x", 0.30e-6),
        ("trn2_ultraserver", "neuronlink-y", 0.30e-6),
        ("trn2_ultraserver", "neuronlink-z", 0.35e-6),
        ("trn3_gen1", "tray", 0.30e-6),
        ("trn3_gen1", "rack", 0.20e-6 / 2),
        ("trn3_gen1", "cross-rack", 0.30e-6),
        ("trn3_gen2", "sled", 0.15e-6 / 2),
        ("trn3_gen2", "rack", 0.20e-6 / 2),
        ("trn3_gen2", "cross-rack", 0.30e-6),
    }


@pytest.mark.parametrize(("racks", "chips"), [(1, 32), (2, 64)])
def test_gen1_counts(racks: int, chips: int) -> None:
    graph = t.trn3_gen1(racks=racks)
    assert len(graph) == chips + racks
    expected = {"tray": chips, "rack": 2 * chips} | ({"cross-rack": chips} if racks == 2 else {})
    assert tiers(graph) == expected


@pytest.mark.parametrize(("racks", "chips"), [(1, 72), (2, 144)])
def test_gen2_counts(racks: int, chips: int) -> None:
    graph = t.trn3_gen2(racks=racks)
    assert len(graph) == chips + chips // 4 + racks
    expected = {"sled": 2 * chips, "rack": 2 * chips} | ({"cross-rack": chips} if racks == 2 else {})
    assert tiers(graph) == expected


@pytest.mark.parametrize(("build", "chips", "sleds"), [(t.trn3_gen1, 2, 16), (t.trn3_gen2, 4, 18)])
def test_trn3_ranks_run_rack_by_rack(build, chips: int, sleds: int) -> None:
    graph = build()
    for rack in range(2):
        for sled in range(sleds):
            for chip in range(chips):
                node = graph.nodes[chip + chips * (sled + sleds * rack)]
                assert node["coord"] == [chip, sled, rack]
                assert node["rack"] == rack
                assert node["server"] == sled + sleds * rack


def test_trn3_cross_rack_joins_equal_positions() -> None:
    graph = t.trn3_gen2()
    across = {(a, b) for a, b, link in graph.edges(data=True) if link["tier"] == "cross-rack"}
    assert across == {(a, (a + 72) % 144) for a in range(144)}


def test_gen1_tray_mates() -> None:
    graph = t.trn3_gen1()
    assert {(a, b) for a, b, link in graph.edges(data=True) if link["tier"] == "tray"} == {(a, a ^ 1) for a in range(64)}


def test_gen2_switches_join_their_sled_and_rack() -> None:
    graph = t.trn3_gen2()
    by_name = {attributes["name"]: node for node, attributes in graph.nodes(data=True)}
    assert set(graph.successors(by_name["sled switch 1.3"])) == {72 + 12, 72 + 13, 72 + 14, 72 + 15}
    assert set(graph.successors(by_name["rack switch 0"])) == set(range(72))


def test_flat_is_one_switch() -> None:
    graph = t.trn3_gen2("flat")
    assert len(graph) == 145
    assert tiers(graph) == {"switch": 288}
    assert {link["confidence"] for _, _, link in graph.edges(data=True)} == {"press"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "aws-dox"}, "unknown preset 'aws-dox'; did you mean 'aws-docs'?"),
        ({"preset": "?"}, "unknown preset '?'; known: aws-docs, lanes160, flat"),
        ({"preset": ["flat"]}, r"unknown preset \['flat'\]"),
        ({"leg": "destinaton"}, "unknown leg 'destinaton'; did you mean 'destination'?"),
        ({"racks": 3}, "racks must be 1 or 2, not 3"),
        ({"racks": True}, "racks must be 1 or 2, not True"),
    ],
)
@pytest.mark.parametrize("build", [t.trn3_gen1, t.trn3_gen2])
def test_bad_parameters(build, parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        build(**parameters)


def test_leg_is_kept() -> None:
    assert t.trn3_gen2(leg="split").graph["leg"] == "split"
