"""Hierarchical: any inner and outer algorithm does what it should, and moves what the closed forms say."""

from __future__ import annotations

import numpy as np
import pytest

from fabric.collectives import hierarchical
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable
from fabric.schedule import Schedule

from .checker import check, machines, torus, waits_of

PHASES = {
    "all_reduce": hierarchical.all_reduce,
    "all_gather": hierarchical.all_gather,
    "reduce_scatter": hierarchical.reduce_scatter,
}


def sent(schedule: Schedule, ranks_inside: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes that each rank sends inside its machine and to others."""
    inside = schedule.source // ranks_inside == schedule.destination // ranks_inside
    bytes_inside = np.bincount(schedule.source, np.where(inside, schedule.bytes, 0), minlength=schedule.ranks)
    return bytes_inside, schedule.sent() - bytes_inside


@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("inner", ["ring", "mesh", "rdh", "bucket"])
@pytest.mark.parametrize("outer", ["ring", "mesh", "rdh"])
def test_any_pair_of_tiers(collective: str, inner: hierarchical.Tier, outer: hierarchical.Tier) -> None:
    m, g = 4, 8
    schedule = PHASES[collective](machines(m, torus(2, 4)), inner=inner, outer=outer)
    check(schedule)
    phases = 2 if collective == "all_reduce" else 1
    inside, between = sent(schedule, g)
    n = m * g
    # Of an all-gather all blocks of all machines pass through the machine, so it moves S(g-1)/g inside as well.
    assert inside == pytest.approx([phases * (g - 1) / g] * n)
    assert between == pytest.approx([phases * (m - 1) / (g * m)] * n)


@pytest.mark.parametrize("layout", [machines(3, Layout(5)), machines(2, torus(4, 4)), machines(5, Layout(1))], ids=str)
@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("directions", [1, 2])
def test_any_machines(collective: str, layout: Layout, directions: hierarchical.ring.Directions) -> None:
    check(PHASES[collective](layout, directions=directions))


def test_defaults_and_their_steps() -> None:
    schedule = hierarchical.all_reduce(machines(3, Layout(4)))
    assert schedule.options == {"inner": "mesh", "outer": "ring", "directions": 1}
    assert schedule.steps == 1 + 2 * (3 - 1) + 1
    assert hierarchical.all_reduce(machines(3, torus(4, 4))).options["inner"] == "bucket"
    rings = hierarchical.all_reduce(machines(3, Layout(4)), inner="ring")
    assert rings.steps == 2 * (4 - 1) + 2 * (3 - 1)


@pytest.mark.parametrize(("collective", "between"), [("all_gather", 0), ("reduce_scatter", 1), ("all_reduce", 1)])
def test_order_of_the_stages(collective: str, between: int) -> None:
    """Between machines first in an all-gather, last in a reduce-scatter, in the middle of an all-reduce."""
    schedule = PHASES[collective](machines(2, Layout(4)))
    crossing = schedule.source // 4 != schedule.destination // 4
    assert set(schedule.step[crossing].tolist()) == set(range(between, between + (2 if collective == "all_reduce" else 1)))
    assert (schedule.source[crossing] % 4 == schedule.destination[crossing] % 4).all()


def test_waits_stay_few() -> None:
    """Each of a rank's last g - 1 transfers needs the g - 1 that reached it first; the copy before them implies those."""
    schedule = hierarchical.all_reduce(machines(4, Layout(16)))
    last = np.flatnonzero(schedule.step == schedule.steps - 1)
    assert len(last) == 64 * 15
    waits = waits_of(schedule)
    assert {len(waits[t]) for t in last} == {1}
    assert len(schedule.wait_ids) < 2 * schedule.transfers


def test_where_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="hierarchical needs more than one machine"):
        hierarchical.all_reduce(torus(4, 4))
    with pytest.raises(NotApplicable, match="rdh needs a power of two, not 3"):
        hierarchical.all_reduce(machines(3, Layout(4)), outer="rdh")
    with pytest.raises(InputError, match=r"unknown algorithm of a tier 'rign' \(did you mean ring"):
        hierarchical.all_reduce(machines(3, Layout(4)), outer="rign")  # type: ignore[arg-type]


def test_unequal_parts_inside_and_two_rings_between() -> None:
    """All transfers between machines are of half a block, whatever the parts inside; each ring has a channel of its own."""
    schedule = hierarchical.all_reduce(machines(3, torus(2, 4)), inner="bucket", outer="ring", directions=2)
    assert len(set(schedule.parts.round(9))) > 1
    crossing = schedule.source // 8 != schedule.destination // 8
    assert schedule.bytes[crossing] == pytest.approx([1 / 24 / 2] * crossing.sum())
    between, inside = set(schedule.channel[crossing].tolist()), set(schedule.channel[~crossing].tolist())
    assert len(between) == 2
    assert not between & inside
