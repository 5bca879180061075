"""All-to-all over machines: proved, who sends what where, and the closed form of the two steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import topologies
from fabric import simulate
from fabric.bind import Overheads
from fabric.collectives.two_level import rail, three_step, two_level
from fabric.layout import Layout, NotApplicable
from fabric.network import Network
from fabric.schedule import Schedule

from .checker import check, machines, torus

Builder = Callable[[Layout], Schedule]
LAYOUTS = [machines(3, Layout(4)), machines(4, Layout(3)), machines(2, torus(2, 3)), machines(5, Layout(1))]


def crossing(schedule: Schedule, g: int) -> np.ndarray:
    return np.asarray(schedule.source // g != schedule.destination // g)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.servers} x {layout.inner.ranks}")
@pytest.mark.parametrize("build", [two_level, rail])
def test_bytes_along_rails(build: Builder, layout: Layout) -> None:
    """S (g-1)/g inside and S (m-1)/m between, from place to equal place; m - 1 messages of g blocks per rank."""
    m, g, n = layout.servers, layout.ranks // layout.servers, layout.ranks
    schedule = build(layout)
    check(schedule)
    far = crossing(schedule, g)
    assert (schedule.source[far] % g == schedule.destination[far] % g).all()
    assert np.bincount(schedule.source, ~far * schedule.bytes) == pytest.approx([(g - 1) / g] * n)
    assert np.bincount(schedule.source, far * schedule.bytes) == pytest.approx([(m - 1) / m] * n)
    assert Counter(schedule.source[far].tolist()) == dict.fromkeys(range(n), m - 1)
    assert schedule.bytes[far] == pytest.approx([1 / m] * far.sum())


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.servers} x {layout.inner.ranks}")
def test_three_steps(layout: Layout) -> None:
    """One message of g² blocks for each ordered pair of machines."""
    m, g = layout.servers, layout.ranks // layout.servers
    schedule = three_step(layout)
    check(schedule)
    far = crossing(schedule, g)
    pairs = list(zip((schedule.source[far] // g).tolist(), (schedule.destination[far] // g).tolist()))
    assert sorted(pairs) == [(a, b) for a in range(m) for b in range(m) if a != b]
    assert schedule.bytes[far] == pytest.approx([g / m] * len(pairs))
    assert set(schedule.step[far].tolist()) == {1}


def test_three_steps_spread_over_the_ranks() -> None:
    """With g = m - 1 every rank of a machine talks to one other machine, and that rank talks back."""
    schedule = three_step(machines(5, Layout(4)))
    far = crossing(schedule, 4)
    talks = set(zip(schedule.source[far].tolist(), schedule.destination[far].tolist()))
    assert sorted(a for a, _ in talks) == list(range(20))
    assert {(b, a) for a, b in talks} == talks


def test_rail_hands_over_what_leaves_first() -> None:
    """A message leaves when the blocks for it are there, not when all are."""
    schedule = rail(machines(4, Layout(3)))
    far = crossing(schedule, 3)
    away = (schedule.destination[far] // 3 - schedule.source[far] // 3) % 4
    assert (schedule.step[far] == away).all()
    for transfer in np.flatnonzero(far):
        waits = schedule.wait_ids[schedule.wait_ptr[transfer] : schedule.wait_ptr[transfer + 1]]
        assert (schedule.step[waits] == schedule.step[transfer] - 1).all()
        assert len(waits) == 2


ALPHA, FAR, FAST, SLOW, SIZE = 1e-6, 15e-6, 300e9, 25e9, 2.0**28


def time(build: Builder, m: int, g: int) -> float:
    network = Network(topologies.efa_cluster(topologies.switch(g, FAST), m))
    schedule = build(network.layout(np.arange(m * g))).scaled(SIZE)
    return simulate(network, schedule, overheads=Overheads(ALPHA, FAR, latency=False)).time


def test_time_of_two_levels() -> None:
    """α_v + S (g-1)/(g B_v) + α_n + S (m-1)/(m B_n): the messages of a step start together, so each step has one delay."""
    m, g = 4, 8
    inside, between = ALPHA + SIZE * (g - 1) / (g * FAST), FAR + SIZE * (m - 1) / (m * SLOW)
    assert time(two_level, m, g) == pytest.approx(inside + between, rel=1e-9)


def test_rail_overlaps_the_levels() -> None:
    """The NICs bind. They start after the first of m hand-overs, and are never idle again."""
    m, g = 4, 8
    first = ALPHA + SIZE * (g - 1) / (g * FAST) / m
    assert time(rail, m, g) == pytest.approx(first + FAR + SIZE * (m - 1) / (m * SLOW), rel=1e-9)


def test_where_it_does_not_apply() -> None:
    for build in (two_level, rail, three_step):
        with pytest.raises(NotApplicable, match=f"{build.__name__} needs more than one machine"):
            build(torus(4, 4))
