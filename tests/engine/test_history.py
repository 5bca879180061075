"""What the capacities carry over time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.engine import Engine, Flows, expand, quotient, refine, solve
from tests import reference
from tests.engine.instances import flows_of, random_instance, switch

KERNELS = ["python", "numba", "exact"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_loads_between_changes(kernel):
    # Capacity 0 (2 bytes/s) is shared by flows of 1 and 3 bytes until 1 s and is then one's alone until 2 s; a second later
    # a flow that takes two of its bytes for each of its own has it until 5 s, with 0.5 from 4 s on
    flows = Flows.build(
        [2.0, 8.0],
        [1.0, 3.0, 1.25],
        [[0], [0], [0, 1]],
        coefficients=[[1.0], [1.0], [2.0, 1.0]],
        delay=[0.0, 0.0, 1.0],
        waits=[[], [], [1]],
        events=[(4.0, 0, 0.5)],
    )
    history = solve(flows, kernel=kernel).history
    np.testing.assert_allclose(history.times, [0, 1, 2, 3, 4, 5], rtol=1e-15)
    np.testing.assert_allclose(history.loads.T, [[2, 2, 0, 2, 0.5], [0, 0, 0, 1, 0.25]], rtol=1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_slice_of_many_epochs_has_their_mean(kernel):
    # 1 s of sending 2 bytes and 0.5 s of delay, a hundred times, with an end in the middle of a round
    flows = Flows.build([2.0], [2.0], [[0]], delay=0.5, repeat=100)
    engine = Engine(flows, kernel=kernel)
    engine.advance(75.0)
    half = engine.outcome().history
    assert half.times[-1] == 75.0
    assert half.carried[-1, 0] == pytest.approx(100.0, rel=1e-12)
    engine.advance()
    whole = engine.outcome().history
    assert whole.times[-1] == 150.0
    assert whole.loads[:, 0] @ np.diff(whole.since) == pytest.approx(200.0, rel=1e-12)


def test_few_slices_of_many_changes():
    flows = switch(8, np.random.default_rng(3).uniform(1e6, 2e6, 56))
    fine, coarse = (solve(flows, slices=slices, kernel="python").history for slices in (1000, 4))
    assert len(fine.since) > 8
    assert 3 <= len(coarse.since) <= 6
    np.testing.assert_array_equal(coarse.carried[-1], fine.carried[-1])


def test_samples_cost_a_small_share_of_the_work():
    flows = switch(24, np.random.default_rng(3).uniform(1e6, 2e6, 24 * 23))
    engine = Engine(flows, kernel="python", slices=10**9)
    engine.advance()
    visits = len(engine.outcome().history.since) * len(flows.capacity)
    assert visits < 8 * (len(flows.route_ids) + len(flows.capacity)) + engine._columns.count[15] / 16


def test_none_where_none_is_wanted():
    assert solve(switch(3, 1.0), slices=0).history is None


@settings(max_examples=40, deadline=None)
@given(st.integers(10_000, 99_999), st.integers(2, 70), st.sampled_from(["python", "exact"]))
def test_slices_add_up_to_what_was_carried(seed, slices, kernel):
    flows = flows_of(random_instance(seed))
    outcome = solve(flows, slices=slices, kernel=kernel, symmetry="off")
    history = outcome.history
    np.testing.assert_allclose(np.diff(history.since) @ history.loads, outcome.carried, rtol=1e-12, atol=1e-12)
    assert np.all(history.loads >= 0)
    if len(flows.event_time) == 0:
        assert np.all(history.loads <= flows.capacity * (1 + 1e-5))  # differences of sums: the shorter the slice, the worse


@pytest.mark.parametrize("slices", [3, 1000])
@pytest.mark.parametrize("seed", range(20))
def test_loads_are_those_of_the_reference(seed, slices):
    """Up to any time as much is carried as the reference carries until then, when all of its capacities go to zero."""
    instance = random_instance(seed)
    history = solve(flows_of(instance), kernel="python", slices=slices).history
    for place in {len(history.since) // 3, 2 * len(history.since) // 3, len(history.since) - 1}:
        time = history.times[place]
        events = [event for event in instance.events if event[0] < time]
        events += [(time, capacity, 0.0) for capacity in range(len(instance.capacity))]
        run = reference.run(replace(instance, events=events))
        np.testing.assert_allclose(history.carried[place], [float(value) for value in run.carried], rtol=1e-9, atol=1e-9)


def test_classes_share_a_history():
    flows = switch(6, 1e6)
    slow = flows.capacity.copy()
    slow[0] /= 2
    flows = Flows.build(slow, flows.bytes, (flows.route_ptr, flows.route_ids))
    classes = refine(flows)
    one, other = solve(flows, symmetry="off").history, expand(solve(quotient(flows, classes)), classes, flows).history
    np.testing.assert_allclose(one.times, other.times, rtol=1e-12)
    np.testing.assert_allclose(one.loads, other.loads, rtol=1e-12)


def test_a_late_start_costs_no_digits():
    flows = switch(4, np.random.default_rng(1).uniform(1e3, 1e5, 12))
    early, late = solve(flows).history, solve(flows.starting(1e6)).history
    assert late.start == 1e6
    np.testing.assert_allclose(late.since, early.since, rtol=1e-12)
