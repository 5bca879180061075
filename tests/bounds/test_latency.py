"""The latency bound: one overhead and the longest of the least latencies between ranks that depend on each other."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import topologies
from fabric.bind import NO_OVERHEADS, Overheads
from fabric.bounds import latency
from fabric.bounds.paths import components, distances
from fabric.network import Network

from .fabrics import bounds, fabrics

ALPHAS = Overheads(alpha_link=1e-6, alpha_efa=15e-6)


def latency_bound(network: Network, overheads: Overheads, *groups: list[int], **options: object) -> float:
    collective = "all_to_all_v" if "matrix" in options else "all_reduce"
    return bounds(network, collective, 1.0, *groups, overheads=overheads, **options)["latency"].time


def test_diameters() -> None:
    def hops(graph: nx.DiGraph[int]) -> float:
        return latency_bound(Network(graph), Overheads(alpha_link=100.0))

    assert hops(topologies.torus((4, 4), 1.0, 1.0)) == 104
    assert hops(topologies.torus((4, 4, 4), 1.0, 1.0)) == 106
    assert hops(topologies.torus((8, 8), 1.0, 1.0)) == 108
    assert hops(topologies.switch(8, 1.0, 1.0)) == 102


def test_start_and_one_destination_are_paid_once() -> None:
    network = Network(topologies.ring(6, 1.0, 1.0))
    assert latency_bound(network, Overheads(alpha_link=10.0, start=1000.0, per_destination=100.0)) == 1113


def test_overheads_can_be_off() -> None:
    network = Network(topologies.ring(6, 1.0, 1.0))
    assert latency_bound(network, NO_OVERHEADS) == 0
    assert "latency" not in bounds(network, "all_reduce")


def test_a_server_apart_costs_the_nic() -> None:
    network = Network(topologies.efa_cluster("trn2", 2))
    inside = [list(range(16)), list(range(16, 32))]
    # 4 links of 0.3 us and alpha_link inside a server; alpha_efa between servers.
    assert latency_bound(network, ALPHAS, *inside) == pytest.approx(1e-6 + 4 * 0.3e-6, rel=1e-12)
    assert latency_bound(network, ALPHAS) == pytest.approx(15e-6, rel=1e-12)
    # Where the NIC is the cheaper way even inside a server, that counts.
    assert latency_bound(network, Overheads(alpha_link=1.0, alpha_efa=0.5), *inside) == pytest.approx(0.5, rel=1e-5)


def test_only_pairs_that_exchange_something_count() -> None:
    network = Network(topologies.ring(8, 1.0, 1.0))
    matrix = np.zeros((8, 8))
    matrix[0, 2] = 1.0
    matrix[3, 3] = 1.0
    assert latency_bound(network, Overheads(alpha_link=10.0), matrix=matrix) == 12
    matrix[0, 2] = 0.0
    assert "latency" not in bounds(network, "all_to_all_v", matrix=matrix, overheads=ALPHAS)


def test_groups_keep_to_themselves() -> None:
    network = Network(topologies.ring(8, 1.0, 1.0))
    assert latency_bound(network, Overheads(), [0, 1], [4, 5], [7, 2]) == 3


def test_some_sources_stand_for_all_on_a_large_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(topologies.torus((4, 4), 1.0, 1.0))
    monkeypatch.setattr(latency, "WORK", 3 * network.links)
    assert latency_bound(network, Overheads()) == 4
    line = Network(topologies.mesh((9,), 1.0, 1.0))
    monkeypatch.setattr(latency, "WORK", 1)
    assert latency_bound(line, Overheads()) <= 8


@given(fabrics(), st.data())
@settings(max_examples=50, deadline=None)
def test_distances_and_components_equal_those_of_networkx(network: Network, data: st.DataObject) -> None:
    length = data.draw(arrays(float, network.links, elements=st.integers(0, 9).map(float)))
    found = distances(network.nodes, network.source, network.destination, length, np.arange(network.nodes))
    graph = network.graph.copy()
    for a, b, value in zip(network.source.tolist(), network.destination.tolist(), length.tolist()):
        graph.edges[a, b]["length"] = value
    for start, reached in nx.all_pairs_dijkstra_path_length(graph, weight="length"):
        assert found[start].tolist() == [reached[node] for node in range(network.nodes)]
    kept = length < 3
    labels = components(network.nodes, network.source[kept], network.destination[kept])
    graph.remove_edges_from([(a, b) for a, b, data in graph.edges(data=True) if data["length"] >= 3])
    parts = [{node for node in range(network.nodes) if labels[node] == label} for label in range(labels.max() + 1)]
    assert parts == sorted(nx.weakly_connected_components(graph), key=min)
