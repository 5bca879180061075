"""The compiled form of a graph."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import topologies
from fabric.errors import InputError
from fabric.layout import Layout
from fabric.network import Network


def test_links_are_found_by_their_ends() -> None:
    network = Network(topologies.trn2())
    assert network.links == 64
    ids = network.link_ids(np.array([0, 0, 5]), np.array([1, 5, 6]))
    assert ids[1] == -1
    assert [network.names[k] for k in ids[[0, 2]]] == ["chip 0 -> chip 1", "chip 5 -> chip 6"]
    assert network.capacity[ids[0]] == 128e9


def test_every_fault_of_a_graph_is_named() -> None:
    graph = nx.DiGraph()
    graph.add_node(0, kind="chip", name="chip 0")
    graph.add_node(1, name="chip 1")
    graph.add_edge(0, 1, bandwidth=-1.0)
    graph.add_edge(1, 0, bandwidth=float("nan"))
    with pytest.raises(InputError) as caught:
        Network(graph)
    assert len(caught.value.faults) >= 3


def test_resources_are_capacities_after_the_links() -> None:
    graph = topologies.ring(3, 1e9)
    graph.nodes[1]["resources"] = {"hbm": {"bandwidth": 5e9, "send": 1, "receive": 1, "source": "s", "confidence": "given"}}
    network = Network(graph)
    assert len(network.capacity) == network.links + 1
    assert network.names[-1] == "chip 1 hbm"
    assert network.capacity[-1] == 5e9
    assert network.tiers[network.tier[-1]] == "hbm"


def test_layouts() -> None:
    thin = Network(topologies.trn2_ultraserver())
    assert thin.layout(np.arange(64)) == Layout(64, (4, 4, 4), (128e9, 128e9, 64e9))
    assert thin.layout(np.arange(8)) == Layout(8)
    assert Network(topologies.trn3_gen2()).layout(np.arange(144)) == Layout(144)
    cluster = Network(topologies.efa_cluster("trn2", 3))
    inner = Layout(16, (4, 4), (128e9, 128e9))
    assert cluster.layout(np.arange(48)) == Layout(48, servers=3, inner=inner)
    assert Network(topologies.ring(5, 1e9)).layout(np.arange(5)) == Layout(5, (5,), (1e9,))


def test_layout_of_a_degraded_torus_has_the_least_bandwidth() -> None:
    slow = topologies.degrade(topologies.trn2(), slow=[((0, 1), 0.5)])
    assert Network(slow).layout(np.arange(16)).bandwidth == (64e9, 128e9)
