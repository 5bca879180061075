"""Plain shapes: ring, mesh, torus, hypercube, full mesh, switch, leaf-spine and fat tree.

Bandwidths are in bytes/s in one direction, latencies in s, both per link. Numbers handed to a builder are marked
`given` in the graph: they are the caller's, not a document's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from .parts import Graph, Link, add_chips, add_chips_on_grid, add_node, join, new_graph, not_negative, positive, whole

__all__ = ["fat_tree", "full_mesh", "hypercube", "leaf_spine", "mesh", "ring", "switch", "torus"]

PerDimension = float | Sequence[float]


def ring(n: int, bandwidth: float, latency: float = 0.0) -> Graph:
    """Ring of `n` ranks, each linked to the next and the previous; two ranks have one link each way.

    >>> sorted(ring(4, 1e9).successors(0))
    [1, 3]
    """
    n = whole("n", n, least=2)
    graph = new_graph("ring", "ring", "dimension_order", {"n": n, "bandwidth": bandwidth, "latency": latency}, [n])
    add_grid(graph, [n], [given("link", bandwidth, latency)], wrap=True)
    return graph


def mesh(dims: Sequence[int], bandwidth: PerDimension, latency: PerDimension = 0.0) -> Graph:
    """Grid without wraparound; `bandwidth` and `latency` are one number or one per dimension.

    >>> mesh([3, 3], 1e9).number_of_edges()
    24
    """
    return _lattice("mesh", dims, bandwidth, latency)


def torus(dims: Sequence[int], bandwidth: PerDimension, latency: PerDimension = 0.0) -> Graph:
    """Grid with wraparound; `bandwidth` and `latency` are one number or one per dimension.

    A dimension of size 2 has one link each way between its two ranks (not two), one of size 1 has none.

    >>> sorted(torus([4, 4], 1e9).successors(0))
    [1, 3, 4, 12]
    """
    return _lattice("torus", dims, bandwidth, latency)


def hypercube(dim: int, bandwidth: PerDimension, latency: PerDimension = 0.0) -> Graph:
    """Hypercube of 2**dim ranks; ranks that differ in one bit are linked, and bit 0 is dimension x.

    >>> sorted(hypercube(3, 1e9).successors(5))
    [1, 4, 7]
    """
    dims = [2] * whole("dim", dim)
    graph = new_graph(
        "hypercube",
        "hypercube",
        "dimension_order",
        {"dim": dim, "bandwidth": _plain(bandwidth), "latency": _plain(latency)},
        dims,
    )
    add_grid(graph, dims, _links(dims, bandwidth, latency), wrap=True)
    return graph


def full_mesh(n: int, bandwidth: float, latency: float = 0.0) -> Graph:
    """Every rank linked directly to every other; `bandwidth` is that of each link.

    >>> full_mesh(4, 1e9).out_degree(0)
    3
    """
    n = whole("n", n)
    graph = new_graph("full_mesh", "full_mesh", "shortest", {"n": n, "bandwidth": bandwidth, "latency": latency})
    link = given("link", bandwidth, latency)
    add_chips(graph, n)
    for a, b in combinations(range(n), 2):
        join(graph, a, b, link)
    return graph


def switch(n: int, bandwidth: float, latency: float = 0.0) -> Graph:
    """`n` ranks on one non-blocking switch. `latency` is per link, so a way through the switch takes it twice.

    >>> graph = switch(4, 1e9)
    >>> graph.nodes[4]["kind"], sorted(graph.successors(4))
    ('switch', [0, 1, 2, 3])
    """
    n = whole("n", n)
    graph = new_graph("switch", "switch", "shortest", {"n": n, "bandwidth": bandwidth, "latency": latency})
    link = given("link", bandwidth, latency)
    add_chips(graph, n)
    centre = add_node(graph, "switch", "switch", tier="switch")
    for rank in range(n):
        join(graph, rank, centre, link)
    return graph


def leaf_spine(
    ranks_per_leaf: int,
    leaves: int,
    spines: int,
    bandwidth: float,
    uplink_bandwidth: float | None = None,
    latency: float = 0.0,
) -> Graph:
    """Two layers of switches: every leaf has its own ranks and a link to every spine.

    `bandwidth` is that of a rank's link. `uplink_bandwidth` is that of one leaf-spine link; without it the layers are
    non-blocking: ranks_per_leaf * bandwidth / spines.

    >>> graph = leaf_spine(4, 2, 2, 1e9)
    >>> len(graph), graph.edges[8, 10]["bandwidth"]
    (12, 2000000000.0)
    """
    ranks_per_leaf, leaves = whole("ranks_per_leaf", ranks_per_leaf), whole("leaves", leaves)
    down = given("link", bandwidth, latency)
    if uplink_bandwidth is None:
        uplink_bandwidth = ranks_per_leaf * down.bandwidth / whole("spines", spines)
    up = given("spine", uplink_bandwidth, latency, "uplink_bandwidth")
    parameters = {
        "ranks_per_leaf": ranks_per_leaf,
        "leaves": leaves,
        "spines": whole("spines", spines),
        "bandwidth": bandwidth,
        "uplink_bandwidth": uplink_bandwidth,
        "latency": latency,
    }
    graph = new_graph("leaf_spine", "leaf_spine", "spray", parameters)
    add_chips(graph, ranks_per_leaf * leaves)
    leaf_nodes = [add_node(graph, "switch", f"leaf {i}", tier="leaf") for i in range(leaves)]
    spine_nodes = [add_node(graph, "switch", f"spine {i}", tier="spine") for i in range(spines)]
    for rank in range(ranks_per_leaf * leaves):
        join(graph, rank, leaf_nodes[rank // ranks_per_leaf], down)
    for leaf in leaf_nodes:
        for spine in spine_nodes:
            join(graph, leaf, spine, up)
    return graph


def fat_tree(k: int, bandwidth: float, latency: float = 0.0) -> Graph:
    """Three-layer fat tree of switches with `k` ports: k**3/4 ranks, all links equal, non-blocking.

    Each of the k pods has k/2 ToRs with k/2 ranks each and k/2 leaves; (k/2)**2 spines join the pods, and leaf i of a
    pod goes to spines i*k/2 .. (i+1)*k/2 - 1 (Al-Fares, Loukissas and Vahdat, SIGCOMM 2008).

    >>> graph = fat_tree(4, 1e9)
    >>> sum(kind == "chip" for _, kind in graph.nodes(data="kind")), len(graph)
    (16, 36)
    """
    if whole("k", k, least=2) % 2:
        raise ValueError(f"k must be even, not {k}: half of a switch's ports go down and half up")
    half = k // 2
    rank_link, leaf_link, spine_link = (given(tier, bandwidth, latency) for tier in ("link", "leaf", "spine"))
    graph = new_graph("fat_tree", "fat_tree", "spray", {"k": k, "bandwidth": bandwidth, "latency": latency})
    add_chips(graph, k * half * half)
    tors = [add_node(graph, "switch", f"tor {i}", tier="tor") for i in range(k * half)]
    leaves = [add_node(graph, "switch", f"leaf {i}", tier="leaf") for i in range(k * half)]
    spines = [add_node(graph, "switch", f"spine {i}", tier="spine") for i in range(half * half)]
    for rank in range(k * half * half):
        join(graph, rank, tors[rank // half], rank_link)
    for i, leaf in enumerate(leaves):
        pod, position = divmod(i, half)
        for j in range(half):
            join(graph, tors[pod * half + j], leaf, leaf_link)
            join(graph, leaf, spines[position * half + j], spine_link)
    return graph


def add_grid(graph: Graph, dims: Sequence[int], links: Sequence[Link], wrap: bool) -> None:
    """Add one chip per coordinate and, per dimension, `links[dimension]` to the next chip, wrapping around if asked."""
    add_chips_on_grid(graph, dims)
    stride = 1
    for axis, (size, link) in enumerate(zip(dims, links, strict=True)):
        for rank in range(math.prod(dims)):
            if rank // stride % size < size - 1:
                join(graph, rank, rank + stride, link)
            elif wrap and size > 2:
                join(graph, rank, rank - (size - 1) * stride, link)
        stride *= dims[axis]


def given(tier: str, bandwidth: float, latency: float, parameter: str = "bandwidth") -> Link:
    """A link whose numbers are the caller's; `parameter` is the name under which the bandwidth came."""
    return Link(
        positive(parameter, bandwidth),
        not_negative("latency", latency),
        tier,
        f"parameters {parameter} and latency",
        "given",
    )


