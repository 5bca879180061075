"""Tiers: the view of a layout as nested groups, and algorithms over any number of them, against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import topologies
from fabric import simulate
from fabric.bind import Overheads
from fabric.collectives import hierarchical
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable, Tier
from fabric.network import Network
from fabric.schedule import Schedule

from .checker import check, machines, torus

PHASES = {
    "all_reduce": hierarchical.all_reduce,
    "all_gather": hierarchical.all_gather,
    "reduce_scatter": hierarchical.reduce_scatter,
}
ALPHA = 1.1e-6
SIZE = 2.0**30


def nested(*sizes: int) -> Layout:
    layout = Layout(sizes[0])
    for size in sizes[1:]:
        layout = machines(size, layout)
    return layout


def sent_by_tier(schedule: Schedule, sizes: tuple[int, ...]) -> list[float]:
    """Bytes that rank 0 sends to ranks which differ from it in each coordinate alone; all of its bytes."""
    mine = schedule.source == 0
    there = np.stack(np.unravel_index(schedule.destination[mine], sizes, order="F"))
    assert ((there != 0).sum(axis=0) == 1).all()
    return [float(schedule.bytes[mine][coordinate != 0].sum()) for coordinate in there]


def test_tiers_of_layouts() -> None:
    assert Layout(8, injection=3.0).tiers == (Tier(8, 3.0, ring=False),)
    assert torus(4, 2, bandwidth=(2.0, 5.0)).tiers == (Tier(4, 4.0, ring=True), Tier(2, 5.0, ring=True))
    assert torus(4).tiers == (Tier(4, 2.0, ring=True),)
    assert Layout(4, (4,)).tiers == (Tier(4, 0.0, ring=True),)
    cluster = Layout(96, servers=6, inner=torus(4, 4), injection=0.5)
    assert cluster.tiers == (Tier(4, 2.0, ring=True), Tier(4, 2.0, ring=True), Tier(6, 0.5, ring=False))


@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("sizes", [(2, 3, 2), (4, 3, 2), (2, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("outer", ["ring", "mesh"])
def test_bytes_in_every_tier(collective: str, sizes: tuple[int, ...], outer: str) -> None:
    """S (p_i - 1) / (p_1 ... p_i) in the i-th tier from the inside, twice in an all-reduce."""
    schedule = PHASES[collective](nested(*sizes), outer=outer)
    check(schedule)
    phases = 2 if collective == "all_reduce" else 1
    expected = [phases * (size - 1) / np.prod(sizes[: i + 1]) for i, size in enumerate(sizes)]
    assert sent_by_tier(schedule, sizes) == pytest.approx(expected, rel=1e-12)
    assert schedule.options["inner"] == ("mesh",) * (len(sizes) - 1) or len(sizes) == 2


@pytest.mark.parametrize("inner", [("ring", "rdh"), ("mesh", "ring"), "ring", "hierarchical", "themis", "mesh"], ids=str)
@pytest.mark.parametrize("outer", ["mesh", "rdh"])
def test_any_algorithm_in_any_tier(inner: hierarchical.Inner, outer: str) -> None:
    for build in PHASES.values():
        check(build(nested(3, 4, 2), inner=inner, outer=outer))


def test_steps_of_three_tiers() -> None:
    """2 Σ (p_i - 1) with rings in all tiers; a mesh takes one step for each phase."""
    assert hierarchical.all_reduce(nested(4, 3, 2), inner=("ring", "ring")).steps == 2 * (3 + 2 + 1)
    assert hierarchical.all_reduce(nested(4, 3, 5)).steps == 2 * (1 + 1 + 4)


@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("builder", [topologies.trn3_gen1, topologies.trn3_gen2], ids=lambda builder: builder.__name__)
def test_time_of_rings_in_three_tiers(collective: str, builder: topologies.Builder) -> None:
    """Σ (p_i - 1) (α + S / (p_1 ... p_i B_i)), twice in an all-reduce."""
    network = Network(builder())
    layout = network.layout(np.arange(network.ranks))
    schedule = PHASES[collective](layout, inner=("ring", "ring"), outer="ring").scaled(SIZE)
    result = simulate(network, schedule, overheads=Overheads(ALPHA, 0.0, latency=False))
    time, ranks = 0.0, 1
    for size, bandwidth in zip((2, 16, 2) if network.ranks == 64 else (4, 18, 2), (256e9, 320e9, 128e9)):
        ranks *= size
        time += (size - 1) * (ALPHA + SIZE / (ranks * bandwidth))
    assert result.time == pytest.approx(time * (2 if collective == "all_reduce" else 1), rel=1e-9)


def test_time_of_two_tiers_over_efa() -> None:
    """2 [(g - 1)(α_v + S / (g B_v)) + (m - 1)(α_n + S / (g m B_n))] on m machines of g ranks."""
    g, m, fast, slow = 8, 4, 300e9, 25e9
    network = Network(topologies.efa_cluster(topologies.switch(g, fast), m))
    schedule = hierarchical.all_reduce(network.layout(np.arange(g * m)), inner="ring", outer="ring").scaled(SIZE)
    result = simulate(network, schedule, overheads=Overheads(ALPHA, 13e-6, latency=False))
    inside, between = (g - 1) * (ALPHA + SIZE / (g * fast)), (m - 1) * (13e-6 + SIZE / (g * m * slow))
    assert result.time == pytest.approx(2 * (inside + between), rel=1e-9)


def test_faults() -> None:
    with pytest.raises(NotApplicable, match="2 algorithms for one tier, the ranks of a machine"):
        hierarchical.all_reduce(nested(4, 3), inner=("mesh", "mesh"))
    with pytest.raises(NotApplicable, match="themis needs 2 to 6 tiers, these ranks have 1"):
        hierarchical.all_reduce(nested(4, 3), inner="themis")
    with pytest.raises(InputError, match=r"unknown algorithm of a tier 'mish' \(did you mean mesh"):
        hierarchical.all_reduce(nested(4, 3, 2), inner=("mish", "mesh"))
    with pytest.raises(InputError, match="inner names no algorithm"):
        hierarchical.all_reduce(nested(4, 3), inner=())
