from __future__ import annotations

from collections import Counter
from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies as t
from topologies.clos import size_clos

GBPS = 1e9 / 8


def nodes_of(graph: t.Graph, word: str) -> list[int]:
    """Nodes of a kind or of a tier, in order."""
    return [node for node, a in graph.nodes(data=True) if word in (a["kind"], a.get("tier"))]


def rate(graph: t.Graph, node: int, tier: str) -> float:
    """Bandwidth out of a node over its links of a tier, bytes/s."""
    return sum(link["bandwidth"] for _, _, link in graph.out_edges(node, data=True) if link["tier"] == tier)


def count(graph: t.Graph, tier: str) -> int:
    return sum(link["tier"] == tier for _, _, link in graph.edges(data=True))


@pytest.mark.parametrize(
    ("machine", "nics", "gbps"),
    [
        ("trn1", 8, 100),
        ("trn1n", 16, 100),
        ("trn2", 16, 200),
        ("trn2_ultraserver", 64, 200),
        ("trn3_gen1", 64, 200),
        ("trn3_gen2", 144, 200),
    ],
)
def test_nics_add_up_to_the_published_rate(machine: str, nics: int, gbps: float) -> None:
    graph = t.efa_cluster(machine, 2)
    assert len(nodes_of(graph, "nic")) == 2 * nics
    assert {rate(graph, nic, "efa") for nic in nodes_of(graph, "nic")} == {gbps * GBPS}


def test_ids_run_from_chips_to_spines() -> None:
    graph = t.efa_cluster("trn3_gen2", 2, leaf_ports=8, spine_ports=8)
    words = [a["kind"] if a["kind"] != "switch" else a["tier"] for _, a in sorted(graph.nodes(data=True))]
    runs = [word for i, word in enumerate(words) if i == 0 or word != words[i - 1]]
    assert runs == ["chip", "sled", "rack", "sled", "rack", "nic", "tor", "leaf", "spine"]


def test_machines_are_copies() -> None:
    machine = t.trn3_gen2()
    graph = t.efa_cluster(machine, 3)
    by_name = {attributes["name"]: node for node, attributes in graph.nodes(data=True)}
    for copy in range(3):
        new = {
            node: copy * 144 + node if node < 144 else by_name[f"machine {copy} {attributes['name']}"]
            for node, attributes in machine.nodes(data=True)
        }
        inside = graph.subgraph(new.values())
        expected = {(new[a], new[b]): link for a, b, link in machine.edges(data=True)}
        assert {(a, b): link for a, b, link in inside.edges(data=True)} == expected
        assert graph.nodes[new[143]] == {
            **machine.nodes[143],
            "name": f"chip {copy * 144 + 143}",
            "machine": copy,
            "rack": 2 * copy + 1,
            "server": 36 * copy + 35,
        }
    assert graph.graph["machine_ranks"] == 144
    assert graph.graph["machine_routing"] == "trn3"
    assert graph.graph["machine_dims"] == [4, 18, 2]
    assert graph.graph["servers"] == 3
    assert graph.graph["leg"] == "destination"
    assert graph.graph["preset"] == "aws-docs"


