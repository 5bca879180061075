"""Routes: every byte that leaves the source arrives, over links that exist, on the rule's way."""

from __future__ import annotations

from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric.errors import InputError
from fabric.network import Network
from fabric.routing import Routes, Rule, find_routes

FABRICS = {
    "trn2": lambda: topologies.trn2(),
    "trn2_ultraserver": lambda: topologies.trn2_ultraserver(),
    "torus 5x3x2": lambda: topologies.torus([5, 3, 2], 1e9),
    "mesh 3x4": lambda: topologies.mesh([3, 4], 1e9),
    "hypercube": lambda: topologies.hypercube(4, 1e9),
    "ring": lambda: topologies.ring(7, 1e9),
    "trn3_gen1": lambda: topologies.trn3_gen1(leg="source"),
    "trn3_gen2": lambda: topologies.trn3_gen2(),
    "trn3_gen2 split": lambda: topologies.trn3_gen2(leg="split"),
    "trn3_gen2 flat": lambda: topologies.trn3_gen2(preset="flat"),
    "fat_tree": lambda: topologies.fat_tree(4, 1e9),
    "cluster": lambda: topologies.efa_cluster("trn2", 3),
    "cluster trn3": lambda: topologies.efa_cluster("trn3_gen1", 2),
    "degraded": lambda: topologies.degrade(topologies.trn2(), down=[(0, 1), (5, 9)]),
}


