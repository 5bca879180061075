"""Folded clusters: one machine that stands for all has the same links, counted, as the cluster in full."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import topologies as t
from topologies.folded import set_apart
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


@pytest.mark.parametrize(
    ("count", "unit", "parameters", "pods", "leaves"),
    [
        (6, 2, {}, 1, 1),
        (4, 4, PODS_OF_TWO, 2, 2),
        (6, 2, {**PODS_OF_TWO, "oversubscription": 4.0}, 3, 1),
        (12, 4, {**PODS_OF_TWO, "planes": 2, "leaves_per_plane": 8}, 6, 2),
        (12, 3, PODS_OF_TWO, 6, 3),
    ],
)
def test_several_machines_stand_for_all(count: int, unit: int, parameters: dict, pods: int, leaves: int) -> None:
    """Pods are of as many kinds as the greatest common divisor of unit and pods; each kind has a leaf."""
    folded = t.efa_cluster("trn2", count, fold=unit, **parameters)
    full = t.efa_cluster("trn2", count, fold=False, spread=True, **parameters)
    assert t.check(folded) == []
    assert folded.graph["fold"] == {"machines": count, "pods": pods, "unit": unit}
    assert sum(node["kind"] == "chip" for _, node in folded.nodes(data=True)) == 16 * unit
    assert [node["pod"] for _, node in folded.nodes(data=True) if node.get("tier") == "leaf"] == list(range(leaves))
    assert nodes(folded) == nodes(full)
    assert links(folded) == links(full)


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


def test_a_slow_link_of_one_machine_is_a_record() -> None:
    """Names and ranks are those of the cluster in full: machines of 16 chips, 16 NICs and 2 ToRs. No link changes."""
    whole = t.efa_cluster("trn2", 4, fold=True)
    graph = t.degrade(whole, slow=[(("nic 37", "tor 5"), 0.25)])
    graph = t.degrade(graph, slow=[((17, 18), 0.5)], cable=False)
    node = {data["name"]: number for number, data in graph.nodes(data=True)}
    assert graph.graph["degraded"] == [
        {"from": "nic 37", "to": "tor 5", "factor": 0.25, "machine": 2, "of": [node["nic 5"], node["tor 1"]]},
        {"from": "tor 5", "to": "nic 37", "factor": 0.25, "machine": 2, "of": [node["tor 1"], node["nic 5"]]},
        {"from": "chip 17", "to": "chip 18", "factor": 0.5, "machine": 1, "of": [1, 2]},
    ]
    assert list(graph.edges(data=True)) == list(whole.edges(data=True))
    assert t.check(graph) == []


def test_a_slow_link_to_a_switch_inside_a_machine() -> None:
    graph = t.degrade(t.efa_cluster("trn3_gen2", 3, fold=True), slow=[((293, "machine 2 sled switch 0.1"), 0.5)])
    assert [record["machine"] for record in graph.graph["degraded"]] == [2, 2]
    assert graph.nodes[graph.graph["degraded"][0]["of"][1]]["name"] == "machine 0 sled switch 0.1"


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"down": [("nic 0", "tor 0")]}, "a link that is down sends the traffic of one machine another way: .* fold=False"),
        ({"slow": [(("tor 0", "leaf 0"), 0.5)]}, "'leaf 0' serves all machines: that needs fold=False"),
        ({"slow": [(("nic 64", "tor 0"), 0.5)]}, "no node is named 'nic 64'; did you mean 'nic 6"),
        ({"slow": [(("nic 6", "tor 2"), 0.5)]}, "no link from 'nic 6' to 'tor 2': they are in two machines"),
        ({"slow": [(("machine 1 xyz", "tor 0"), 0.5)]}, "known: chip 0, .*, chip 14, chip 15 and others$"),
        ({"slow": [((0, "nic x"), 0.5)]}, "no node is named 'nic x'; did you mean"),
        ({"slow": [(("nix 0", "tor 0"), 0.5)]}, "no node is named 'nix 0'; did you mean 'nic 0'"),
        ({"slow": [((0, 64), 0.5)]}, "no rank 64; ranks are 0..63, all else of a folded cluster has a name"),
        ({"slow": [((16, 26), 0.5)]}, "no link from 'chip 16' to 'chip 26'; links from 'chip 16' go to 'chip 28', 'chip 17'"),
        ({"slow": [("nic", 0.5)]}, "a link is a pair of nodes, not 'nic'"),
    ],
)
def test_what_cannot_be_slow_in_one_machine(loss: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        t.degrade(t.efa_cluster("trn2", 4, fold=True), **loss)


def test_machines_that_stand_for_all_together_have_no_slow_links_alone() -> None:
    with pytest.raises(ValueError, match="where several machines together stand for all, needs fold=False"):
        t.degrade(t.efa_cluster("trn2", 4, fold=2), slow=[((0, 1), 0.5)])


def test_machines_with_slow_links_stand_apart() -> None:
    """Of 4 machines, number 2 is itself and number 1 stands for three; nothing is lost and nothing counted twice."""
    whole = t.efa_cluster("trn2", 4, fold=True, leaf_ports=8, spines_per_plane=2)
    apart = set_apart(t.degrade(whole, slow=[(("nic 37", "tor 5"), 0.25)]), 1)
    assert t.check(apart) == []
    counts = {data["name"]: data["multiplicity"] for _, data in apart.nodes(data=True)}
    assert (counts["chip 16"], counts["chip 32"], counts["nic 37"], counts["leaf 0"]) == (
        3,
        1,
        1,
        whole.nodes[34]["multiplicity"],
    )
    for tier in ("neuronlink-x", "nic", "efa", "leaf", "spine"):
        links = [
            sum(data["multiplicity"] for _, _, data in graph.edges(data=True) if data["tier"] == tier)
            for graph in (whole, apart)
        ]
        assert links[0] == links[1]
    slow = [
        (apart.nodes[a]["name"], apart.nodes[b]["name"], data["bandwidth"], data["multiplicity"])
        for a, b, data in apart.edges(data=True)
        if "slowed to 0.25 of it" in data["source"]
    ]
    assert sorted(slow) == [("nic 37", "tor 5", 12.5e9 / 4, 1), ("tor 5", "nic 37", 12.5e9 / 4, 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": [0, 999]}, "needs in `of` the two nodes of a link, not \\[0, 999\\]"),
        ({"of": [[0], 1]}, "needs in `of` the two nodes"),
        ({"machine": 2}, "needs one of the 2 machines, not 2"),
        ({"factor": 0.0}, "needs a factor between 0 and 1, not 0.0"),
    ],
)
def test_unsound_records_of_slow_links_are_found(change: dict, message: str) -> None:
    graph = t.degrade(t.efa_cluster("trn2", 2, fold=True), slow=[((0, 1), 0.5)])
    graph.graph["degraded"][0].update(change)
    assert any(re.search(message, fault) for fault in t.check(graph))


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("fold", 7, "fold is for clusters, a mapping of machines and pods, not 7"),
        ("fold", {"machines": 2}, "graph, fold: pods is missing"),
        ("fold", {"machines": 3, "pods": 1}, "2 servers, but fold has 3 machines"),
        ("machine_ranks", 8, "a folded cluster has the 8 ranks of one machine, not 16"),
        ("fold", {"machines": 2, "pods": 1, "unit": 0}, "graph, fold: unit must be a whole number of at least 1, not 0"),
        ("fold", {"machines": 2, "pods": 1, "unit": 2}, "a folded cluster has the 32 ranks of 2 machines, not 16"),
        ("fold", {"machines": 2, "pods": 1, "unit": 3}, "a unit of 3 does not divide the 2 machines of a folded cluster"),
    ],
)
def test_unsound_folding_is_found(attribute: str, value: object, message: str) -> None:
    graph = t.efa_cluster("trn2", 2, fold=True)
    graph.graph[attribute] = value
    assert any(message in fault for fault in t.check(graph))
