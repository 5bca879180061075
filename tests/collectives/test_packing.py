"""Trees packed into a fabric: their certificate in whole numbers, counted again here link by link."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric import Network
from fabric.bounds.allgather import worst_cut
from fabric.collectives.edmonds import pack_exactly
from fabric.collectives.packing import Forest, demand_for, demand_from, pack
from fabric.collectives.timing import choose_timing, time_hops
from fabric.errors import InternalError
from fabric.layout import NotApplicable
from fabric.wires import Wires, symmetries
from tests.bounds.fabrics import GB, both_ways, fabric

GEN2 = topologies.trn3_gen2()


def wires_of(graph: nx.DiGraph[int]) -> Wires:
    network = Network(graph)
    return Wires.of(network, np.arange(network.ranks))


def packed(network: Network, *, reverse: bool = False) -> Forest:
    wires = Wires.of(network, np.arange(network.ranks))
    cut = worst_cut(network, wires.ranks, reverse=reverse)
    side = wires.turn() if reverse else wires
    demand = demand_for((side,), [cut.bandwidth / cut.inside] * network.ranks, 5000)
    return pack(side, demand, tuple(network.graph.graph.get("dims", ())), lambda text: None)


def recount(network: Network, forest: Forest) -> Fraction:
    """Bytes/s of all trees together, after every tree was walked and every link's load counted; fails on any fault."""
    whole, load = forest.whole(), Counter[tuple[int, int]]()
    ends = list(zip(network.source.tolist(), network.destination.tolist()))
    if forest.wires.turned:
        ends = [(v, u) for u, v in ends]
    for root, row in zip(whole.root.tolist(), whole.hop.tolist()):
        parent = {}
        for rank, hop in enumerate(row):
            if rank == root:
                assert hop == -1
                continue
            node = int(forest.hops.source[hop])
            parent[rank] = node
            for link in forest.hops.links[hop].tolist():
                if link >= 0:
                    assert ends[link][0] == node
                    node = ends[link][1]
                    load[ends[link]] += 1
            assert node == rank
        for rank in range(network.ranks):
            seen = set()
            while rank != root:
                assert rank not in seen
                seen.add(rank)
                rank = parent[rank]
    for (u, v), trees in load.items():
        u, v = (v, u) if forest.wires.turned else (u, v)
        assert trees * forest.demand.unit <= Fraction(network.graph.edges[u, v]["bandwidth"])
    return len(whole.root) * forest.demand.unit


@pytest.mark.parametrize(
    ("graph", "ranks", "into_a_rank", "depth"),
    [
        (topologies.trn2(), 16, 4 * 128, 4),
        (topologies.trn2_ultraserver(), 64, 4 * 128 + 2 * 64, 7),
        (topologies.trn3_gen1(), 64, 256 + 320 + 128, 8),
        (topologies.trn3_gen2(racks=1), 72, 256 + 320, 5),
        (GEN2, 144, 256 + 320 + 128, 5),
        (topologies.degrade(topologies.trn2(), down=[(0, 1)]), 16, 3 * 128, 5),
        (topologies.degrade(topologies.trn2_ultraserver(), down=[(0, 1)]), 64, 3 * 128 + 2 * 64, 7),
        (topologies.degrade(GEN2, down=[("chip 0", "rack switch 0")]), 144, 256 + 128, 6),
    ],
)
def test_machines_reach_the_rate_of_their_poorest_rank(
    graph: nx.DiGraph[int], ranks: int, into_a_rank: int, depth: int
) -> None:
    """Every rank gets all other blocks, (n-1)/n of all, over its own links: n / (n-1) times those at best."""
    network = Network(graph)
    forest = packed(network)
    assert recount(network, forest) == Fraction(into_a_rank * 10**9 * ranks, ranks - 1)
    assert 1 <= forest.depth.max() <= depth


def test_trees_that_collect_run_the_other_way() -> None:
    graph = topologies.degrade(topologies.trn2(), down=[(0, 1)], cable=False)
    network = Network(graph)
    # Chip 1 gets its blocks over three links, and chip 0 sends over three: 384 GB/s either way.
    for reverse in (False, True):
        assert recount(network, packed(network, reverse=reverse)) == Fraction(384 * 10**9 * 16, 15)


links = st.dictionaries(
    st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda ends: ends[0] < ends[1]),
    st.sampled_from([1, 2, 3, 5]),
    min_size=6,
)


@settings(max_examples=25, deadline=None)
@given(cables=links, ranks=st.integers(2, 6))
def test_any_fabric_with_switches_reaches_its_worst_cut(cables: dict[tuple[int, int], int], ranks: int) -> None:
    network = fabric(ranks, both_ways({ends: units * GB for ends, units in cables.items()}), switches=7 - ranks)
    cut = worst_cut(network, np.arange(ranks))
    if cut.bandwidth:
        assert recount(network, packed(network)) == ranks * cut.bandwidth / cut.inside