def test_nic_goes_half_to_each_tor_of_a_pair() -> None:
    graph = t.efa_cluster("trn2", 2)
    tors = nodes_of(graph, "tor")
    for index, nic in enumerate(nodes_of(graph, "nic")):
        pair = tors[2 * (index // 16) : 2 * (index // 16) + 2]
        ends = {end: link["bandwidth"] for _, end, link in graph.out_edges(nic, data=True) if link["tier"] == "efa"}
        assert ends == dict.fromkeys(pair, 100 * GBPS)


def test_shared_nic_keeps_the_rate_per_chip() -> None:
    graph = t.efa_cluster("trn2", 2, nic_share=2, nic_bandwidth=400 * GBPS)
    nics = nodes_of(graph, "nic")
    assert len(nics) == 16
    assert {rate(graph, nic, "efa") for nic in nics} == {400 * GBPS}
    assert {graph.edges[nics[3], chip]["tier"] for chip in (6, 7)} == {"nic"}
    same = t.efa_cluster("trn2", 2, nic_share=2)
    assert rate(same, nodes_of(same, "nic")[0], "efa") == 400 * GBPS


@pytest.mark.parametrize(
    ("machine", "gbps", "gigabytes"),
    [("trn2", 200, 32), ("trn2", 400, 64), ("trn3_gen2", 200, 64), ("trn3_gen2", 400, 64), ("trn1", 100, 32)],
)
def test_host_link_is_a_guess_that_never_binds(machine: str, gbps: float, gigabytes: float) -> None:
    graph = t.efa_cluster(machine, 1, nic_bandwidth=gbps * GBPS)
    links = [link for _, _, link in graph.edges(data=True) if link["tier"] == "nic"]
    assert {(link["bandwidth"], link["confidence"]) for link in links} == {(gigabytes * 1e9, "guess")}


@pytest.mark.parametrize(
    ("machine", "copies"), [("trn1", 3), ("trn2", 9), ("trn3_gen1", 4), ("trn3_gen2", 16), ("trn3_gen2", 64)]
)
def test_switches_are_non_blocking(machine: str, copies: int) -> None:
    graph = t.efa_cluster(machine, copies)
    assert t.check(graph) == []
    for tor in nodes_of(graph, "tor"):
        assert rate(graph, tor, "leaf") == pytest.approx(rate(graph, tor, "efa"), rel=1e-12)
    if spines := nodes_of(graph, "spine"):
        for leaf in nodes_of(graph, "leaf"):
            assert rate(graph, leaf, "spine") == pytest.approx(rate(graph, leaf, "leaf"), rel=1e-12)
        total = sum(rate(graph, spine, "spine") for spine in spines)
        assert total == pytest.approx(copies * rate_per_machine(graph, copies), rel=1e-12)


def rate_per_machine(graph: t.Graph, copies: int) -> float:
    return sum(rate(graph, nic, "efa") for nic in nodes_of(graph, "nic")) / copies


@given(st.fractions(Fraction(1, 2), 8))
@settings(max_examples=20, deadline=None)
def test_oversubscription_is_exact(ratio: Fraction) -> None:
    graph = t.efa_cluster("trn2", 3, oversubscription=float(ratio))
    for tor in nodes_of(graph, "tor"):
        assert rate(graph, tor, "efa") / rate(graph, tor, "leaf") == pytest.approx(float(ratio), rel=1e-12)


def test_sixteen_gen2_fit_in_two_layers() -> None:
    # 144 NICs per machine, 36 on each pair of ToRs: 64 pairs, 128 ToRs with 36 ports of 100 Gb/s up. A leaf of 256
    # ports gives each ToR 2, so 18 leaves.
    graph = t.efa_cluster("trn3_gen2", 16)
    layers = graph.graph["layers"]
    assert (layers["nics"], layers["nics_per_tor"], layers["tors"]) == (2304, 36, 128)
    assert len(nodes_of(graph, "leaf")) == 18
    assert nodes_of(graph, "spine") == []
    assert count(graph, "leaf") == 2 * 128 * 18
    assert {link["bandwidth"] for _, _, link in graph.edges(data=True) if link["tier"] == "leaf"} == {200 * GBPS}


def test_sixty_four_gen2_need_spines() -> None:
    # 512 ToRs are more than a leaf's 256 ports: 4 pods of 128 ToRs, 36 leaves each with 128 ports down and 128 up, in
    # 36 planes; a plane has 4 leaves, and a spine of 256 ports gives each 64, so 2 spines per plane.
    graph = t.efa_cluster("trn3_gen2", 64)
    assert len(nodes_of(graph, "leaf")) == 4 * 36
    assert len(nodes_of(graph, "spine")) == 36 * 2
    assert count(graph, "leaf") == 2 * 512 * 36
    assert count(graph, "spine") == 2 * 4 * 36 * 2


def test_latency_is_on_the_spine_layer_alone() -> None:
    graph = t.efa_cluster("trn2", 4, leaf_ports=4, spine_ports=4)
    seen = {(link["tier"], link["latency"]) for _, _, link in graph.edges(data=True)}
    assert seen >= {("nic", 0.0), ("efa", 0.0), ("leaf", 0.0), ("spine", 0.9e-6)}
    assert len(seen) == 2 + 4


def test_planes_stay_apart_above_the_tors() -> None:
    graph = t.efa_cluster("trn2", 4, leaf_ports=4, spine_ports=16, planes=4)
    planes = {node: graph.nodes[node]["plane"] for word in ("leaf", "spine") for node in nodes_of(graph, word)}
    assert Counter(planes.values()).keys() == {0, 1, 2, 3}
    assert all(planes[a] == planes[b] for a, b, link in graph.edges(data=True) if link["tier"] == "spine")


def test_tors_of_a_machine_share_a_pod() -> None:
    graph = t.efa_cluster("trn3_gen2", 40)
    layers = graph.graph["layers"]
    # 8 ToRs per machine and 320 in all; pods of at most 128, so 3 pods of 14, 14 and 12 machines.
    assert (layers["pods"], layers["tors_per_pod"]) == (3, 14 * 8)


def test_stated_sizes_are_kept() -> None:
    graph = t.efa_cluster("trn2", 4, planes=2, leaves_per_plane=4, spines_per_plane=4)
    assert len(nodes_of(graph, "leaf")) == 2 * 4
    assert len(nodes_of(graph, "spine")) == 2 * 4
    assert t.efa_cluster("trn2", 8, nics_per_tor=64).graph["layers"]["tors"] == 2 * (8 * 16 // 64)


@given(
    tors=st.integers(1, 300).map(lambda pairs: 2 * pairs),
    uplinks=st.sampled_from([1, 2, 8, 12, 16, 36, 64]),
    leaf_ports=st.sampled_from([16, 64, 256]),
    spine_ports=st.sampled_from([64, 256]),
)
def test_ports_suffice(tors: int, uplinks: int, leaf_ports: int, spine_ports: int) -> None:
    try:
        clos = size_clos(tors, uplinks, unit=8, leaf_ports=leaf_ports, spine_ports=spine_ports)
    except ValueError:
        return
    leaves = clos.planes * clos.leaves_per_plane
    assert uplinks % leaves == 0
    down = clos.tors_per_pod * uplinks // leaves
    assert (clos.pods - 1) * clos.tors_per_pod < tors <= clos.pods * clos.tors_per_pod
    if clos.spines_per_plane:
        assert 2 * down <= leaf_ports
        assert down % clos.spines_per_plane == 0
        assert clos.pods * clos.leaves_per_plane * down // clos.spines_per_plane <= spine_ports
    else:
        assert down <= leaf_ports


def test_one_machine_and_confidences() -> None:
    graph = t.efa_cluster("trn2", 1)
    assert nx.is_strongly_connected(graph)
    by_tier = {link["tier"]: link["confidence"] for _, _, link in graph.edges(data=True)}
    assert by_tier == {
        "neuronlink-x": "derived",
        "neuronlink-y": "derived",
        "nic": "guess",
        "efa": "derived",
        "leaf": "derived",
    }
    given_nic = t.efa_cluster("trn2", 1, nic_bandwidth=400 * GBPS, oversubscription=2)
    by_tier = {link["tier"]: link["confidence"] for _, _, link in given_nic.edges(data=True)}
    assert (by_tier["efa"], by_tier["leaf"]) == ("given", "given")
    other = t.efa_cluster("ring", 2, machine_parameters={"n": 4, "bandwidth": 1e9})
    assert {link["confidence"] for _, _, link in other.edges(data=True) if link["tier"] == "efa"} == {"guess"}


def test_cluster_of_a_degraded_machine_says_so() -> None:
    graph = t.efa_cluster(t.degrade(t.trn2(), down=[(0, 1)]), 2)
    assert graph.graph["machine_degraded"][0] == {"from": "chip 0", "to": "chip 1", "factor": 0.0}
    assert not graph.has_edge(16, 17)


@pytest.mark.parametrize(
    ("arguments", "parameters", "message"),
    [
        (("trn4", 2), {}, "unknown machine 'trn4'; did you mean 'trn"),
        (("efa_cluster", 2), {}, "unknown machine 'efa_cluster'"),
        ((7, 2), {}, "unknown machine 7"),
        (("trn2", 0), {}, "count must be a whole number of at least 1, not 0"),
        (
            ("trn3_gen2", 2),
            {"machine_parameters": {"prest": "flat"}},
            "unknown parameter of trn3_gen2 'prest'; did you mean 'preset'",
        ),
        (
            ("ring", 2),
            {"machine_parameters": {"n": 4}},
            "machine_parameters of ring: missing a required argument: 'bandwidth'",
        ),
        ((t.trn2(), 2), {"machine_parameters": {"n": 4}}, "machine_parameters go with the name of a builder"),
        ((t.efa_cluster("trn2", 1), 2), {}, "the machine is a cluster already"),
        ((nx.DiGraph([(0, 1)]), 2), {}, "not a sound graph: .*kind is missing"),
        (("trn2", 2), {"nic_share": 3}, "nic_share 3 does not divide the machine's 16 chips"),
        (("trn2", 2), {"nic_bandwidth": -1}, "nic_bandwidth must be a finite number above zero"),
        (("trn2", 2), {"oversubscription": 0}, "oversubscription must be a finite number above zero"),
        (("trn2", 9), {"nics_per_tor": 100}, "a ToR with 100 NICs needs 100 ports down and 100 up, but has 128"),
        (
            ("trn2", 2),
            {"planes": 3},
            "no number of leaves can give each of 4 switches its 16 uplinks .* 256 ports .* 3 planes",
        ),
        (("trn2", 2), {"planes": 0}, "planes must be a whole number of at least 1, not 0"),
        (
            ("trn2", 40),
            {"leaf_ports": 64, "spines_per_plane": 0},
            "no number of leaves can give each of 80 switches its 16 uplinks",
        ),
        (("trn2", 40), {"leaves_per_plane": 1}, "1 leaves cannot give each of 80 switches its 16 uplinks"),
        (("trn2", 4), {"spines_per_plane": 1, "spine_ports": 8}, "1 spines cannot give .* with 8 ports per switch"),
        (("trn2", 2), {"leaf_ports": 2, "spine_ports": 8}, "a leaf needs ports for at least 2 ToRs below it, not 1"),
    ],
)
def test_bad_parameters(arguments: tuple, parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        t.efa_cluster(*arguments, **parameters)
