"""Schedules made for one fabric: they meet the bound that maximum flows give, switches and lost cables included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import topologies
from fabric import Network, simulate
from fabric.bounds import lower_bounds
from fabric.collectives import FITTED

SIZE = 2.0**30
FABRICS: dict[str, Callable[[], nx.DiGraph[int]]] = {
    "trn2": topologies.trn2,
    "trn2 without a cable": lambda: topologies.degrade(topologies.trn2(), down=[(0, 1)]),
    "trn3 gen1, one rack": lambda: topologies.trn3_gen1(racks=1),
    "fat tree": lambda: topologies.fat_tree(4, 1e9),
    "mesh": lambda: topologies.mesh([3, 3], 1e9),
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def gap(network: Network, collective: str, ranks: np.ndarray, slices: int | None = None) -> float:
    schedule = FITTED[collective]["optimal"](network, ranks, lambda text: None, slices).scaled(SIZE)
    time = simulate(network, schedule, ranks=ranks.tolist(), verify=True).time
    return time / max(bound.time for bound in lower_bounds(network, collective, [ranks], SIZE))


@pytest.mark.parametrize("name", FABRICS)
@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter"])
def test_it_takes_the_least_time_there_is(name: str, collective: str) -> None:
    network = Network(FABRICS[name]())
    assert 1 - 1e-9 <= gap(network, collective, np.arange(network.ranks)) <= 1.02


def test_all_reduce_on_trn2() -> None:
    network = Network(topologies.trn2())
    assert 1 - 1e-9 <= gap(network, "all_reduce", np.arange(16)) <= 1.02


def test_a_replica_group_of_some_ranks() -> None:
    """Five ranks of a torus; the others pass on. Trees of depth 3 fill for two slices, so 64 of them take 66/64."""
    network = Network(topologies.trn2())
    assert gap(network, "all_gather", np.array([0, 3, 5, 9, 14]), slices=64) == pytest.approx(66 / 64)
