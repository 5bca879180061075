"""Ring: the order of the chunks, the closed forms, and which rings there are."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.collectives import ring
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable

from .checker import check, chunks_of, hops, step_loads, torus, waits_of

LAYOUTS = [Layout(1), Layout(2), Layout(7), torus(6), torus(4, 4), torus(3, 5), torus(2, 4), torus(4, 4, 4)]
PHASES = {"all_reduce": ring.all_reduce, "all_gather": ring.all_gather, "reduce_scatter": ring.reduce_scatter}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.dims or layout.ranks))
@pytest.mark.parametrize("collective", PHASES)
def test_does_what_it_should(collective: str, layout: Layout) -> None:
    check(PHASES[collective](layout))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 12), directions=st.sampled_from([1, 2]), collective=st.sampled_from(sorted(PHASES)))
def test_any_number_of_ranks(n: int, directions: Literal[1, 2], collective: str) -> None:
    schedule = PHASES[collective](Layout(n), directions=directions)
    check(schedule)
    # (n-1)/n of the size per rank and phase, in n - 1 steps
    phases = 2 if collective == "all_reduce" else 1
    assert schedule.steps == phases * (n - 1)
    assert schedule.sent() == pytest.approx([phases * (n - 1) / n] * n)


def test_order_of_the_chunks() -> None:
    """Step t of an all-gather: rank r sends block r - t; of a reduce-scatter: r - 1 - t; both to r + 1."""
    for schedule, shift in ((ring.all_gather(Layout(5), directions=1), 0), (ring.reduce_scatter(Layout(5), directions=1), 1)):
        for r, to, t, chunks in zip(schedule.source, schedule.destination, schedule.step, chunks_of(schedule)):
            assert (to, chunks) == ((r + 1) % 5, [(r - shift - t) % 5])


def test_all_reduce_gathers_on_the_rings_that_scattered() -> None:
    schedule = ring.all_reduce(Layout(5), directions=1)
    assert set((schedule.destination - schedule.source) % 5) == {1}


def test_a_rank_waits_for_the_chunk_and_for_its_own_last_transfer() -> None:
    schedule = ring.reduce_scatter(Layout(4), directions=1)
    at = {(int(s), int(t)): i for i, (s, t) in enumerate(zip(schedule.source, schedule.step))}
    waits = waits_of(schedule)
    for (source, step), i in at.items():
        assert waits[i] == (sorted([at[(source - 1) % 4, step - 1], at[source, step - 1]]) if step else [])


@pytest.mark.parametrize(("dims", "rings"), [((4, 4), 4), ((4, 4, 4), 6), ((6,), 2), ((2, 4), 2), ((), 2)], ids=str)
def test_rings_of_a_layout(dims: tuple[int, ...], rings: int) -> None:
    layout = torus(*dims) if dims else Layout(9)
    assert len(ring.all_reduce(layout).parts) == rings


def test_rings_of_a_torus_use_every_link_equally() -> None:
    schedule = ring.all_reduce(torus(4, 4))
    assert all(hops(a, b, (4, 4)) == 1 for a, b in zip(schedule.source.tolist(), schedule.destination.tolist()))
    # 30 steps, in each a sixteenth of a quarter on each of the 64 links: 2(15/16)S/(4c)
    loads = step_loads(schedule, (4, 4))
    assert len(loads) == 30
    assert all(len(load) == 64 and set(load.values()) == {Fraction(1, 64)} for load in loads)


def test_options() -> None:
    one = ring.all_reduce(torus(4, 4), cycles=1, directions=1)
    assert len(one.parts) == 1
    assert one.options == {"cycles": 1, "directions": 1, "weights": (1.0,)}
    assert one.note == "1 cycle x 1 direction"
    weighted = ring.all_gather(torus(4, 4), weights=(3.0, 3.0, 1.0, 1.0))
    assert weighted.parts == pytest.approx([3 / 8, 3 / 8, 1 / 8, 1 / 8])
    check(weighted)
    again = ring.all_gather(torus(4, 4), **weighted.options)  # type: ignore[arg-type]
    assert again.bytes.tolist() == weighted.bytes.tolist()


def test_bad_options() -> None:
    with pytest.raises(NotApplicable, match="3 edge-disjoint cycles asked for, there are 2"):
        ring.all_reduce(torus(4, 4), cycles=3)
    with pytest.raises(InputError, match="cycles has to be at least 1, not 0"):
        ring.all_reduce(torus(4, 4), cycles=0)
    with pytest.raises(InputError, match="directions has to be 1 or 2, not 3"):
        ring.all_reduce(torus(4, 4), directions=3)  # type: ignore[arg-type]
    for weights in ((1.0, 1.0), (1.0, 0.0, 1.0, 1.0), (1.0, float("nan"), 1.0, 1.0)):
        with pytest.raises(InputError, match="4 positive weights expected"):
            ring.all_reduce(torus(4, 4), weights=weights)


def test_too_large_is_refused_before_it_is_built() -> None:
    # 2 directions, 2 phases, n - 1 steps of n transfers
    with pytest.raises(NotApplicable, match=f"ring on 2,304 ranks takes {2 * 2 * 2303 * 2304:,} transfers"):
        ring.all_reduce(Layout(2304))
