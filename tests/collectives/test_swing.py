"""Swing: partners, steps, bytes, and its closed form on tori."""

from __future__ import annotations

from fractions import Fraction
from math import log2

import pytest

import topologies
from fabric.collectives import swing
from fabric.collectives.conditions import prove
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable

from .checker import ALPHA, BANDWIDTH, SIZE, check, time_of, torus

PHASES = {"all_reduce": swing.all_reduce, "all_gather": swing.all_gather, "reduce_scatter": swing.reduce_scatter}
TORI = [(2,), (8,), (2, 2), (4, 4), (2, 8), (4, 1, 8), (4, 4, 4)]


@pytest.mark.parametrize("dims", TORI, ids=str)
@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("ports", ["all", "one"])
def test_does_what_it_should(dims: tuple[int, ...], collective: str, ports: swing.Ports) -> None:
    layout = torus(*dims)
    schedule = PHASES[collective](layout, ports=ports)
    check(schedule)
    phases = 2 if collective == "all_reduce" else 1
    assert schedule.steps == phases * log2(layout.ranks)
    assert schedule.sent() == pytest.approx([phases * (layout.ranks - 1) / layout.ranks] * layout.ranks)


@pytest.mark.parametrize("dims", TORI, ids=str)
@pytest.mark.parametrize("ports", ["all", "one"])
def test_whole_vector_in_half_the_steps(dims: tuple[int, ...], ports: swing.Ports) -> None:
    layout = torus(*dims)
    schedule = swing.whole_all_reduce(layout, ports=ports)
    check(schedule)
    prove(schedule)
    assert schedule.steps == log2(layout.ranks)
    assert schedule.sent() == pytest.approx([log2(layout.ranks)] * layout.ranks)


def test_eight_and_twelve_steps_on_the_shapes_of_trn2() -> None:
    assert swing.all_reduce(torus(4, 4)).steps == 8
    assert swing.all_reduce(torus(4, 4, 4)).steps == 12


def test_partners_on_a_ring() -> None:
    """ρ = 1, -1, 3, -5: ahead for even ranks, back for odd ones."""
    schedule = swing.reduce_scatter(torus(16), ports="one")
    for source, destination, step in zip(schedule.source.tolist(), schedule.destination.tolist(), schedule.step.tolist()):
        way = -1 if source % 2 else 1
        assert (destination - source) % 16 == way * (1, -1, 3, -5)[step] % 16


def test_parts_start_in_different_dimensions_and_ways() -> None:
    schedule = swing.reduce_scatter(torus(4, 4))
    first = {
        (chunk % 4, (destination - source) % 16)
        for source, destination, step, chunk in zip(
            schedule.source.tolist(),
            schedule.destination.tolist(),
            schedule.step.tolist(),
            schedule.chunk_ids[schedule.chunk_ptr[:-1]].tolist(),
        )
        if step == 0 and source == 0
    }
    assert first == {(0, 1), (1, 3), (2, 4), (3, 12)}  # x ahead, x back, y ahead, y back from rank 0


# (dims, Ξ) with Ξ = Σ_s |ρ(⌊s/D⌋)| / 2^(s+1) · n/(n-1), from the published values for equal dimensions.
XI = [((4, 4), "1"), ((8, 8), "23/21"), ((4, 4, 4), "1"), ((8,), "9/7"), ((16,), "23/15")]


@pytest.mark.parametrize(("dims", "xi"), XI, ids=str)
def test_time_on_a_torus(dims: tuple[int, ...], xi: str) -> None:
    """2 log2 n α + Ξ · 2S(n-1)/(2Dnc)."""
    layout = torus(*dims)
    n, links = layout.ranks, 2 * len(dims) * BANDWIDTH
    expected = 2 * log2(n) * ALPHA + float(Fraction(xi)) * 2 * SIZE * (n - 1) / n / links
    assert time_of(topologies.torus(list(dims), BANDWIDTH), swing.all_reduce(layout)) == pytest.approx(expected, rel=1e-9)


def test_where_it_does_not_apply() -> None:
    for layout, given in ((Layout(8), "ranks without coordinates"), (torus(4, 6), r"\(4, 6\)")):
        with pytest.raises(NotApplicable, match=f"swing needs a torus of powers of two, not {given}"):
            swing.all_reduce(layout)
    with pytest.raises(InputError, match=r"unknown ports of swing 'on' \(did you mean one"):
        swing.all_gather(torus(4, 4), ports="on")  # type: ignore[arg-type]
