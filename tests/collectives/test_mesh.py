"""Mesh: one direct transfer between every two ranks in each phase."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.collectives import mesh
from fabric.layout import Layout, NotApplicable
from fabric.schedule import COPY, REDUCE

from .checker import check, chunks_of, waits_of

PHASES = {"all_reduce": mesh.all_reduce, "all_gather": mesh.all_gather, "reduce_scatter": mesh.reduce_scatter}


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 12), collective=st.sampled_from(sorted(PHASES)))
def test_any_number_of_ranks(n: int, collective: str) -> None:
    schedule = PHASES[collective](Layout(n))
    check(schedule)
    phases = 2 if collective == "all_reduce" else 1
    assert schedule.steps == (phases if n > 1 else 0)
    assert schedule.transfers == phases * n * (n - 1)
    assert schedule.sent() == pytest.approx([phases * (n - 1) / n] * n)
    assert (schedule.channel == -1).all()


def test_what_goes_where() -> None:
    schedule = mesh.all_reduce(Layout(4))
    for source, destination, operation, step, chunks in zip(
        schedule.source, schedule.destination, schedule.operation, schedule.step, chunks_of(schedule)
    ):
        assert source != destination
        assert operation == (REDUCE if step == 0 else COPY)
        assert chunks == [destination if step == 0 else source]


def test_the_second_step_waits_for_all_that_its_rank_sums() -> None:
    schedule = mesh.all_reduce(Layout(4))
    reaching = {r: [t for t in range(12) if schedule.destination[t] == r and schedule.step[t] == 0] for r in range(4)}
    for t, waits in enumerate(waits_of(schedule)):
        assert waits == (reaching[int(schedule.source[t])] if schedule.step[t] else [])


def test_too_many_waits_are_refused() -> None:
    assert mesh.all_gather(Layout(400)).transfers == 400 * 399
    with pytest.raises(NotApplicable, match=f"mesh on 400 ranks takes {400 * 399**2:,} waits"):
        mesh.all_reduce(Layout(400))
