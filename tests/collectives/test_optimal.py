"""Schedules made for one fabric: they meet the bound that maximum flows give, switches and lost cables included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import topologies
from fabric import InputError, Network, simulate
from fabric.bounds import lower_bounds
from fabric.collectives import FITTED
from fabric.collectives.roots import whole_rates
from fabric.wires import Wires

SIZE = 2.0**30
FABRICS: dict[str, Callable[[], nx.DiGraph[int]]] = {
    "trn2": topologies.trn2,
    "trn2 without a cable": lambda: topologies.degrade(topologies.trn2(), down=[(0, 1)]),
    "trn3 gen1, one rack": lambda: topologies.trn3_gen1(racks=1),
    "fat tree": lambda: topologies.fat_tree(4, 1e9),
    "mesh": lambda: topologies.mesh([3, 3], 1e9),
}


BROKEN = topologies.degrade(topologies.trn2(), down=[(0, 1)])


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


@pytest.mark.parametrize(
    ("graph", "units", "of_the_poor"),
    [
        # In units of 64 GB/s: 11 into every chip, 9 into the two that lost their cable.
        (topologies.degrade(topologies.trn3_gen2(), down=[(0, 72)]), 11, {0: 2, 72: 2}),
        (topologies.degrade(topologies.trn3_gen1(), down=[("chip 0", "rack switch 0")]), 11, {0: 5}),
        # 9 into every chip and 4 into and out of chip 0, from which at most as many trees can start: 8, half of them there.
        (topologies.degrade(topologies.trn3_gen2(racks=1), down=[("chip 0", "rack switch 0")]), 8, {0: 4}),
    ],
)
def test_roots_of_few_trees(graph: nx.DiGraph[int], units: int, of_the_poor: dict[int, int]) -> None:
    network = Network(graph)
    wires = Wires.of(network, np.arange(network.ranks))
    rates = whole_rates((wires.turn(), wires), 16)
    assert rates is not None
    roots = [rate / (64 * 10**9) for rate in rates]
    assert sum(roots) == units
    assert {rank: roots[rank] for rank in of_the_poor} == of_the_poor
    assert max(root for rank, root in enumerate(roots) if rank not in of_the_poor) == 1
    assert whole_rates((wires.turn(), wires), units - 1) is None


@pytest.mark.parametrize("collective", ["broadcast", "reduce"])
@pytest.mark.parametrize(("graph", "root", "rate"), [(topologies.trn2(), 5, 512), (BROKEN, 0, 384), (BROKEN, 7, 384)])
def test_trees_of_one_root_take_the_pipeline_and_no_more(collective: str, graph: nx.DiGraph[int], root: int, rate: int) -> None:
    """S over the links of the root, or of the chip that lost one, times (slices + d - 1) / slices for trees d hops deep."""
    network = Network(graph)
    schedule = FITTED[collective]["optimal"](network, np.arange(16), lambda text: None, slices=256, root=root)
    found = simulate(network, schedule.scaled(SIZE), verify=True)
    assert schedule.root == schedule.options["root"] == root
    depth = int(schedule.note.split("at most ")[1].split()[0])
    assert 3 < depth < 9
    best = SIZE / (rate * 1e9)
    assert best * (1 - 1e-9) <= found.time <= best * (256 + depth - 1) / 256 * (1 + 1e-9)


def test_a_schedule_takes_what_its_steps_say_or_less() -> None:
    """What is late must hold up no link for what is due: without waits at links from switches this takes a third more."""
    network = Network(topologies.degrade(topologies.trn3_gen1(), down=[(0, 32)]))
    schedule = FITTED["all_gather"]["optimal"](network, np.arange(64), lambda text: None).scaled(SIZE)
    # Chips 0 and 32 get 63/64 of all through 576 GB/s.
    assert simulate(network, schedule).time <= 1.01 * SIZE * 63 / 64 / 576e9


def test_a_root_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"one of the ranks 0\.\.15, not 16"):
        FITTED["broadcast"]["optimal"](Network(topologies.trn2()), np.arange(16), lambda text: None, root=16)


def test_a_replica_group_of_some_ranks() -> None:
    """Five ranks of a torus; the others pass on. Trees of depth 3 fill for two slices, so 64 of them take 66/64."""
    network = Network(topologies.trn2())
    assert gap(network, "all_gather", np.array([0, 3, 5, 9, 14]), slices=64) == pytest.approx(66 / 64)