def _lattice(shape: str, dims: Sequence[int], bandwidth: PerDimension, latency: PerDimension) -> Graph:
    if isinstance(dims, str) or not isinstance(dims, Sequence) or not dims:
        raise ValueError(f"dims must be a list of at least one size, not {dims!r}")
    dims = [whole("each size of dims", size) for size in dims]
    parameters = {"dims": dims, "bandwidth": _plain(bandwidth), "latency": _plain(latency)}
    graph = new_graph(shape, shape, "dimension_order", parameters, dims)
    add_grid(graph, dims, _links(dims, bandwidth, latency), wrap=shape == "torus")
    return graph


def _links(dims: Sequence[int], bandwidth: PerDimension, latency: PerDimension) -> list[Link]:
    bandwidths = _per_dimension("bandwidth", bandwidth, len(dims))
    latencies = _per_dimension("latency", latency, len(dims))
    tiers = ["x", "y", "z", *(f"d{axis}" for axis in range(3, len(dims)))]
    return [given(tier, b, lat) for tier, b, lat in zip(tiers, bandwidths, latencies, strict=False)]


def _per_dimension(what: str, value: PerDimension, count: int) -> Sequence[float]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{what} must be one number or one per dimension ({count}), not {len(value)} numbers")
    return value


def _plain(value: PerDimension) -> PerDimension:
    return list(value) if isinstance(value, Sequence) else value
