"""All-to-all with one peer at a time and in log n steps: proved, bytes, steps and times on a switch."""

from __future__ import annotations

from math import ceil, log

import numpy as np
import pytest

import topologies
from fabric import simulate
from fabric.bind import Overheads
from fabric.collectives.all_to_all import bruck, direct, pairwise
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable
from fabric.schedule import Schedule

from .checker import check, chunks_of

ALPHA, BANDWIDTH, SIZE = 2e-6, 1e11, 2.0**24


def time(schedule: Schedule) -> float:
    fabric = topologies.switch(schedule.ranks, BANDWIDTH)
    return simulate(fabric, schedule.scaled(SIZE), overheads=Overheads(ALPHA, 0.0, latency=False)).time


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_pairwise_meets_every_rank_once(n: int) -> None:
    schedule = pairwise(Layout(n))
    check(schedule)
    assert schedule.steps == n - 1
    for step in range(schedule.steps):
        now = schedule.step == step
        assert sorted(schedule.source[now]) == sorted(schedule.destination[now]) == list(range(n))
    carried = [(int(a), int(b)) for a, b in zip(schedule.source, schedule.destination)]
    assert chunks_of(schedule) == [[a * n + b] for a, b in carried]


def test_pairwise_exchanges_on_powers_of_two() -> None:
    schedule = pairwise(Layout(8))
    assert (schedule.destination == (schedule.source ^ (schedule.step + 1))).all()


@pytest.mark.parametrize("n", [2, 8, 12, 15])
def test_time_of_pairwise_on_a_switch(n: int) -> None:
    assert time(pairwise(Layout(n))) == pytest.approx((n - 1) * (ALPHA + SIZE / (n * BANDWIDTH)), rel=1e-9)


@pytest.mark.parametrize("n", [2, 8, 12])
def test_time_of_direct_on_a_switch(n: int) -> None:
    assert time(direct(Layout(n))) == pytest.approx(ALPHA + SIZE * (n - 1) / (n * BANDWIDTH), rel=1e-9)


@pytest.mark.parametrize("radix", [2, 3, 4])
@pytest.mark.parametrize("n", [4, 7, 8, 12, 16])
def test_bruck(n: int, radix: int) -> None:
    """A block takes as many hops as the distance to its destination has digits other than zero."""
    schedule = bruck(Layout(n), radix=radix)
    check(schedule)
    assert schedule.steps == ceil(log(n, radix) - 1e-9)
    digits = [sum(d // radix**i % radix > 0 for i in range(5)) for d in range(n)]
    assert schedule.sent() == pytest.approx([sum(digits) / n] * n)


def test_one_rank_needs_nothing() -> None:
    assert bruck(Layout(1)).transfers == 0


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_time_of_bruck_on_a_switch(steps: int) -> None:
    """L (α + S / 2B) on 2^L ranks."""
    assert time(bruck(Layout(2**steps))) == pytest.approx(steps * (ALPHA + SIZE / (2 * BANDWIDTH)), rel=1e-9)


def test_time_of_bruck_of_radix_four() -> None:
    """Two steps on 16 ranks, in each of which three messages of S/4 share the port."""
    assert time(bruck(Layout(16), radix=4)) == pytest.approx(2 * (ALPHA + 3 * SIZE / (4 * BANDWIDTH)), rel=1e-9)


def test_bad_radix() -> None:
    with pytest.raises(InputError, match="radix has to be at least 2, not 1"):
        bruck(Layout(4), radix=1)
    with pytest.raises(NotApplicable, match="radix 8 is more than the 4 ranks"):
        bruck(Layout(4), radix=8)


def test_too_large_is_refused_before_it_is_built() -> None:
    with pytest.raises(NotApplicable, match="bruck on 8,192 ranks takes 872,415,232 chunks"):
        bruck(Layout(8192))
    assert np.iinfo(np.int32).max > 1 << 25  # chunk ids fit
