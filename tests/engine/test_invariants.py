"""What must hold for any flows at all."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabric.engine import Engine, Flows, expand, quotient, refine, solve
from tests.engine.instances import flows_of, random_instance, switch

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(10_000, 99_999)


def run(flows, **options):
    return solve(flows, kernel="python", **options)


@quick
@given(seeds)
def test_bytes_are_conserved_and_no_capacity_is_exceeded(seed):
    flows = flows_of(random_instance(seed))
    outcome = run(flows, verify=True, record=True)
    done = np.isfinite(outcome.finish)
    if done.all():
        entries = np.repeat(flows.bytes * flows.repeat, np.diff(flows.route_ptr)) * flows.route_coef
        np.testing.assert_allclose(outcome.carried, np.bincount(flows.route_ids, entries, len(flows.capacity)), rtol=1e-12)
        history = outcome.history
        for capacity in range(len(flows.capacity)):
            area = np.dot(history.loads(capacity), np.diff(history.times))
            assert area == pytest.approx(outcome.carried[capacity], rel=1e-9, abs=1e-9)
    assert np.all(outcome.full <= outcome.busy + 1e-12)
    if len(flows.event_time) == 0:
        assert np.all(outcome.carried <= flows.capacity * outcome.busy * (1 + 1e-12) + 1e-12)


@quick
@given(seeds, st.randoms(use_true_random=False))
def test_order_of_flows_and_capacities_means_nothing(seed, random):
    flows = flows_of(random_instance(seed))
    flow_at, capacity_at = list(range(len(flows.bytes))), list(range(len(flows.capacity)))
    random.shuffle(flow_at)
    random.shuffle(capacity_at)
    flow_to, capacity_to = np.argsort(flow_at), np.argsort(capacity_at)
    coefficients = np.split(flows.route_coef, flows.route_ptr[1:-1])
    waits = np.split(flows.wait_ids, flows.wait_ptr[1:-1])
    shuffled = Flows.build(
        flows.capacity[capacity_at],
        flows.bytes[flow_at],
        [[int(capacity_to[k]) for k in flows.routes[f]] for f in flow_at],
        coefficients=[coefficients[f].tolist() for f in flow_at],
        delay=flows.delay[flow_at],
        start=flows.start[flow_at],
        waits=[[int(flow_to[w]) for w in waits[f]] for f in flow_at],
        flow_cap=flows.flow_cap[flow_at],
        repeat=flows.repeat[flow_at],
        events=(flows.event_time, capacity_to[flows.event_id], flows.event_capacity) if len(flows.event_time) else (),
    )
    one, other = run(flows), run(shuffled)
    np.testing.assert_allclose(other.finish, one.finish[flow_at], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(other.busy, one.busy[capacity_at], rtol=1e-12, atol=1e-12)


@quick
@given(seeds)
def test_a_late_start_changes_no_duration(seed):
    # Starts and events on multiples of 2^-10 s, so that adding 10^6 s is exact and the two instances are truly the same
    flows = flows_of(random_instance(seed))
    flows = dataclasses.replace(
        flows, start=np.round(flows.start * 1024) / 1024, event_time=np.round(flows.event_time * 1024) / 1024
    )
    early, late = run(flows), run(flows.starting(1e6))
    np.testing.assert_allclose(late.duration, early.duration, rtol=1e-12)
    assert late.elapsed == pytest.approx(early.elapsed, rel=1e-12)


def test_a_short_exchange_at_a_late_hour():
    flows = switch(8, np.random.default_rng(1).uniform(1e3, 1e5, 56))
    np.testing.assert_allclose(run(flows.starting(1e6)).duration, run(flows).duration, rtol=1e-12)


@quick
@given(seeds)
def test_the_quotient_equals_the_whole(seed):
    flows = flows_of(random_instance(seed))
    twice = doubled(flows)  # two copies that never meet: at most half the classes
    classes = refine(twice)
    assert classes is not None
    assert classes.flows <= len(flows.bytes)
    assert classes.capacities <= len(flows.capacity)
    one, other = run(twice, symmetry="off"), expand(run(quotient(twice, classes)), classes, twice)
    for name in ("eligible", "begin", "finish", "carried", "busy", "full"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-12, atol=1e-12, err_msg=name)


def doubled(flows):
    count, capacities = len(flows.bytes), len(flows.capacity)
    both = {field.name: np.tile(getattr(flows, field.name), 2) for field in dataclasses.fields(flows)}
    for ptr, ids, size in (
        ("route_ptr", "route_ids", capacities),
        ("wait_ptr", "wait_ids", count),
        (None, "event_id", capacities),
    ):
        both[ids] = np.concatenate([getattr(flows, ids), getattr(flows, ids) + size]).astype(np.int32)
        if ptr:
            both[ptr] = np.concatenate([getattr(flows, ptr), getattr(flows, ptr)[1:] + getattr(flows, ptr)[-1]])
    order = np.argsort(both["event_time"], kind="stable")
    for name in ("event_time", "event_id", "event_capacity"):
        both[name] = both[name][order]
    return Flows(**both)


@pytest.mark.parametrize(("tolerance", "worst"), [(1e-3, 0.02), (1e-6, 2e-5)])
def test_tolerance_is_certified_and_near(tolerance, worst):
    flows = switch(12, np.random.default_rng(5).lognormal(10, 1, 132))
    exact, near = run(flows), run(flows, tolerance=tolerance, verify=True)
    assert near.tolerance == tolerance
    np.testing.assert_allclose(near.finish, exact.finish, rtol=worst)


def test_stepping_changes_nothing():
    flows = switch(6, np.random.default_rng(2).uniform(1e6, 1e7, 30))
    whole, engine = run(flows), Engine(flows, watch=range(0, 30, 3), kernel="python")
    seen, state, until = [], "until", 0.0
    while state != "done":
        until += 3e-3
        state = "watched"
        while state == "watched":
            progress = engine.advance(until)
            state = progress.state
            seen += progress.completed.tolist()
    assert sorted(seen) == list(range(0, 30, 3))
    np.testing.assert_allclose(engine.outcome().finish, whole.finish, rtol=1e-13)
