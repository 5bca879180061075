"""Small fabrics for the tests of the bounds, and slow answers that are right by definition."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product

import networkx as nx
import numpy as np
from hypothesis import strategies as st

from fabric.bounds import lower_bounds
from fabric.network import Network
from fabric.result import Bound

GB = 1e9


def fabric(
    ranks: int, links: Mapping[tuple[int, int], float], *, switches: int = 0, tiers: Mapping[tuple[int, int], str] | None = None
) -> Network:
    """Ranks 0.., then switches; one direction of a link for each pair of nodes, with its bandwidth."""
    graph = nx.DiGraph(name="test", shape="own", routing="shortest")
    graph.add_nodes_from((rank, {"kind": "chip", "name": f"chip {rank}"}) for rank in range(ranks))
    graph.add_nodes_from((ranks + s, {"kind": "switch", "name": f"switch {s}"}) for s in range(switches))
    for (a, b), bandwidth in links.items():
        graph.add_edge(a, b, bandwidth=bandwidth, latency=0.0, tier=(tiers or {}).get((a, b), "link"))
    return Network(graph)


def both_ways(cables: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    return {ends: bandwidth for (a, b), bandwidth in cables.items() for ends in ((a, b), (b, a))}


def two_tiers(nodes: int, per_node: int, scale_up: float, nic: float) -> Network:
    """Each rank has `scale_up` to the switch of its node and `nic` to one switch that all share."""
    ranks = nodes * per_node
    cables = {(rank, ranks + rank // per_node): scale_up for rank in range(ranks)}
    cables |= {(rank, ranks + nodes): nic for rank in range(ranks)}
    tiers = {ends: "nic" if ranks + nodes in ends else "node" for ends in both_ways(cables)}
    return fabric(ranks, both_ways(cables), switches=nodes + 1, tiers=tiers)


def two_dgx2() -> Network:
    """Two chassis of 16 ranks, 125 GB/s each to their switch, and eight cables of 12.5 GB/s between the switches."""
    cables = {(rank, 32 + rank // 16): 125 * GB for rank in range(32)} | {(32, 33): 8 * 12.5 * GB}
    tiers = {ends: "chassis" if min(ends) < 32 else "between" for ends in both_ways(cables)}
    return fabric(32, both_ways(cables), switches=2, tiers=tiers)


def bounds(network: Network, collective: str, size: float = 1.0, *groups: list[int], **options: object) -> dict[str, Bound]:
    chosen = [np.array(group) for group in groups] or [np.arange(network.ranks)]
    found = lower_bounds(network, collective, chosen, size, **options)  # type: ignore[arg-type]
    return {bound.name: bound for bound in found}


def largest(network: Network, collective: str, size: float = 1.0, *groups: list[int], **options: object) -> Bound:
    return max(bounds(network, collective, size, *groups, **options).values(), key=lambda bound: bound.time)


def links_of(network: Network) -> list[tuple[int, int, float]]:
    return list(zip(network.source.tolist(), network.destination.tolist(), network.capacity.tolist()))


def worst_ratio(network: Network, group: list[int]) -> Fraction:
    """max of |ranks in A| / bandwidth out of A over all sets A of nodes that lack a rank of the group, one by one."""
    links = links_of(network)
    worst = Fraction(0)
    for inside in product((False, True), repeat=network.nodes):
        members = sum(inside[rank] for rank in group)
        if 0 < members < len(group):
            leaving = sum(Fraction(bandwidth) for a, b, bandwidth in links if inside[a] and not inside[b])
            worst = max(worst, members / leaving)
    return worst


SMALL_WHOLE = st.integers(1, 9).map(float)


@st.composite
def fabrics(draw: st.DrawFn, bandwidths: st.SearchStrategy[float] = SMALL_WHOLE) -> Network:
    """Up to 5 ranks and 2 switches, with a way from each node to each other and unequal directions."""
    ranks = draw(st.integers(2, 5))
    nodes = ranks + draw(st.integers(0, 2))
    order = draw(st.permutations(range(nodes)))
    links = {ends: draw(bandwidths) for ends in zip(order, [*order[1:], order[0]])}
    pairs = [(a, b) for a in range(nodes) for b in range(nodes) if a != b and (a, b) not in links]
    extra = draw(st.lists(st.sampled_from(pairs), max_size=8, unique=True)) if pairs else []
    links |= {ends: draw(bandwidths) for ends in extra}
    tiers = {ends: draw(st.sampled_from(["near", "far"])) for ends in links}
    return fabric(ranks, links, switches=nodes - ranks, tiers=tiers)
