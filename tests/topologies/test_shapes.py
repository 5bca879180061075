from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import topologies as t
from topologies.parts import count_ranks


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_torus_degree_and_links(dims: list[int]) -> None:
    graph = t.torus(dims, 1e9)
    degree = sum({1: 0, 2: 1}.get(size, 2) for size in dims)
    assert all(out == degree for _, out in graph.out_degree())
    assert graph.number_of_edges() == len(graph) * degree


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_torus_links_join_coordinates_one_apart(dims: list[int]) -> None:
    graph = t.torus(dims, 1e9)
    names = ["x", "y", "z", "d3"]
    for a, b, link in graph.edges(data=True):
        apart = [
            (axis, (q - p) % size)
            for axis, (p, q, size) in enumerate(zip(graph.nodes[a]["coord"], graph.nodes[b]["coord"], dims))
            if p != q
        ]
        assert len(apart) == 1
        axis, distance = apart[0]
        assert distance in (1, dims[axis] - 1)
        assert link["tier"] == names[axis]


def test_rank_counts_first_coordinate_fastest() -> None:
    graph = t.torus([4, 3, 2], 1e9)
    for rank in graph:
        x, y, z = graph.nodes[rank]["coord"]
        assert rank == x + 4 * (y + 3 * z)


def test_torus_distances_are_sums_of_ring_distances() -> None:
    # Mean ring distance of 4 nodes is (0+1+2+1)/4 = 1, of 5 nodes (0+1+2+2+1)/5 = 6/5; means of dimensions add.
    graph = t.torus([4, 5], 1e9)
    assert nx.diameter(graph) == 2 + 2
    assert nx.average_shortest_path_length(graph) == pytest.approx((1 + 6 / 5) * 20 / 19)


def test_torus_takes_one_number_per_dimension() -> None:
    graph = t.torus([4, 4, 4], [3e9, 2e9, 1e9], [1e-6, 2e-6, 3e-6])
    seen = {(link["tier"], link["bandwidth"], link["latency"]) for _, _, link in graph.edges(data=True)}
    assert seen == {("x", 3e9, 1e-6), ("y", 2e9, 2e-6), ("z", 1e9, 3e-6)}


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_mesh_has_no_wraparound(dims: list[int]) -> None:
    graph = t.mesh(dims, 1e9)
    ranks = len(graph)
    assert graph.number_of_edges() == sum(2 * ranks // size * (size - 1) for size in dims)
    assert nx.diameter(graph) == sum(size - 1 for size in dims)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_ring(n: int) -> None:
    graph = t.ring(n, 1e9)
    assert set(graph.edges) == {(i, (i + step) % n) for i in range(n) for step in (1, -1)}


def test_hypercube_links_ranks_one_bit_apart() -> None:
    graph = t.hypercube(4, 1e9)
    assert set(graph.edges) == {(a, b) for a in range(16) for b in range(16) if (a ^ b).bit_count() == 1}
    assert graph.edges[0b0101, 0b0001]["tier"] == "z"
    assert graph.edges[0b0101, 0b1101]["tier"] == "d3"


def test_torus_of_twos_is_the_hypercube() -> None:
    assert nx.utils.edges_equal(t.torus([2, 2, 2], 1e9).edges(data=True), t.hypercube(3, 1e9).edges(data=True))


def test_full_mesh_and_switch() -> None:
    assert set(t.full_mesh(4, 1e9).edges) == {(a, b) for a in range(4) for b in range(4) if a != b}
    assert set(t.switch(3, 1e9).edges) == {(0, 3), (1, 3), (2, 3), (3, 0), (3, 1), (3, 2)}


def test_leaf_spine_is_non_blocking_by_default() -> None:
    graph = t.leaf_spine(6, 4, 3, 1e9)
    tiers = Counter(link["tier"] for _, _, link in graph.edges(data=True))
    assert tiers == {"link": 2 * 24, "spine": 2 * 12}
    for leaf in (node for node, attributes in graph.nodes(data=True) if attributes.get("tier") == "leaf"):
        below = sum(link["bandwidth"] for _, _, link in graph.in_edges(leaf, data=True) if link["tier"] == "link")
        above = sum(link["bandwidth"] for _, _, link in graph.out_edges(leaf, data=True) if link["tier"] == "spine")
        assert below == above == 6e9
    assert t.leaf_spine(6, 4, 3, 1e9, uplink_bandwidth=5e8).edges[24, 28]["bandwidth"] == 5e8


@pytest.mark.parametrize("k", [2, 4, 6])
def test_fat_tree(k: int) -> None:
    graph = t.fat_tree(k, 1e9)
    ranks, switches = k**3 // 4, k * k + (k // 2) ** 2
    assert (count_ranks(graph), len(graph)) == (ranks, ranks + switches)
    assert all(graph.out_degree(node) == k for node in range(ranks, len(graph)))
    assert nx.diameter(graph) == 6


def test_fat_tree_gives_every_pair_of_pods_all_spines() -> None:
    graph = t.fat_tree(4, 1e9)
    assert len(list(nx.all_shortest_paths(graph, 0, 15))) == 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: t.ring(1, 1e9), "n must be a whole number of at least 2, not 1"),
        (lambda: t.ring(4.0, 1e9), "n must be a whole number of at least 2, not 4.0"),
        (lambda: t.ring(True, 1e9), "n must be a whole number"),
        (lambda: t.ring(4, 0), "bandwidth must be a finite number above zero, not 0"),
        (lambda: t.ring(4, float("nan")), "bandwidth must be a finite number above zero, not nan"),
        (lambda: t.ring(4, float("inf")), "bandwidth must be a finite number above zero, not inf"),
        (lambda: t.ring(4, 10**400), "bandwidth must be a finite number above zero"),
        (lambda: t.ring(4, "128 GB/s"), "bandwidth must be a finite number above zero, not '128 GB/s'"),
        (lambda: t.ring(4, 1e9, -1e-6), "latency must be a finite number of at least zero"),
        (lambda: t.torus([], 1e9), "dims must be a list of at least one size"),
        (lambda: t.torus("44", 1e9), "dims must be a list"),
        (lambda: t.torus([4, 0], 1e9), "each size of dims must be a whole number of at least 1, not 0"),
        (lambda: t.torus([4, 4], [1e9]), r"bandwidth must be one number or one per dimension \(2\), not 1 numbers"),
        (lambda: t.torus([4, 4], 1e9, [0, 0, 0]), "latency must be one number or one per dimension"),
        (lambda: t.hypercube(0, 1e9), "dim must be a whole number of at least 1"),
        (lambda: t.leaf_spine(4, 2, 0, 1e9), "spines must be a whole number of at least 1, not 0"),
        (lambda: t.leaf_spine(4, 2, 2, 1e9, 0), "uplink_bandwidth must be a finite number above zero"),
        (lambda: t.fat_tree(5, 1e9), "k must be even, not 5"),
    ],
)
def test_bad_parameters(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
