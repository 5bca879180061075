"""Bruck's all-gather: closed form for any number of ranks."""

from __future__ import annotations

from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric.collectives import bruck
from fabric.layout import Layout

from .checker import ALPHA, BANDWIDTH, SIZE, check, chunks_of, time_of


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40))
def test_any_number_of_ranks(n: int) -> None:
    schedule = bruck.all_gather(Layout(n))
    check(schedule)
    assert schedule.steps == ceil(log2(n))
    assert schedule.sent() == pytest.approx([(n - 1) / n] * n)


@pytest.mark.parametrize("n", [2, 3, 5, 7, 8, 12, 16])
def test_time_on_a_switch(n: int) -> None:
    expected = ceil(log2(n)) * ALPHA + SIZE * (n - 1) / n / BANDWIDTH
    assert time_of(topologies.switch(n, BANDWIDTH), bruck.all_gather(Layout(n))) == pytest.approx(expected, rel=1e-9)


def test_who_sends_what() -> None:
    schedule = bruck.all_gather(Layout(6))
    sent = {
        step: blocks
        for source, step, blocks in zip(schedule.source.tolist(), schedule.step.tolist(), chunks_of(schedule))
        if source == 4
    }
    assert sent == {0: [4], 1: [4, 5], 2: [4, 5]}  # only 2 of 6 blocks are missing at the last
    assert set(((schedule.source - schedule.destination) % 6 - 2**schedule.step).tolist()) == {0}
