"""Binomial trees: who sends what to whom, and the closed forms on a switch, from any root and for any number of ranks."""

from __future__ import annotations

from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric.collectives import tree
from fabric.errors import InputError
from fabric.layout import Layout

from .checker import ALPHA, BANDWIDTH, SIZE, check, chunks_of, time_of

TREES = {"broadcast": tree.broadcast, "reduce": tree.reduce, "scatter": tree.scatter, "gather": tree.gather}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(TREES)), st.integers(1, 40))
def test_does_what_it_should_in_log2_n_steps(data: st.DataObject, collective: str, n: int) -> None:
    root = data.draw(st.integers(0, n - 1))
    schedule = TREES[collective](Layout(n), root=root)
    check(schedule)
    assert schedule.options == {"root": root}
    assert schedule.steps == ceil(log2(n))
    assert schedule.transfers == n - 1
    steps = list(zip(schedule.source.tolist(), schedule.step.tolist()))
    assert len(set(steps)) == len(steps)  # one message of a rank at a time


@pytest.mark.parametrize("n", [2, 3, 5, 7, 8, 12, 16])
@pytest.mark.parametrize("name", ["broadcast", "reduce"])
def test_each_step_takes_the_whole_message(n: int, name: str) -> None:
    time = time_of(topologies.switch(n, BANDWIDTH), TREES[name](Layout(n), root=n // 2))
    assert time == pytest.approx(ceil(log2(n)) * (ALPHA + SIZE / BANDWIDTH), rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5, 7, 8, 12, 16])
def test_scatter_sends_every_block_once_from_the_root(n: int) -> None:
    schedule = tree.scatter(Layout(n), root=1)
    assert schedule.sent()[1] == pytest.approx((n - 1) / n)
    expected = ceil(log2(n)) * ALPHA + SIZE * (n - 1) / n / BANDWIDTH
    assert time_of(topologies.switch(n, BANDWIDTH), schedule) == pytest.approx(expected, rel=1e-9)
    gathered = time_of(topologies.switch(n, BANDWIDTH), tree.gather(Layout(n), root=1))
    # As long where all halves are equal; else the root gets some blocks before their turn.
    assert gathered == pytest.approx(expected, rel=1e-9) if n in (2, 8, 16) else gathered < expected


def test_far_ranks_come_first() -> None:
    schedule = tree.scatter(Layout(6), root=2)
    rows = sorted(zip(schedule.step, schedule.source, schedule.destination, map(sorted, chunks_of(schedule))))
    # places 4, 2, then 1, 3 and 5 from the root on; place 4 stands for 4 and 5
    assert rows == [(0, 2, 0, [0, 1]), (1, 2, 4, [4, 5]), (2, 0, 1, [1]), (2, 2, 3, [3]), (2, 4, 5, [5])]


@pytest.mark.parametrize("name", TREES)
def test_a_root_that_is_none(name: str) -> None:
    with pytest.raises(InputError, match=r"root has to be one of the ranks 0\.\.7, not 8"):
        TREES[name](Layout(8), root=8)
