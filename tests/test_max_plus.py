"""The closed forms of max-plus equal what they stand for: the recurrence of a ring, intervals one by one, the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.engine import Flows, solve
from fabric.max_plus import longest_durations, ring_ends, step_ends, time_shares


def turns(start: list[float], duration: list[float], steps: int) -> np.ndarray:
    """[steps, m] by the recurrence itself."""
    rows = [np.add(start, duration)]
    for _ in range(steps - 1):
        rows.append(np.maximum(rows[-1], np.roll(rows[-1], 1)) + duration)
    return np.array(rows)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), machines=st.integers(2, 9), phases=st.integers(1, 2))
def test_ring(data: st.DataObject, machines: int, phases: int) -> None:
    """Whole numbers, so that nothing is rounded. Special machines start earlier or later, and take at least as long."""
    special = data.draw(st.lists(st.integers(0, machines - 1), max_size=3, unique=True))
    start, duration, steps = np.full(machines, 5.0), np.full(machines, 2.0), phases * (machines - 1)
    for machine in special:
        start[machine] += data.draw(st.integers(-5, 40))
        duration[machine] += data.draw(st.integers(0, 9))
    expected = turns(start.tolist(), duration.tolist(), steps)
    assert ring_ends(start, duration, steps, special).tolist() == expected[-1].tolist()
    for machine in range(machines):
        assert step_ends(start, duration, steps, special, machine).tolist() == expected[:, machine].tolist()


def test_one_slow_hop_by_hand() -> None:
    """Four machines, six steps of 1 s, of machine 1 of 3 s. Machine 2 has its own sixth step after the fifth of machine 1."""
    ends = ring_ends(np.zeros(4), np.array([1.0, 3.0, 1.0, 1.0]), 6, [1])
    assert ends.tolist() == [9 + 3, 18, 15 + 1, 12 + 2]


def test_time_shares_by_hand() -> None:
    """Two users of half of a capacity each, of 0..2, 4..6 and 1..3, 7..9: busy 0..3, 4..6, 7..9; full in 1..2 alone."""
    ends = [np.array([2.0, 6.0]), np.array([3.0, 9.0])]
    assert time_shares(ends, np.array([2.0, 2.0]), np.array([0.5, 0.5])) == (7.0, 1.0)
    assert time_shares(ends[:1], np.array([2.0]), np.array([0.5])) == (4.0, 0.0)
    assert time_shares(ends[:1], np.array([2.0]), np.array([1.0])) == (4.0, 4.0)


def test_longest_durations_by_hand() -> None:
    """Capacity 0 of 10 bytes/s: lane 0 sends 20 and 40 bytes at once, then 30; lane 1 sends 5. The first two may meet each
    other and lane 1: (20 + 40 + 5) / 10 s, but the first has a third of the capacity: 6 s. The last may meet lane 1 alone.
    The flow without a lane is alone on capacity 1."""
    flows = Flows.build(
        [10.0, 2.0],
        [20.0, 40.0, 30.0, 5.0, 8.0],
        [[0], [0], [0], [0], [1]],
        delay=[0.0, 0.0, 1.0, 0.0, 0.0],
        label=[0, 0, 1, 0, 0],
    )
    longest = longest_durations(flows, np.array([0, 0, 0, 1, -1]))
    assert longest == pytest.approx([6.0, 6.5, 1 + 3.5, 1.5, 4.0], rel=1e-15)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_flow_takes_longer_than_the_longest(data: st.DataObject) -> None:
    """Whatever the starts, also with fractional coefficients on several capacities."""
    count, capacities = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    used = [data.draw(st.lists(st.integers(0, capacities - 1), min_size=1, max_size=3, unique=True)) for _ in range(count)]
    flows = Flows.build(
        [float(data.draw(st.integers(1, 9))) for _ in range(capacities)],
        [float(data.draw(st.integers(1, 50))) for _ in range(count)],
        used,
        coefficients=[[data.draw(st.sampled_from([0.5, 1.0, 2.0])) for _ in route] for route in used],
        delay=[float(data.draw(st.integers(0, 3))) for _ in range(count)],
    )
    longest = longest_durations(flows, np.full(count, -1))
    outcome = solve(replace(flows, start=np.array([float(data.draw(st.integers(0, 60))) for _ in range(count)])))
    assert (outcome.duration <= longest * (1 + 1e-12)).all()
