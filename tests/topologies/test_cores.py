"""Cores as ranks: their numbers, their links, and the routes between them."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import topologies
from fabric.network import Network
from fabric.routing import find_routes
from topologies.cores import with_cores
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


def test_refusals() -> None:
    with pytest.raises(ValueError, match="cores are for machines that route in dimension order; trn3_gen2 does not"):
        with_cores(topologies.trn3_gen2(), 4, LINK)
    with pytest.raises(ValueError, match="per_chip must be a whole number of at least 1, not 0"):
        with_cores(topologies.trn2(), 0, LINK)
    with pytest.raises(ValueError, match="lnc must be 1 or 2, not 3"):
        topologies.trn2(lnc=3)
    with pytest.raises(ValueError, match="the ranks of a cluster are chips"):
        topologies.efa_cluster("trn2", 2, machine_parameters={"lnc": 2})
