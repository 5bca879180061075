"""The optimum of all_gather and reduce_scatter, by its published values and by going through all cuts."""

from __future__ import annotations

from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fabric.bounds.allgather as allgather
import topologies
from fabric.bounds import lower_bounds
from fabric.bounds.allgather import worst_cut
from fabric.network import Network

from .fabrics import GB, both_ways, bounds, fabric, fabrics, largest, links_of, two_dgx2, two_tiers, worst_ratio


def optimum(network: Network, *, reverse: bool = False) -> Fraction:
    """1/x*, seconds per byte of one rank's block."""
    return Fraction(worst_cut(network, np.arange(network.ranks), reverse=reverse).ratio)


def test_shapes_with_links_of_one() -> None:
    assert optimum(Network(topologies.ring(8, 1.0))) == Fraction(7, 2)
    assert optimum(Network(topologies.torus((4, 4), 1.0))) == Fraction(15, 4)
    assert optimum(Network(topologies.torus((4, 4, 4), 1.0))) == Fraction(63, 6)
    # The corner of a mesh has two links.
    assert optimum(Network(topologies.mesh((4, 4), 1.0))) == Fraction(15, 2)
    assert optimum(Network(topologies.switch(8, 300.0))) == Fraction(7, 300)
    # 8 chips with 64 GB/s to each other one: 8 x 64 = 512 GB/s.
    assert optimum(Network(topologies.full_mesh(8, 64.0))) == Fraction(7, 7 * 64)


@pytest.mark.parametrize(
    ("nodes", "per_node", "scale_up", "nic", "expected"),
    [
        (2, 8, 300, 25, Fraction(3, 65)),  # A100: 15 blocks into one rank, 325
        (4, 8, 300, 25, Fraction(3, 25)),  # 24 blocks into one node, 8 x 25
        (2, 8, 450, 50, Fraction(3, 100)),  # H100: 15 blocks over 500
        (4, 8, 450, 50, Fraction(31, 500)),
        (16, 8, 450, 50, Fraction(3, 10)),  # 120 blocks into one node, 8 x 50
    ],
)
def test_two_tiers(nodes: int, per_node: int, scale_up: float, nic: float, expected: Fraction) -> None:
    network = two_tiers(nodes, per_node, scale_up, nic)
    assert optimum(network) == optimum(network, reverse=True) == expected


def test_two_dgx2() -> None:
    # 16 blocks over 8 x 12.5 would be 4/25; 31 blocks into one rank at 125 are more.
    assert optimum(two_dgx2()) == Fraction(31, 125 * 10**9)
    assert bounds(two_dgx2(), "all_gather", GB)["all_gather optimum"].time == pytest.approx(1 / 129.032, abs=1e-7)


def test_two_dgx1() -> None:
    """Hybrid cube meshes of 25 and 50 GB/s with 12.5 GB/s between them: eight blocks must pass that."""
    single, double = [(0, 1), (0, 2), (1, 3), (4, 5), (4, 6), (5, 7)], [(0, 3), (1, 2), (4, 7), (5, 6), (2, 3), (6, 7)]
    across = [(0, 4), (1, 5), (2, 6), (3, 7)]
    one = dict.fromkeys(single, 25.0) | dict.fromkeys(double + across, 50.0)
    cables = {(a + 8 * node, b + 8 * node): rate for (a, b), rate in one.items() for node in (0, 1)} | {(0, 8): 12.5}
    assert optimum(fabric(16, both_ways(cables))) == Fraction(16, 25)


def packages(nodes: int) -> Network:
    """MI250s: eight packages of two ranks in a node, 200 GB/s inside, three links of 50 GB/s from each rank to other packages,
    16 GB/s to a switch that all nodes share."""
    cables: dict[tuple[int, int], float] = {}
    for node in range(nodes):
        rank = [[16 * node + 2 * package + half for half in (0, 1)] for package in range(8)]
        for package in range(8):
            cables[rank[package][0], rank[package][1]] = 200.0
            for half, stride in ((0, 1), (1, 3)):
                cables[rank[package][half], rank[(package + stride) % 8][half]] = 50.0
                cables[rank[package % 4][half], rank[package % 4 + 4][half]] = 50.0
        cables |= {(16 * node + chip, 16 * nodes): 16.0 for chip in range(16)} if nodes > 1 else {}
    return fabric(16 * nodes, both_ways(cables), switches=int(nodes > 1))


def test_packages_of_two_bind_before_single_ranks() -> None:
    # 14 blocks into a package over six links of 50; 30 over these and twice 16.
    assert optimum(packages(1)) == Fraction(7, 150) == Fraction(14, 6 * 50)
    assert optimum(packages(2)) == Fraction(15, 166) == Fraction(30, 6 * 50 + 2 * 16)


