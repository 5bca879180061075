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
    cluster = Network(topologies.efa_cluster("trn2", 3))
    inner = Layout(16, (4, 4), (128e9, 128e9))
    assert cluster.layout(np.arange(48)) == Layout(48, servers=3, inner=inner, injection=25e9)
    assert Network(topologies.ring(5, 1e9)).layout(np.arange(5)) == Layout(5, (5,), (1e9,))


def test_layouts_of_groups_of_machines() -> None:
    inner = Layout(16, (4, 4), (128e9, 128e9))
    two = Layout(32, servers=2, inner=inner, injection=25e9)
    full = Network(topologies.efa_cluster("trn2", 4, fold=False))
    assert full.layout(np.arange(16, 32)) == inner
    assert full.layout(np.arange(16, 48)) == two
    for ranks in (np.arange(8, 24), np.arange(12), np.arange(31, -1, -1), np.arange(0, 64, 2)):
        assert full.layout(ranks) == Layout(len(ranks))
    folded = Network(topologies.efa_cluster("trn2", 4, fold=True))
    assert folded.layout(np.arange(16), copies=4) == inner
    assert folded.layout(np.arange(16)) == Layout(64, servers=4, inner=inner, injection=25e9, pods=1)
    unit = Network(topologies.efa_cluster("trn2", 4, fold=2))
    assert unit.layout(np.arange(32), copies=2) == two
    with pytest.raises(InputError, match="2 machines of this folded cluster stand for replica groups"):
        unit.layout(np.arange(32))


def test_layout_of_a_degraded_torus_has_the_least_bandwidth() -> None:
    slow = topologies.degrade(topologies.trn2(), slow=[((0, 1), 0.5)])
    assert Network(slow).layout(np.arange(16)).bandwidth == (64e9, 128e9)


def test_layout_of_racks_and_sleds() -> None:
    sled = Layout(4, injection=256e9)
    rack = Layout(72, servers=18, inner=sled, injection=320e9)
    assert Network(topologies.trn3_gen2(racks=1)).layout(np.arange(72)) == rack
    both = Layout(144, servers=2, inner=rack, injection=128e9)
    assert Network(topologies.trn3_gen2()).layout(np.arange(144)) == both
    cluster = Network(topologies.efa_cluster("trn3_gen2", 2))
    assert cluster.layout(np.arange(288)) == Layout(288, servers=2, inner=both, injection=25e9)
    trays = Network(topologies.trn3_gen1(preset="lanes160")).layout(np.arange(64))
    assert [(tier.size, tier.bandwidth) for tier in trays.tiers] == [(2, 512e9), (16, 512e9), (2, 128e9)]
    assert Network(topologies.trn3_gen2(preset="flat")).layout(np.arange(144)) == Layout(144, injection=1024e9)


def test_injection_of_shared_nics() -> None:
    """Two chips of Trn1 share a NIC of 100 Gb/s; a chip without its cross-rack cable does not count."""
    assert Network(topologies.efa_cluster("trn1", 2)).layout(np.arange(32)).injection == 6.25e9
    cut = Network(topologies.degrade(topologies.trn3_gen2(), down=[(3, 75)]))
    assert cut.layout(np.arange(144)).injection == 128e9