def test_the_exact_search_takes_out_a_switch_between_switches() -> None:
    """Two ranks behind each of two switches, one unit to each rank and two between the switches."""
    cables = {(0, 4): 3.0, (1, 4): 3.0, (2, 5): 3.0, (3, 5): 3.0, (4, 5): 2.0}
    network = fabric(4, both_ways(cables), switches=2)
    wires = Wires.of(network, np.arange(4))
    # Two blocks must cross 2 bytes/s: each rank broadcasts 1 byte/s, and each rank receives 3, all that it can.
    hops, root, hop = pack_exactly(wires, np.ones(4, dtype=np.int64), network.capacity.astype(np.int64))
    demand = demand_for((wires,), [Fraction(1)] * 4, 10)
    forest = Forest(wires, demand, hops, np.arange(6)[np.newaxis], root, hop)
    forest.check()
    assert recount(network, forest) == 4


def test_a_certificate_that_is_wrong_is_refused() -> None:
    forest = packed(Network(topologies.trn2()))
    hop = forest.hop.copy()
    rank = int(np.flatnonzero(hop[0] >= 0)[0])
    hop[0, rank] = hop[0, (rank + 1) % 16]  # the hop to another rank
    with pytest.raises(InternalError):
        replace(forest, hop=hop).check()
    with pytest.raises(InternalError, match="overload"):
        replace(forest, demand=replace(forest.demand, capacity=forest.demand.capacity - 1)).check()


def test_too_fine_capacities_get_coarser_trees() -> None:
    """Three cables of a ring of four have odd numbers of bytes/s: exact trees would be too many."""
    network = fabric(4, both_ways({(0, 1): 1e9, (1, 2): 1e9 - 7, (2, 3): 1e9 - 11, (0, 3): 1e9 - 13}))
    cut = worst_cut(network, np.arange(4))
    wires = Wires.of(network, np.arange(4))
    demand = demand_for((wires,), [cut.bandwidth / cut.inside] * 4, 400)
    assert demand.roots.sum() <= 400
    forest = pack(wires, demand, (), lambda text: None)
    best = 4 * cut.bandwidth / cut.inside
    assert best * Fraction(95, 100) <= recount(network, forest) <= best


def test_a_link_too_slow_for_a_single_tree_stands_aside() -> None:
    """Two trees leave rank 0 of a ring, of 1 GB/s each; the cable across the ring carries a thousandth of one."""
    ring = {(rank, (rank + 1) % 4): 1e9 for rank in range(4)}
    network = fabric(4, both_ways({**ring, (0, 2): 1e6}))
    wires = Wires.of(network, np.arange(4))
    forest = pack(wires, demand_from(wires, 0, Fraction(2 * 10**9), 64), (), lambda text: None)
    assert recount(network, forest) == 2 * 10**9


def test_a_rank_that_nothing_reaches_is_refused() -> None:
    network = fabric(3, {(0, 1): 1.0, (1, 0): 1.0, (2, 0): 1.0})
    wires = Wires.of(network, np.arange(3))
    with pytest.raises(NotApplicable, match="cannot be reached"):
        pack(wires, demand_for((wires,), [Fraction(1)] * 3, 10), (), lambda text: None)


def test_symmetries_are_the_shifts_that_the_fabric_allows() -> None:
    assert len(symmetries(wires_of(topologies.trn2_ultraserver()), (4, 4, 4))) == 64
    assert len(symmetries(wires_of(GEN2), (4, 18, 2))) == 144
    assert len(symmetries(wires_of(topologies.mesh((4, 4), 1.0)), (4, 4))) == 1
    # The cable between chips 0 and 72 joins their racks: changing the racks over is all that is left.
    broken = wires_of(topologies.degrade(GEN2, down=[(0, 72)]))
    group = symmetries(broken, (4, 18, 2))
    assert len(group) == 2
    for one in group:
        assert (broken.capacity[broken.image(one)] == broken.capacity).all()


@pytest.mark.parametrize("graph", [topologies.trn2(), topologies.trn3_gen2(racks=1), topologies.mesh((3, 3), 1e9)])
def test_hops_follow_those_that_reach_their_source(graph: nx.DiGraph[int]) -> None:
    forest = packed(Network(graph))
    for slices in (1, 3):
        timing = time_hops(forest, slices)
        for tree, rank in zip(*np.nonzero(forest.parent >= 0)):
            above = timing.step[tree, forest.parent[tree, rank]]
            assert (timing.step[tree, rank] > above).all()
    # Every link into every chip is used in full, so a step that idles shows.
    assert choose_timing(forest, None).time == pytest.approx(1, abs=0.005)
