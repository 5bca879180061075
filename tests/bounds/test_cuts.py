"""Injection and tier cuts, against arithmetic."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric.bind import Overheads
from fabric.network import Network

from .fabrics import GB, both_ways, bounds, fabric, fabrics, largest, two_dgx2, two_tiers


@pytest.mark.parametrize(
    ("collective", "share"),
    [("all_gather", 7 / 8), ("reduce_scatter", 7 / 8), ("all_reduce", 2 * 7 / 8), ("all_to_all", 7 / 8)],
)
def test_injection_through_one_port(collective: str, share: float) -> None:
    found = bounds(Network(topologies.switch(8, 100 * GB)), collective, 64 * GB)
    assert found["injection"].time == pytest.approx(share * 64 / 100, rel=1e-12)
    assert largest(Network(topologies.switch(8, 100 * GB)), collective, 64 * GB).name == "injection"


def test_injection_of_unequal_directions() -> None:
    # 0 sends at 1 and receives at 4; 1 the reverse.
    network = fabric(2, {(0, 1): 1.0, (1, 0): 4.0})
    assert bounds(network, "all_gather")["injection"].time == 0.5
    assert bounds(network, "all_to_all")["injection"].time == 0.5
    assert bounds(network, "all_reduce")["injection"].time == 1.0
    one_way = np.array([[0.0, 0.0], [3.0, 0.0]])
    assert bounds(network, "all_to_all_v", 3.0, matrix=one_way)["injection"].time == 0.75


def test_a_nic_of_ones_own_narrows_the_injection() -> None:
    # 704 GB/s inside the UltraServer and 25 GB/s of NIC, however wide the way from chip to NIC.
    network = Network(topologies.efa_cluster("trn3_gen2", 2))
    found = bounds(network, "all_reduce", GB)["injection"]
    assert found.time == pytest.approx(2 * 287 / 288 / 729, rel=1e-12)


def test_sentences_name_what_binds() -> None:
    network = Network(topologies.trn2())
    size = 64 * 2.0**20
    assert bounds(network, "all_gather", size)["injection"].detail == (
        "each rank must receive 15/16 of 64 MiB through 512 GB/s"
    )
    assert bounds(network, "all_reduce", size)["injection"].detail == (
        "an element takes 30 messages between 16 ranks: 30 times 64 MiB through 8192 GB/s"
    )
    hurt = Network(topologies.degrade(topologies.trn2(), down=[(5, 6)]))
    assert bounds(hurt, "all_gather", size)["injection"].detail == ("chip 5 must receive 15/16 of 64 MiB through 384 GB/s")


@pytest.mark.parametrize(
    ("graph", "algbw", "name"),
    [
        # Half of the chips send half of their buffers over the rows, or columns, that are cut twice.
        (topologies.trn2(), 256, "cut neuronlink-x"),  # 8 x 8 / 16 = 4 over 2 x 4 x 128
        (topologies.trn2_ultraserver(), 128, "cut neuronlink-z"),  # 32 x 32 / 64 = 16 over 2 x 16 x 64
        (topologies.trn3_gen1(), 256, "cut cross-rack"),  # 32 x 32 / 64 = 16 over 32 x 128
        (topologies.trn3_gen2(), 256, "cut cross-rack"),  # 72 x 72 / 144 = 36 over 72 x 128
        (topologies.trn3_gen2(racks=1), 72 * 320 / 68, "cut rack"),  # 4 x 68 / 72 out of a sled over 4 x 320
        (topologies.trn3_gen2("flat"), 1024 * 144 / 143, "injection"),
    ],
)
def test_all_to_all_on_trainium(graph: nx.DiGraph[int], algbw: float, name: str) -> None:
    bound = largest(Network(graph), "all_to_all", GB)
    assert 1 / bound.time == pytest.approx(algbw, rel=1e-12)
    assert bound.name == name


@pytest.mark.parametrize(
    ("graph", "time"),
    [
        (topologies.ring(5, 1.0), 0.6),
        (topologies.ring(8, 1.0), 1),
        (topologies.torus((3, 3), 1.0), 1 / 3),
        (topologies.torus((4, 4), 1.0), 1 / 2),
        (topologies.torus((4, 8), 1.0), 1),
        (topologies.torus((4, 4, 4), 1.0), 1 / 2),
        (topologies.torus((4, 4, 4), (2.0, 2.0, 1.0)), 1 / 2),
        (topologies.mesh((4, 4), 1.0), 1),
    ],
)
def test_all_to_all_on_grids(graph: nx.DiGraph[int], time: float) -> None:
    assert largest(Network(graph), "all_to_all").time == pytest.approx(time, rel=1e-12)


def test_all_to_all_on_two_tiers() -> None:
    # 8 of 16 ranks send half of 1 GB over 8 x 25 GB/s; 16 of 32 half of it over 8 x 12.5 GB/s.
    assert largest(two_tiers(2, 8, 300 * GB, 25 * GB), "all_to_all", GB).time == pytest.approx(20e-3, rel=1e-12)
    assert largest(two_dgx2(), "all_to_all", GB).time == pytest.approx(80e-3, rel=1e-12)


@pytest.mark.parametrize(("nodes", "per_node", "scale_up", "nic"), [(4, 8, 300, 10), (3, 2, 100, 60), (8, 4, 450, 50)])
def test_all_reduce_between_nodes(nodes: int, per_node: int, scale_up: float, nic: float) -> None:
    found = bounds(two_tiers(nodes, per_node, scale_up, nic), "all_reduce")
    ranks = nodes * per_node
    assert found["cut nic"].time == pytest.approx(2 * (nodes - 1) / (nodes * per_node * nic), rel=1e-12)
    assert found["injection"].time == pytest.approx(2 * (ranks - 1) / (ranks * (scale_up + nic)), rel=1e-12)


def test_all_reduce_must_leave_a_slow_rank_whole() -> None:
    # Rank 3 sends at 1 of 100: its own share of the sum takes longer than all messages over the mean bandwidth.
    links = both_ways({(rank, 4): 100.0 for rank in range(4)}) | {(3, 4): 1.0}
    assert bounds(fabric(4, links, switches=1), "all_reduce")["injection"].time == 1.0


def test_attributes_of_nodes_make_parts() -> None:
    # A ring of one tier, ranks 0-3 in one server and 4-7 in another: two links each way between them.
    graph = topologies.ring(8, 1.0)
    graph.graph.update(shape="own", dims=[], routing="shortest")
    for rank in range(8):
        graph.nodes[rank]["server"] = rank // 4
    network = Network(graph)
    assert bounds(network, "all_gather")["cut link"].time == 0.25
    assert bounds(network, "all_to_all")["cut link"].time == 4 * 4 / 8 / 2


def test_groups_share_the_links_between_racks() -> None:
    # 72 pairs, each of a chip and its twin in the other rack, over one link each; then over one link for all.
    network = Network(topologies.trn3_gen2())
    pairs = [[rank, rank + 72] for rank in range(72)]
    assert bounds(network, "all_gather", GB, *pairs)["cut cross-rack"].time == pytest.approx(0.5 / 128, rel=1e-12)
    one_cable = topologies.degrade(topologies.trn3_gen2(), down=[(rank, rank + 72) for rank in range(1, 72)])
    found = bounds(Network(one_cable), "all_reduce", GB, *pairs)
    assert found["cut cross-rack"].time == pytest.approx(72 * 1 / 128, rel=1e-12)


@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter", "all_reduce", "all_to_all"])
def test_groups_within_a_server_need_nothing_between_servers(collective: str) -> None:
    names = bounds(two_tiers(3, 4, 100.0, 1.0), collective, 1.0, [0, 1, 2, 3], [4, 5]).keys()
    assert "cut nic" not in names
    assert "injection" in names


def test_all_reduce_groups_share_the_messages_between_servers() -> None:
    # Two groups over servers 0-2: 2 x 4 messages out of three servers of 2 x 5; the third group stays in server 3.
    network = two_tiers(4, 2, 100.0, 5.0)
    found = bounds(network, "all_reduce", 1.0, [0, 2, 4], [1, 3, 5], [6, 7])
    assert found["cut nic"].time == pytest.approx(8 / 30, rel=1e-12)


def test_halves_are_cut_at_every_place() -> None:
    # A ring of 6 whose cables 1-2 and 4-5 are slow: 3 x 3 / 6 of S over two of them.
    slow = [((1, 2), 0.25), ((4, 5), 0.25)]
    network = Network(topologies.degrade(topologies.ring(6, 1.0), slow=slow))
    assert bounds(network, "all_to_all")["cut link"].time == pytest.approx(1.5 / 0.5, rel=1e-12)


def test_all_reduce_of_one_group_binds_where_others_are_fast() -> None:
    # Two groups of 3 on switches of their own; the slow one would vanish in the mean of both.
    cables = {(rank, 6): 1.0 for rank in range(3)} | {(rank, 7): 100.0 for rank in range(3, 6)}
    network = fabric(6, both_ways(cables), switches=2)
    assert bounds(network, "all_reduce", 1.0, [0, 1, 2], [3, 4, 5])["injection"].time == 2 * 2 / 3


def test_all_to_all_v_counts_rows_and_columns_without_the_diagonal() -> None:
    network = Network(topologies.switch(3, 1.0))
    matrix = np.array([[5.0, 1.0, 0.0], [0.0, 0.0, 4.0], [0.0, 2.0, 0.0]])
    found = largest(network, "all_to_all_v", 6.0, matrix=matrix)
    assert found.time == pytest.approx(4.0, rel=1e-12)
    assert largest(network, "all_to_all_v", 12.0, matrix=matrix).time == pytest.approx(8.0, rel=1e-12)


@given(fabrics())
@settings(max_examples=40, deadline=None)
def test_equal_entries_make_all_to_all_v_an_all_to_all(network: Network) -> None:
    uniform = np.ones((network.ranks, network.ranks))
    expected = bounds(network, "all_to_all", 7.0)
    found = bounds(network, "all_to_all_v", 7.0, matrix=uniform)
    assert found.keys() == expected.keys()
    for name, bound in expected.items():
        assert found[name].time == pytest.approx(bound.time, rel=1e-12)


@given(fabrics())
@settings(max_examples=40, deadline=None)
def test_groups_at_the_same_time_are_blocks_of_one_matrix(network: Network) -> None:
    ranks = network.ranks
    groups = [list(range(ranks // 2)), list(range(ranks // 2, ranks))]
    matrices = [np.full((len(group), len(group)), 1.0 + number) for number, group in enumerate(groups)]
    blocks = np.zeros((ranks, ranks))
    for group, matrix in zip(groups, matrices):
        blocks[np.ix_(group, group)] = matrix
    overheads = Overheads(alpha_link=1.0)
    expected = bounds(network, "all_to_all_v", matrix=blocks, overheads=overheads)
    found = bounds(network, "all_to_all_v", 1.0, *groups, matrix=matrices, overheads=overheads)
    assert found.keys() == expected.keys()
    for name, bound in found.items():
        assert bound.time == pytest.approx(expected[name].time, rel=1e-12)


@given(fabrics(), st.sampled_from(["all_gather", "reduce_scatter", "all_reduce", "all_to_all"]))
@settings(max_examples=40, deadline=None)
def test_twice_the_bandwidth_is_half_the_time_and_twice_the_size_twice(network: Network, collective: str) -> None:
    before = bounds(network, collective)
    network.capacity *= 2
    for name, bound in bounds(network, collective, 2.0).items():
        assert bound.time == pytest.approx(before[name].time, rel=1e-12)
    for name, bound in bounds(network, collective).items():
        assert bound.time == pytest.approx(before[name].time / 2, rel=1e-12)
