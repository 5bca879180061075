"""Folded clusters: one machine that stands for all has the same links, counted, as the cluster in full."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import topologies as t
from topologies.formats.graphml import read_graphml, write_graphml
from topologies.formats.node_link import read_node_link, write_node_link

PODS_OF_TWO = {"leaf_ports": 8, "spines_per_plane": 2}  # of machines with one pair of ToRs, such as trn2


def links(graph: t.Graph) -> Counter[tuple[str, float, float]]:
    """How many links there are of each tier, bandwidth and latency; multiplicities count."""
    found: Counter[tuple[str, float, float]] = Counter()
    for _, _, link in graph.edges(data=True):
        found[link["tier"], link["bandwidth"], link["latency"]] += link.get("multiplicity", 1)
    return found


def nodes(graph: t.Graph) -> Counter[str]:
    """How many nodes there are of each kind or tier; multiplicities count."""
    found: Counter[str] = Counter()
    for _, node in graph.nodes(data=True):
        found[node.get("tier", node["kind"])] += node.get("multiplicity", 1)
    return found


@pytest.mark.parametrize(
    ("machine", "count", "parameters", "pods"),
    [
        ("trn2", 3, {}, 1),
        ("trn2", 4, PODS_OF_TWO, 2),
        ("trn2", 6, {**PODS_OF_TWO, "oversubscription": 4.0}, 3),
        ("trn2", 4, {**PODS_OF_TWO, "planes": 2, "leaves_per_plane": 8}, 2),
        ("trn1", 4, {}, 1),
        ("trn3_gen2", 4, {"leaf_ports": 32, "spines_per_plane": 4}, 2),
        ("torus", 4, {"machine_parameters": {"dims": [4, 3, 2], "bandwidth": [3e9, 2e9, 1e9]}, **PODS_OF_TWO}, 2),
    ],
)
def test_counts_as_the_cluster_in_full(machine: str, count: int, parameters: dict, pods: int) -> None:
    folded = t.efa_cluster(machine, count, fold=True, **parameters)
    full = t.efa_cluster(machine, count, fold=False, spread=True, **parameters)
    assert t.check(folded) == []
    assert folded.graph["fold"] == {"machines": count, "pods": pods}
    assert len(folded) < len(full)
    assert nodes(folded) == nodes(full)
    assert links(folded) == links(full)
    assert folded.graph["layers"] == full.graph["layers"]


def test_machines_are_dealt_to_the_pods_in_turn() -> None:
    graph = t.efa_cluster("trn2", 6, spread=True, **PODS_OF_TWO)
    names = {attributes["name"]: node for node, attributes in graph.nodes(data=True)}
    assert graph.graph["layers"]["pods"] == 3
    for machine in range(6):
        tors = [node for node in graph.successors(names[f"nic {16 * machine}"]) if graph.nodes[node].get("tier") == "tor"]
        leaves = [leaf for tor in tors for leaf in graph.successors(tor) if graph.nodes[leaf].get("tier") == "leaf"]
        assert len(tors) == 2
        assert {graph.nodes[leaf]["pod"] for leaf in leaves} == {machine % 3}


def test_a_million_chips() -> None:
    # 64 NICs of a machine on one pair of ToRs with 64 cables up each. 15,625 = 125 x 125 machines: a leaf of 512 ports
    # has 256 down, which is enough for the 250 ToRs of 125 machines; a spine of 256 ports has 2 cables to 125 pods each.
    graph = t.efa_cluster("trn2_ultraserver", 15_625)
    assert t.check(graph) == []
    assert graph.graph["fold"] == {"machines": 15_625, "pods": 125}
    counted = nodes(graph)
    assert counted["chip"] == counted["nic"] == 1_000_000
    assert (counted["tor"], counted["leaf"], counted["spine"]) == (31_250, 125 * 64, 64 * 125)
    by_tier = {tier: 0.0 for tier, _, _ in links(graph)}
    for (tier, bandwidth, _), number in links(graph).items():
        by_tier[tier] += bandwidth * number
    # 200 Gb/s per chip, both ways, in every layer.
    for tier in ("efa", "leaf", "spine"):
        assert by_tier[tier] == pytest.approx(2 * 1_000_000 * 25e9, rel=1e-12)
    sources = {link["source"] for _, _, link in graph.edges(data=True) if link["tier"] == "leaf"}
    assert all("leaves of 512 ports" in source for source in sources)


def test_large_clusters_are_folded_by_default() -> None:
    assert "fold" not in t.efa_cluster("trn2_ultraserver", 16_384 // 64).graph
    assert t.efa_cluster("trn2_ultraserver", 16_384 // 64 + 4).graph["fold"]["machines"] == 260
    assert "fold" in t.efa_cluster("trn2", 2, fold=True).graph


@pytest.mark.parametrize("form", ["node-link", "graphml"])
def test_files_keep_what_is_folded(form: str, tmp_path: Path) -> None:
    write, read = {"node-link": (write_node_link, read_node_link), "graphml": (write_graphml, read_graphml)}[form]
    graph = t.efa_cluster("trn2", 4, fold=True, **PODS_OF_TWO)
    write(graph, tmp_path / "graph")
    again = read(tmp_path / "graph")
    assert again.graph["fold"] == graph.graph["fold"]
    assert (links(again), nodes(again)) == (links(graph), nodes(graph))


@pytest.mark.parametrize(
    ("arguments", "parameters", "message"),
    [
        (("trn2_ultraserver", 15_629), {}, "count of 15,629 machines makes no equal pods of up to 64 machines"),
        (("trn2_ultraserver", 15_625), {"leaf_ports": 256}, "no equal pods of up to 64 machines"),
        (
            ("trn2_ultraserver", 15_625),
            {"fold": False},
            "fold: unfolded, 1,000,000 chips are a graph of more than 12,000,000 links, about .* GiB; at most 262,144",
        ),
        (("trn2", 1), {"fold": True}, "fold: a single machine has nothing to fold"),
        (("trn2", 4), {"fold": True, "spread": False, **PODS_OF_TWO}, "spread: the machines of a folded cluster"),
        (("trn2", 4), {"fold": True, "nics_per_tor": 32}, "nics_per_tor 32: machines that share a ToR"),
        (("trn2", 4), {"spread": True, "nics_per_tor": 32}, "nics_per_tor 32: machines that share a ToR"),
    ],
)
def test_what_cannot_be_folded(arguments: tuple, parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        t.efa_cluster(*arguments, **parameters)


def test_no_single_link_of_a_folded_cluster_is_degraded() -> None:
    with pytest.raises(ValueError, match="stands for many alike; degrade one with fold=False"):
        t.degrade(t.efa_cluster("trn2", 2, fold=True), down=[("nic 0", "tor 0")])


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("fold", 7, "fold is for clusters, a mapping of machines and pods, not 7"),
        ("fold", {"machines": 2}, "graph, fold: pods is missing"),
        ("fold", {"machines": 3, "pods": 1}, "2 servers, but fold has 3 machines"),
        ("machine_ranks", 8, "a folded cluster has the 8 ranks of one machine, not 16"),
    ],
)
def test_unsound_folding_is_found(attribute: str, value: object, message: str) -> None:
    graph = t.efa_cluster("trn2", 2, fold=True)
    graph.graph[attribute] = value
    assert any(message in fault for fault in t.check(graph))