def test_trainium_exactly() -> None:
    assert optimum(Network(TRN2)) == Fraction(15, 512 * 10**9)
    assert optimum(Network(ULTRASERVER)) == Fraction(63, 640 * 10**9)


@pytest.mark.parametrize(
    ("network", "algbw"),
    [
        (Network(topologies.ring(8, 1.0)), 8 / 7),
        (Network(topologies.torus((4, 4), 1.0)), 2.13333),
        (Network(topologies.torus((4, 4, 4), 1.0)), 3.04762),
        (Network(topologies.switch(8, 300.0)), 171.429),
        (Network(topologies.trn2()), 273.067e9),
        (Network(topologies.trn2_ultraserver()), 325.079e9),
        (two_tiers(2, 8, 300, 25), 173.333),
        (two_tiers(4, 8, 300, 25), 133.333),
        (two_tiers(2, 8, 450, 50), 266.667),
        (two_tiers(4, 8, 450, 50), 258.065),
        (two_tiers(16, 8, 450, 50), 213.333),
    ],
)
def test_all_reduce_is_both_optima_and_the_partition_bound(network: Network, algbw: float) -> None:
    both = optimum(network) / network.ranks + optimum(network, reverse=True) / network.ranks
    assert float(1 / both) == pytest.approx(algbw, rel=1e-5)
    assert largest(network, "all_reduce").time == pytest.approx(float(both), rel=1e-12)


