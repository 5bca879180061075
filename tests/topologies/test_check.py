from __future__ import annotations

from typing import Any

import networkx as nx
import pytest

import topologies as t


def minimal() -> t.Graph:
    graph = t.Graph([(0, 2, {"bandwidth": 1}), (2, 1, {"bandwidth": 2.5})])
    graph.add_nodes_from([0, 1], kind="chip")
    graph.add_node(2, kind="switch")
    return graph


def test_minimal_foreign_graph_is_good() -> None:
    assert t.check(minimal()) == []


def test_all_faults_at_once() -> None:
    graph = minimal()
    graph.nodes[0].update(kind="gpu", name=5)
    del graph.nodes[2]["kind"]
    graph.edges[0, 2]["bandwidth"] = float("nan")
    del graph.edges[2, 1]["bandwidth"]
    graph.graph["routing"] = "shortes"
    assert t.check(graph) == [
        "ranks must be numbered 0..0, before switches and NICs; 1 come later",
        "node 0: unknown kind 'gpu'; known: chip, core, switch, nic",
        "node 0: name must be text, not 5",
        "node 2: kind is missing",
        "link 0 -> 2: bandwidth must be a finite number above zero, not nan",
        "link 2 -> 1: bandwidth is missing",
        "graph: unknown routing 'shortes'; did you mean 'shortest'?",
    ]


@pytest.mark.parametrize(
    ("attribute", "value", "fault"),
    [
        ("servers", 3, "graph: 3 servers of 16 ranks make 48, but there are 32"),
        ("machine_ranks", 8, "graph: 2 servers of 8 ranks make 16, but there are 32"),
        ("machine_dims", [4, 2], "graph: machine_dims [4, 2] make 8 ranks, but a machine has 16"),
        ("machine_dims", [4, ""], "graph, a cluster: machine_dims must be a list of whole numbers of at least 1, not [4, '']"),
        ("machine_shape", None, "graph, a cluster: machine_shape must be text, not None"),
        ("machine_shape", "trn3", "graph: machine_dims of shape trn3 are chips, sleds and racks, not [4, 4]"),
        ("machine_routing", "cluster", "graph, a cluster: unknown machine_routing 'cluster'; known: "
         "shortest, dimension_order, trn3, spray, ecmp, cores"),
    ],
)  # fmt: skip
def test_what_a_cluster_says_of_its_machines(attribute: str, value: object, fault: str) -> None:
    graph = t.efa_cluster("trn2", 2)
    assert t.check(graph) == []
    graph.graph[attribute] = value
    assert fault in t.check(graph)


@pytest.mark.parametrize("missing", ["servers", "machine_ranks", "machine_routing", "machine_shape", "machine_dims"])
def test_what_a_cluster_has_to_say(missing: str) -> None:
    graph = t.efa_cluster("trn2", 2)
    del graph.graph[missing]
    assert t.check(graph) == [f"graph, a cluster: {missing} is missing"]


