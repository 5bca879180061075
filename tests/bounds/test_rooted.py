"""The optimum of broadcast and reduce."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import topologies
from fabric.bounds import lower_bounds
from fabric.network import Network

from .fabrics import bounds, fabric, fabrics


def test_a_torus_sends_over_all_links_of_the_root() -> None:
    # S over 2D c.
    network = Network(topologies.torus((4, 4, 4), 2.0))
    assert bounds(network, "broadcast")["broadcast optimum"].time == pytest.approx(1 / 12)
    assert bounds(network, "reduce")["reduce optimum"].time == pytest.approx(1 / 12)


def test_a_rank_behind_a_thin_link_binds() -> None:
    links = {(0, 1): 5.0, (1, 0): 5.0, (1, 2): 2.0, (2, 1): 3.0}
    network = fabric(3, links)
    assert bounds(network, "broadcast")["broadcast optimum"].time == pytest.approx(1 / 2)
    assert bounds(network, "reduce")["reduce optimum"].time == pytest.approx(1 / 3)
    (found,) = (one for one in lower_bounds(network, "broadcast", [np.arange(3)], 1.0, root=2) if "optimum" in one.name)
    assert found.time == pytest.approx(1 / 3)


@settings(max_examples=30, deadline=None)
@given(network=fabrics())
def test_it_is_the_least_flow_from_the_root(network: Network) -> None:
    import networkx as nx

    least = min(nx.maximum_flow_value(network.graph, 0, rank, capacity="bandwidth") for rank in range(1, network.ranks))
    found = bounds(network, "broadcast")["broadcast optimum"].time
    assert found == (pytest.approx(1 / least) if least else float("inf"))


@settings(max_examples=30, deadline=None)
@given(network=fabrics())
def test_a_reduce_is_the_least_flow_to_the_root_of_its_group(network: Network) -> None:
    """In a group of the last ranks, whose root is the very last; the others only pass on."""
    import networkx as nx

    group = list(range(network.ranks // 2, network.ranks))
    if len(group) > 1:
        flows = (nx.maximum_flow_value(network.graph, rank, group[-1], capacity="bandwidth") for rank in group[:-1])
        found = bounds(network, "reduce", 1.0, group, root=len(group) - 1)["reduce optimum"].time
        assert found == pytest.approx(1 / min(flows))