@given(st.lists(st.tuples(st.integers(3, 5), st.integers(4, 6)), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_closed_form_of_tori(dims: list[tuple[int, int]]) -> None:
    """S (n - 1) / n over twice the links of each dimension; twice that for all_reduce; all of S for broadcast.

    As long as no dimension is so thin that the links out of a line or plane are fewer than those of a rank.
    """
    sizes, rates = [k for k, _ in dims], [float(c) for _, c in dims]
    network = Network(topologies.torus(sizes, rates))
    ranks, out = int(np.prod(sizes)), int(2 * sum(rates))
    assert optimum(network) == Fraction(ranks - 1, out)
    assert largest(network, "all_reduce").time == pytest.approx(2 * (ranks - 1) / ranks / out, rel=1e-12)
    assert bounds(network, "broadcast")["broadcast optimum"].time == pytest.approx(1 / out, rel=1e-12)


TRN2 = topologies.trn2()
ULTRASERVER = topologies.trn2_ultraserver()
GEN2 = topologies.trn3_gen2()


@pytest.mark.parametrize(
    ("graph", "ranks", "into_a_rank", "algbw"),
    [
        (TRN2, 16, 4 * 128, 546.13),
        (ULTRASERVER, 64, 4 * 128 + 2 * 64, 650.16),
        (topologies.trn3_gen1(), 64, 256 + 320 + 128, 715.17),
        (GEN2, 144, 256 + 320 + 128, 708.92),
        (topologies.trn3_gen2(racks=1), 72, 256 + 320, 584.11),
        (topologies.trn3_gen2("lanes160"), 144, 512 + 512 + 128, 1160.06),
        (topologies.degrade(TRN2, down=[(0, 1)]), 16, 3 * 128, 409.6),
        (topologies.degrade(ULTRASERVER, down=[(0, 1)]), 64, 3 * 128 + 2 * 64, 520.13),
        (topologies.degrade(ULTRASERVER, down=[(0, 4)]), 64, 3 * 128 + 2 * 64, 520.13),
        (topologies.degrade(GEN2, down=[(0, 72)]), 144, 256 + 320, 580.03),
        (topologies.degrade(GEN2, down=[("chip 0", "rack switch 0")]), 144, 256 + 128, 386.69),
    ],
)
@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter"])
def test_trainium(graph: nx.DiGraph[int], ranks: int, into_a_rank: int, algbw: float, collective: str) -> None:
    assert graph.number_of_nodes() >= ranks
    best = bounds(Network(graph), collective, GB)[f"{collective} optimum"]
    assert best.time == pytest.approx((ranks - 1) / ranks / into_a_rank, rel=1e-12)
    assert 1 / best.time == pytest.approx(algbw, abs=0.005)


def test_group_smaller_than_the_machine_uses_all_of_it() -> None:
    # One server of Gen2 alone: 3 blocks over all links of a chip, the other chips pass on.
    group = list(range(4))
    best = bounds(Network(GEN2), "all_gather", GB, group)["all_gather optimum"]
    assert best.time == pytest.approx(3 / 4 / 704, rel=1e-12)


def test_one_lost_direction_tells_the_collectives_apart() -> None:
    # 0 lost a link out: it still receives at 2, and sends at 1.
    network = Network(topologies.degrade(topologies.ring(4, 1.0), down=[(0, 1)], cable=False))
    assert optimum(network) == max(Fraction(3, 1), Fraction(3, 2))  # into 1: only from 2
    assert worst_cut(network, np.arange(4)).outside == (1,)
    assert worst_cut(network, np.arange(4), reverse=True).outside == (0,)


def test_the_first_cut_found_need_not_be_the_worst() -> None:
    # Rank 2 sends through a single link of 1; the cut that the first flow shows has two ranks over 3.
    cables = {(0, 6): 2, (6, 2): 2, (2, 3): 1, (3, 4): 9, (4, 1): 9, (1, 5): 5, (5, 0): 9, (0, 3): 2, (3, 1): 8, (3, 2): 7}
    network = fabric(3, {ends: float(bandwidth) for ends, bandwidth in cables.items()}, switches=4)
    assert optimum(network) == worst_ratio(network, [0, 1, 2]) == 1


@given(fabrics(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_equals_the_worst_of_all_cuts(network: Network, reverse: bool) -> None:
    group = list(range(network.ranks))
    turned = turned_round(network) if reverse else network
    assert worst_cut(network, np.array(group), reverse=reverse).ratio == worst_ratio(turned, group)


@given(fabrics())
@settings(max_examples=40, deadline=None)
def test_other_ranks_only_pass_on(network: Network) -> None:
    assume(network.ranks > 2)
    group = list(range(1, network.ranks))
    assert worst_cut(network, np.array(group)).ratio == worst_ratio(network, group)


@given(fabrics(bandwidths=st.floats(0.1, 1e12)))
@settings(max_examples=60, deadline=None)
def test_odd_bandwidths_are_rounded_to_the_low_side(network: Network) -> None:
    group = list(range(network.ranks))
    found, right = worst_cut(network, np.array(group)).ratio, worst_ratio(network, group)
    assert right * (1 - Fraction(1, 10**6)) <= found <= right


@given(fabrics(), st.randoms(use_true_random=False), st.integers(2, 1000))
@settings(max_examples=30, deadline=None)
def test_names_and_units_do_not_matter(network: Network, random: object, factor: int) -> None:
    order = list(range(network.ranks))
    random.shuffle(order)  # type: ignore[attr-defined]
    new = {**dict(enumerate(order)), **{node: node for node in range(network.ranks, network.nodes)}}
    links = {(new[a], new[b]): bandwidth * factor for a, b, bandwidth in links_of(network)}
    other = fabric(network.ranks, links, switches=network.nodes - network.ranks)
    assert optimum(other) * factor == optimum(network)


@given(st.integers(2, 4), st.integers(1, 4), st.integers(1, 50), st.integers(1, 50), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_closed_form_of_two_tiers(nodes: int, per_node: int, scale_up: float, nic: float, size: int) -> None:
    # A node's own switch cannot help a rank that is alone on it.
    ranks, up = nodes * per_node, scale_up if per_node > 1 else 0.0
    rank = (ranks - 1) / ranks / (up + nic)
    node = (nodes - 1) / nodes / (per_node * nic)
    best = bounds(two_tiers(nodes, per_node, scale_up, nic), "all_gather", float(size))["all_gather optimum"]
    assert best.time == pytest.approx(size * max(rank, node), rel=1e-12)


@given(fabrics())
@settings(max_examples=60, deadline=None)
def test_no_simple_bound_exceeds_the_optimum(network: Network) -> None:
    for collective in ("all_gather", "reduce_scatter"):
        found = bounds(network, collective)
        assert max(bound.time for bound in found.values()) == found[f"{collective} optimum"].time


@given(fabrics())
@settings(max_examples=60, deadline=None)
def test_all_reduce_is_never_above_both_optima_one_after_the_other(network: Network) -> None:
    # reduce_scatter, then all_gather, is an all_reduce, and takes that long; so do two groups one after the other.
    everyone = list(range(network.ranks))
    for groups in ([everyone], [everyone[:2], everyone[2:]]):
        phases = [
            bounds(network, collective, 1.0, group)[f"{collective} optimum"].time
            for collective in ("all_gather", "reduce_scatter")
            for group in groups
            if len(group) > 1
        ]
        assert largest(network, "all_reduce", 1.0, *groups).time <= sum(phases) * (1 + 1e-12)


def test_left_out_where_it_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allgather, "WORK", 16 * 64 - 1)
    names = [bound.name for bound in lower_bounds(Network(TRN2), "all_gather", [np.arange(16)], GB)]
    assert names[0] == "injection"
    assert "all_gather optimum" not in names


def test_no_way_at_all_takes_for_ever() -> None:
    network = fabric(3, {(0, 1): 1.0, (1, 0): 1.0, (0, 2): 1.0})
    assert bounds(network, "reduce_scatter")["reduce_scatter optimum"].time == float("inf")
    assert bounds(network, "all_gather")["all_gather optimum"].time == float("inf")


def turned_round(network: Network) -> Network:
    links = {(b, a): bandwidth for a, b, bandwidth in links_of(network)}
    return fabric(network.ranks, links, switches=network.nodes - network.ranks)
