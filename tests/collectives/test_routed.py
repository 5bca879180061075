"""Gather, scatter and permute over the routes of a maximum flow: they take what the linear program says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import topologies
from fabric import InputError, Network, simulate
from fabric.bounds import lower_bounds
from fabric.bounds.concurrent import flow_limit
from fabric.bounds.needs import Needs
from fabric.collectives import FITTED
from fabric.layout import NotApplicable

from ..bounds.fabrics import fabric, fabrics

SIZE = 2.0**30
FABRICS: dict[str, Callable[[], nx.DiGraph[int]]] = {
    "trn2": topologies.trn2,
    "ultraserver": topologies.trn2_ultraserver,
    "ultraserver without a cable": lambda: topologies.degrade(topologies.trn2_ultraserver(), down=[(0, 1)]),
    "gen1": topologies.trn3_gen1,
    "two trn1": lambda: topologies.efa_cluster("trn1", 2),
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", FABRICS)
@pytest.mark.parametrize("collective", ["gather", "scatter"])
@pytest.mark.parametrize("root", [0, 3])
def test_the_root_uses_all_its_links(name: str, collective: str, root: int) -> None:
    network = Network(FABRICS[name]())
    everyone = np.arange(network.ranks)
    schedule = FITTED[collective]["optimal"](network, everyone, lambda text: None, root=root)
    time = simulate(network, schedule.scaled(SIZE), verify=True).time
    best = max(bound.time for bound in lower_bounds(network, collective, [everyone], SIZE, root=root))
    assert best * (1 - 1e-9) <= time <= best * 1.001


def test_a_permutation_of_a_torus() -> None:
    """From each rank to the next: on a 4x4 torus twice the time that the cut of a row would allow, by dimension order; three
    halves of it by the best routes, for the links of the other dimension lead no nearer."""
    network = Network(topologies.trn2())
    schedule = FITTED["permute"]["optimal"](network, np.arange(16), lambda text: None)
    matrix = np.roll(np.eye(16), 1, axis=1)
    best = flow_limit(network, Needs.of("permute", [np.arange(16)], matrix), lambda text: None).time(SIZE)
    assert simulate(network, schedule.scaled(SIZE)).time == pytest.approx(best, rel=1e-3)
    (cut,) = (
        one for one in lower_bounds(network, "permute", [np.arange(16)], SIZE, matrix=matrix) if one.name == "cut neuronlink-x"
    )
    assert best == pytest.approx(1.5 * cut.time, rel=1e-9)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(network=fabrics())
def test_any_fabric(network: Network) -> None:
    ranks = np.arange(network.ranks)
    to = np.roll(ranks, 1)
    matrix = np.zeros((len(ranks), len(ranks)))
    matrix[ranks, to] = 1.0
    schedules = {
        "gather": FITTED["gather"]["optimal"](network, ranks, lambda text: None),
        "scatter": FITTED["scatter"]["optimal"](network, ranks, lambda text: None),
        "permute": FITTED["permute"]["optimal"](network, ranks, lambda text: None, to=tuple(to.tolist())),
    }
    for collective, schedule in schedules.items():
        needs = Needs.of(collective, [ranks], matrix if collective == "permute" else None)
        best = flow_limit(network, needs, lambda text: None).time(1.0)
        assert simulate(network, schedule).time == pytest.approx(best, rel=2e-3)


def test_slices_change_nothing_where_nothing_is_passed_on() -> None:
    network = Network(topologies.trn2())
    times = [
        simulate(network, FITTED["gather"]["optimal"](network, np.arange(16), lambda text: None, slices=slices)).time
        for slices in (None, 3)
    ]
    assert times[1] == pytest.approx(times[0], rel=1e-9)


def test_what_it_does_not_serve() -> None:
    network = Network(topologies.trn2())
    with pytest.raises(InputError, match=r"one of the ranks 0\.\.15, not 16"):
        FITTED["gather"]["optimal"](network, np.arange(16), lambda text: None, root=16)
    with pytest.raises(InputError, match="at least 1, not 0"):
        FITTED["gather"]["optimal"](network, np.arange(16), lambda text: None, slices=0)
    with pytest.raises(InputError, match=r"each of 0\.\.15 once"):
        FITTED["permute"]["optimal"](network, np.arange(16), lambda text: None, to=(0,) * 16)
    one_way = fabric(2, {(0, 1): 1.0})
    with pytest.raises(NotApplicable, match="cannot be reached"):
        FITTED["gather"]["optimal"](one_way, np.arange(2), lambda text: None)