def all_pairs(network: Network, ranks: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    n = ranks or network.ranks
    source, destination = (grid.ravel() for grid in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    return source[source != destination], destination[source != destination]


def hops(network: Network, routes: Routes) -> np.ndarray:
    pair = np.repeat(np.arange(len(routes.ptr) - 1), np.diff(routes.ptr))
    return np.bincount(pair, weights=routes.share, minlength=len(routes.ptr) - 1)


@pytest.mark.parametrize("name", FABRICS)
@pytest.mark.parametrize("rule", ["default", "shortest", "spray", "ecmp"])
def test_bytes_are_conserved_at_every_node(name: str, rule: str) -> None:
    network = Network(FABRICS[name]())
    source, destination = all_pairs(network, min(network.ranks, 40))
    routes = find_routes(network, source, destination, Rule(rule, seed=3))
    balance = np.zeros((len(source), network.nodes))
    pair = np.repeat(np.arange(len(source)), np.diff(routes.ptr))
    np.add.at(balance, (pair, network.destination[routes.links]), routes.share)
    np.subtract.at(balance, (pair, network.source[routes.links]), routes.share)
    expected = np.zeros_like(balance)
    expected[np.arange(len(source)), source] = -1
    expected[np.arange(len(source)), destination] = 1
    assert np.abs(balance - expected).max() < 1e-12


# Diameter and mean distance from the shape alone: a ring of 4 has distances 0 1 2 1.
@pytest.mark.parametrize(
    ("name", "diameter", "mean"),
    [("trn2", 4, Fraction(2 * 16, 15)), ("trn2_ultraserver", 6, Fraction(3 * 64, 63)), ("hypercube", 4, Fraction(2 * 16, 15))],
)
def test_distances_of_tori(name: str, diameter: int, mean: Fraction) -> None:
    network = Network(FABRICS[name]())
    length = hops(network, find_routes(network, *all_pairs(network)))
    assert length.max() == diameter
    assert length.mean() == pytest.approx(float(mean), rel=1e-12)


def test_trn3_gen2_crosses_the_racks_first() -> None:
    network = Network(topologies.trn3_gen2())
    # Chip 0 of rack 0 to chip 77 = 72 + 5 of rack 1: over its mate 72, then the rack switch (another sled).
    routes = find_routes(network, np.array([0, 0, 0]), np.array([77, 73, 72]))
    tiers = [[network.tiers[network.tier[k]] for k in routes.links[a:b]] for a, b in zip(routes.ptr, routes.ptr[1:])]
    assert tiers == [["cross-rack", "rack", "rack"], ["cross-rack", "sled", "sled"], ["cross-rack"]]
    # 0.30 us cross-rack, 0.20 us through the rack switch, 0.15 us through a sled switch.
    assert routes.latency == pytest.approx([0.50e-6, 0.45e-6, 0.30e-6])
    assert network.destination[routes.links[0]] == 72


def test_ties_on_even_rings() -> None:
    network = Network(topologies.ring(4, 1e9))
    both = find_routes(network, np.array([0]), np.array([2]))
    assert both.share.tolist() == [0.5] * 4
    one = find_routes(network, np.array([0]), np.array([2]), Rule(ties="positive"))
    assert [network.names[k] for k in one.links] == ["chip 0 -> chip 1", "chip 1 -> chip 2"]


def test_a_cable_that_is_down_is_gone_round() -> None:
    network = Network(FABRICS["degraded"]())
    routes = find_routes(network, np.array([0, 4]), np.array([1, 5]))
    assert np.diff(routes.ptr).tolist() == [3, 1]


def test_spray_is_even_over_the_spines() -> None:
    network = Network(topologies.fat_tree(4, 1e9))
    # Two pods of a 4-ary fat tree are joined by 2 x 2 = 4 routes.
    routes = find_routes(network, np.array([0]), np.array([15]), Rule("spray"))
    spine = [share for share, k in zip(routes.share, routes.links) if network.tiers[network.tier[k]] == "spine"]
    assert spine == [0.25] * 8


def test_ecmp_is_one_route_and_follows_its_seed() -> None:
    network = Network(topologies.fat_tree(4, 1e9))
    pairs = all_pairs(network)
    first, again, other = (find_routes(network, *pairs, Rule("ecmp", seed=seed)) for seed in (1, 1, 2))
    assert (first.share == 1).all()
    assert (first.links == again.links).all()
    assert not np.array_equal(first.links, other.links)


def test_cluster_crosses_one_nic_at_each_end() -> None:
    network = Network(topologies.efa_cluster("trn2", 3))
    routes = find_routes(network, np.array([0, 0]), np.array([1, 17]))
    assert routes.efa.tolist() == [False, True]
    far = routes.links[routes.ptr[1] :]
    nic = [k for k in far if network.tiers[network.tier[k]] == "nic"]
    assert len(nic) == 2
    assert routes.share[routes.ptr[1] :].sum() >= 4


def test_no_route_is_refused_by_name() -> None:
    graph = nx.DiGraph(routing="shortest")
    for node in range(4):
        graph.add_node(node, kind="chip", name=f"chip {node}")
    graph.add_edge(0, 1, bandwidth=1e9, latency=0.0)
    graph.add_edge(1, 0, bandwidth=1e9, latency=0.0)
    with pytest.raises(InputError, match="no route: chip 0 -> chip 2, chip 3 -> chip 0"):
        find_routes(Network(graph), np.array([0, 0, 3]), np.array([1, 2, 0]))


def test_unknown_rule_names_the_nearest() -> None:
    network = Network(topologies.trn2())
    with pytest.raises(InputError, match="did you mean dimension_order"):
        find_routes(network, np.array([0]), np.array([1]), Rule("dimension_ordr"))


@settings(deadline=None, max_examples=30)
@given(dims=st.lists(st.integers(2, 5), min_size=1, max_size=3), data=st.data())
def test_dimension_order_is_shortest(dims: list[int], data: st.DataObject) -> None:
    """On a healthy torus dimension order never takes a longer route than breadth-first search finds."""
    graph = topologies.torus(dims, 1e9)
    network = Network(graph)
    source = data.draw(st.integers(0, network.ranks - 1))
    length = nx.single_source_shortest_path_length(graph, source)
    others = np.array([node for node in range(network.ranks) if node != source])
    routes = find_routes(network, np.full(len(others), source), others)
    assert hops(network, routes).tolist() == pytest.approx([length[node] for node in others.tolist()])
