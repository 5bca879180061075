"""The distance bound, and all bounds of all-to-alls against the maximum concurrent flow by a linear program."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import lil_array

import topologies
from fabric.bounds import distance
from fabric.network import Network

from .fabrics import GB, both_ways, bounds, fabric, fabrics, largest


def concurrent_flow(network: Network, demand: NDArray[np.float64]) -> float:
    """The least time to send `demand` bytes between all pairs at once, split over routes at will."""
    ranks, nodes, links = network.ranks, network.nodes, network.links
    balance = lil_array((ranks * nodes, ranks * links + 1))
    total = lil_array((links, ranks * links + 1))
    for start in range(ranks):
        for link in range(links):
            balance[start * nodes + network.destination[link], start * links + link] += 1
            balance[start * nodes + network.source[link], start * links + link] -= 1
            total[link, start * links + link] = 1
        for end in range(ranks):
            if end != start:
                balance[start * nodes + end, ranks * links] -= demand[start, end]
                balance[start * nodes + start, ranks * links] += demand[start, end]
    objective = np.zeros(ranks * links + 1)
    objective[-1] = -1
    answer = linprog(objective, total.tocsr(), network.capacity, balance.tocsr(), np.zeros(ranks * nodes))
    return float(-1 / answer.fun)


@given(fabrics(), st.data())
@settings(max_examples=40, deadline=None)
def test_no_bound_exceeds_the_maximum_concurrent_flow(network: Network, data: st.DataObject) -> None:
    ranks = network.ranks
    matrix = data.draw(arrays(float, (ranks, ranks), elements=st.integers(0, 5).map(float)))
    matrix[0, 1] += 1.0
    size = float(matrix.sum(axis=1).max())
    best = concurrent_flow(network, matrix)
    assert largest(network, "all_to_all_v", size, matrix=matrix).time <= best * (1 + 1e-7)


def test_meets_the_maximum_concurrent_flow_on_a_torus() -> None:
    network = Network(topologies.torus((4, 4), (2.0, 1.0)))
    best = concurrent_flow(network, np.full((16, 16), 1 / 16))
    assert largest(network, "all_to_all").time == pytest.approx(best, rel=1e-7)
    assert best == pytest.approx(4 / 8, rel=1e-7)


def test_hops_on_a_ring_of_one_direction() -> None:
    # 1 + 2 + 3 links for the three others, 4 ranks with 1/4 each, 4 links: 6/4.
    network = fabric(4, {(rank, (rank + 1) % 4): 1.0 for rank in range(4)})
    assert bounds(network, "all_to_all")["distance"].time == pytest.approx(1.5, rel=1e-12)
    assert largest(network, "all_to_all").name == "distance"


def test_the_links_of_one_tier() -> None:
    # A line of 4 servers of 2 ranks, joined by "far" cables of 1 GB/s. 2 x 2 / 8 of S goes from each server to each
    # other: distance 1 for 3 pairs, 2 for 2, 3 for 1, both ways, over 6 links.
    near = both_ways({(2 * server, 2 * server + 1): 100 * GB for server in range(4)})
    far = both_ways({(2 * server, 2 * server + 2): GB for server in range(3)})
    tiers = dict.fromkeys(near, "near") | dict.fromkeys(far, "far")
    found = bounds(fabric(8, near | far, tiers=tiers), "all_to_all", GB)["distance"]
    assert found.time == pytest.approx(4 / 8 * 2 * (3 + 2 * 2 + 3) / 6, rel=1e-12)
    assert found.detail == (
        "bytes times the far links that they must cross, at the least: 10 times 1000000000 B on 6 GB/s in all"
    )


def test_only_where_bytes_go_from_one_to_one() -> None:
    assert "distance" not in bounds(Network(topologies.trn2()), "all_gather")
    assert "distance" not in bounds(Network(topologies.trn2()), "all_reduce")


def test_left_out_where_there_are_too_many_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(topologies.trn2())
    assert "distance" in bounds(network, "all_to_all", GB)
    monkeypatch.setattr(distance, "WORK", 3)
    assert "distance" not in bounds(network, "all_to_all", GB)
