"""KangaRing: proved on cores of tori of chips; its members, its steps, and its time on Trn2."""

from __future__ import annotations

import numpy as np
import pytest

import topologies
from fabric import simulate
from fabric.bind import Overheads
from fabric.collectives import hierarchical, kangaring, smaller, themis
from fabric.collectives.conditions import prove
from fabric.layout import Layout, NotApplicable, Tier
from fabric.network import Network

from .checker import check, torus

PHASES = {
    "all_reduce": kangaring.all_reduce,
    "all_gather": kangaring.all_gather,
    "reduce_scatter": kangaring.reduce_scatter,
}


def cores(each: int, *dims: int) -> Layout:
    chips = torus(*dims)
    return Layout(each * chips.ranks, servers=chips.ranks, inner=Layout(each, injection=8.0), between=chips)


@pytest.mark.parametrize("layout", [cores(2, 3), cores(4, 3), cores(2, 2), cores(2, 2, 3), cores(4, 3, 3)], ids=str)
@pytest.mark.parametrize("collective", PHASES)
def test_does_what_it_should(collective: str, layout: Layout) -> None:
    schedule = PHASES[collective](layout)
    check(schedule)
    prove(schedule)
    n = layout.ranks
    assert schedule.steps == n // 2 * (2 if collective == "all_reduce" else 1)
    assert schedule.sent().sum() == pytest.approx((n - 1) * (2 if collective == "all_reduce" else 1))


def test_only_primaries_leave_the_chip_and_their_role_alternates() -> None:
    """Cycle 0 by the even cores, cycle 1 by the odd ones; the first hop of an all-gather is from partners as well."""
    schedule = kangaring.reduce_scatter(cores(4, 4, 4))
    part = schedule.chunk_ids[schedule.chunk_ptr[:-1]] % 4
    leaving = schedule.source // 4 != schedule.destination // 4
    assert (schedule.source[leaving] % 2 == part[leaving] // 2).all()
    last = schedule.step == schedule.steps - 1
    assert (schedule.destination[leaving & ~last] % 2 == part[leaving & ~last] // 2).all()


@pytest.mark.parametrize("collective", PHASES)
def test_time_on_trn2(collective: str) -> None:
    """31 hops of 2 S / 256 over a link of 128 GB/s with a delay for each; beside them a step in which a core hands as much of
    one or two rings to its partner, at its quarter of 2.9 TB/s. Twice in an all-reduce."""
    network, size, alpha = Network(topologies.trn2(lnc=2)), 2.0**28, 1.3e-6
    schedule = PHASES[collective](network.layout(np.arange(64))).scaled(size)
    phases, piece = 2 if collective == "all_reduce" else 1, 2 * size / 256
    hops = phases * 31 * (alpha + piece / 128e9)
    time = simulate(network, schedule, overheads=Overheads(alpha, 0, latency=False)).time
    assert hops < time < hops + phases * (alpha + 3.001 * piece / 725e9)


def test_time_of_large_sizes_on_trn2() -> None:
    """Without delays 62 hops, and twice the two pieces that a core hands to its partner: 4109.51 us for 1 GiB."""
    network = Network(topologies.trn2(lnc=2))
    schedule = kangaring.all_reduce(network.layout(np.arange(64))).scaled(2.0**30)
    piece = 2 * 2.0**30 / 256
    assert simulate(network, schedule).time == pytest.approx(62 * piece / 128e9 + 2 * 2 * piece / 725e9, rel=1e-9)


def test_layout_of_cores() -> None:
    network = Network(topologies.trn2(lnc=2))
    layout = network.layout(np.arange(64))
    chips = Layout(16, (4, 4), (128e9, 128e9))
    assert layout == Layout(64, servers=16, inner=Layout(4, injection=725e9), between=chips)
    shared = Tier(4, 64e9, ring=True)  # two links of 128 GB/s along each dimension, for four cores
    assert layout.tiers == (Tier(4, 725e9, ring=False), shared, shared)
    small = smaller(network.layout(np.arange(64)))
    assert (small.ranks, small.servers, small.between) == (64, 16, chips)
    with pytest.raises(ValueError, match="16 places for 8 machines"):
        Layout(32, servers=8, inner=Layout(4), between=chips)


@pytest.mark.parametrize("outer", [None, "rdh", "ring", "swing", "mesh"])
def test_groups_of_equal_cores_between_the_chips(outer: str | None) -> None:
    """Bucket where nothing is said. RDH among the chips starts on all axes at the same time."""
    schedule = hierarchical.all_reduce(cores(2, 4, 4), outer=outer)
    check(schedule)
    assert schedule.options["outer"] == (outer or "bucket")
    leaving = schedule.source // 2 != schedule.destination // 2
    assert (schedule.source[leaving] % 2 == schedule.destination[leaving] % 2).all()
    check(themis.all_gather(cores(2, 3, 4), chunks=5))


def test_where_it_does_not_apply() -> None:
    for layout in (torus(4, 4), Layout(8, servers=2, inner=Layout(4)), cores(3, 4)):
        with pytest.raises(NotApplicable, match="kangaring needs an even number of cores on each chip of a torus"):
            kangaring.all_reduce(layout)
