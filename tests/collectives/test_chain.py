"""Chains: along rings, in slices."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric.collectives import build, chain
from fabric.collectives.slices import sliced
from fabric.errors import InputError
from fabric.layout import Layout

from .checker import ALPHA, BANDWIDTH, SIZE, check, hops, time_of, torus

CHAINS = {"broadcast": chain.broadcast, "reduce": chain.reduce}


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(CHAINS)), st.integers(1, 12), st.sampled_from([1, 2]))
def test_does_what_it_should(data: st.DataObject, collective: str, n: int, directions: int) -> None:
    root = data.draw(st.integers(0, n - 1))
    schedule = CHAINS[collective](Layout(n), root=root, directions=directions)  # type: ignore[arg-type]
    check(schedule)
    assert schedule.transfers == directions * (n - 1)
    assert schedule.steps == n - 1


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
@pytest.mark.parametrize("slices", [1, 2, 5, 16])
@pytest.mark.parametrize("collective", CHAINS)
def test_slices_follow_each_other(n: int, slices: int, collective: str) -> None:
    schedule = sliced(CHAINS[collective](Layout(n), root=1, directions=1), slices)
    assert schedule.steps == n - 2 + slices
    time = time_of(topologies.ring(n, BANDWIDTH), schedule)
    assert time == pytest.approx((n - 2 + slices) * (ALPHA + SIZE / (slices * BANDWIDTH)), rel=1e-9)


@pytest.mark.parametrize(("dims", "rings"), [((4, 4), 4), ((4, 4, 4), 6), ((3, 5), 4)], ids=str)
@pytest.mark.parametrize("collective", CHAINS)
def test_a_torus_has_a_chain_on_each_of_its_rings(dims: tuple[int, ...], rings: int, collective: str) -> None:
    schedule = CHAINS[collective](torus(*dims), root=5)
    check(schedule)
    assert schedule.parts.tolist() == [1 / rings] * rings
    assert schedule.options == {"root": 5, "cycles": rings // 2, "directions": 2}
    assert {hops(a, b, dims) for a, b in zip(schedule.source.tolist(), schedule.destination.tolist())} == {1}
    n = torus(*dims).ranks
    time = time_of(topologies.torus(list(dims), BANDWIDTH), sliced(schedule, 8))
    assert time == pytest.approx((n - 2 + 8) * (ALPHA + SIZE / (8 * rings * BANDWIDTH)), rel=1e-9)


def test_it_is_cut_where_nothing_is_said() -> None:
    assert build("broadcast", "chain", Layout(4)).options["slices"] == 32
    assert "slices" not in build("broadcast", "chain", Layout(4), slices=1).options


def test_a_root_that_is_none() -> None:
    with pytest.raises(InputError, match=r"root has to be one of the ranks 0\.\.7, not -1"):
        chain.broadcast(Layout(8), root=-1)