@pytest.mark.parametrize(
    ("where", "attribute", "value", "fault"),
    [
        ("node", "kind", None, "node 0: unknown kind None; known: chip, core, switch, nic"),
        ("node", "name", "chip b", "node 0: name 'chip b' is not unique"),
        ("node", "coord", (0, 0), "node 0: coord must be a list of whole numbers of at least 0, not (0, 0)"),
        ("node", "coord", [0, -1], "node 0: coord must be a list of whole numbers of at least 0, not [0, -1]"),
        ("node", "rack", 1.0, "node 0: rack must be a whole number of at least 0, not 1.0"),
        ("node", "server", True, "node 0: server must be a whole number of at least 0, not True"),
        ("node", "tier", 1, "node 0: tier must be text, not 1"),
        ("node", "resources", [], "node 0: resources must be a mapping, not []"),
        ("node", "resources", {"hbm": 1}, "node 0: resource 'hbm' must be a mapping, not 1"),
        ("node", "resources", {"hbm": {}}, "node 0, resource 'hbm': bandwidth is missing"),
        (
            "node",
            "resources",
            {"hbm": {"bandwidth": 1.0, "send": -1}},
            "node 0, resource 'hbm': send must be a finite number of at least zero, not -1",
        ),
        ("edge", "bandwidth", 1e-4, "link 0 -> 1: bandwidth must be within 0.001 and 1e+18, not 0.0001"),
        ("edge", "bandwidth", 2e18, "link 0 -> 1: bandwidth must be within 0.001 and 1e+18, not 2e+18"),
        ("edge", "latency", 2e9, "link 0 -> 1: latency must be within 0 and 1e+09, not 2000000000.0"),
        ("edge", "bandwidth", 0, "link 0 -> 1: bandwidth must be a finite number above zero, not 0"),
        ("edge", "bandwidth", "1 GB/s", "link 0 -> 1: bandwidth must be a finite number above zero, not '1 GB/s'"),
        ("edge", "bandwidth", float("inf"), "link 0 -> 1: bandwidth must be a finite number above zero, not inf"),
        ("edge", "latency", -1e-6, "link 0 -> 1: latency must be a finite number of at least zero, not -1e-06"),
        ("edge", "tier", None, "link 0 -> 1: tier must be text, not None"),
        ("edge", "source", 3, "link 0 -> 1: source must be text, not 3"),
        ("edge", "confidence", "oficial", "link 0 -> 1: unknown confidence 'oficial'; did you mean 'official'?"),
        ("edge", "multiplicity", 0, "link 0 -> 1: multiplicity must be a whole number of at least 1, not 0"),
        ("graph", "dims", "22", "graph: dims must be a list of whole numbers of at least 1, not '22'"),
        ("graph", "dims", [3, 3], "graph: dims [3, 3] make 9 ranks, but there are 2"),
        ("graph", "dims", [2], "node 0: coord must be [0] in a grid of [2], not None"),
        ("graph", "shape", "torus", "graph: a grid needs dims, the list of its sizes"),
        ("graph", "routing", "dimension_order", "graph: a grid needs dims, the list of its sizes"),
        ("graph", "routing", ["spray"], "graph: unknown routing ['spray']; did you mean 'spray'?"),
        ("graph", "shape", "cluster", "graph, a cluster: machine_ranks is missing"),
        (
            "graph",
            "overheads",
            {"alpha_link": "1 us"},
            "graph, overheads: alpha_link must be a finite number of at least zero, not '1 us'",
        ),
    ],
)
def test_each_fault(where: str, attribute: str, value: Any, fault: str) -> None:
    graph = t.Graph([(0, 1, {"bandwidth": 1.0}), (1, 0, {"bandwidth": 1.0})])
    graph.add_nodes_from([0, 1], kind="chip")
    graph.nodes[1]["name"] = "chip b"
    target = {"node": graph.nodes[0], "edge": graph.edges[0, 1], "graph": graph.graph}[where]
    assert t.check(graph) == []
    target[attribute] = value
    assert fault in t.check(graph)


def test_numbers_of_nodes() -> None:
    graph = t.Graph()
    graph.add_node("chip 0", kind="chip")
    assert t.check(graph) == ["nodes must be whole numbers, not 'chip 0'"]
    graph = t.Graph()
    graph.add_nodes_from([0, 3], kind="chip")
    assert t.check(graph) == ["nodes must be numbered 0..1 without gaps; missing 1"]
    graph = t.Graph()
    graph.add_node(0, kind="switch")
    assert t.check(graph) == ["the graph has no ranks: no node is of kind 'chip'"]
    assert t.check(t.Graph()) == ["the graph has no ranks: no node is of kind 'chip'"]


def test_self_loop_and_wrong_type() -> None:
    graph = minimal()
    graph.add_edge(1, 1, bandwidth=1.0)
    assert t.check(graph) == ["link 1 -> 1: a link must join two nodes"]
    for wrong in (nx.Graph(), nx.MultiDiGraph(), {}):
        assert t.check(wrong) == [  # type: ignore[arg-type]
            f"the graph must be a networkx.DiGraph without parallel edges, not {type(wrong).__name__}"
        ]
