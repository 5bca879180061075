"""What must hold for any flows at all."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabric.engine import Classes, Engine, Flows, expand, quotient, refine, solve, state
from fabric.engine.kernel import BASE, DONE, NOW, PAUSED, SENDING, WORK
from fabric.engine.symmetry import equitable
from tests.engine.instances import flows_of, random_instance, switch
from tests.reference import max_min

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(10_000, 99_999)


def run(flows, **options):
    return solve(flows, kernel="python", **options)


@quick
@given(seeds)
def test_bytes_are_conserved_and_no_capacity_is_exceeded(seed):
    flows = flows_of(random_instance(seed))
    outcome = run(flows, verify=True)
    done = np.isfinite(outcome.finish)
    if done.all():
        entries = np.repeat(flows.bytes * flows.repeat, np.diff(flows.route_ptr)) * flows.route_coef
        np.testing.assert_allclose(outcome.carried, np.bincount(flows.route_ids, entries, len(flows.capacity)), rtol=1e-12)
    assert np.all(outcome.full <= outcome.busy + 1e-12)
    if len(flows.event_time) == 0:
        assert np.all(outcome.carried <= flows.capacity * outcome.busy * (1 + 1e-12) + 1e-12)


@quick
@given(seeds)
def test_what_rates_carry_over_time_is_what_was_to_be_sent(seed):
    """Rates times durations, added up from change to change, are the bytes of the flows on every capacity."""
    flows = flows_of(random_instance(seed))
    flows = dataclasses.replace(flows, repeat=np.ones_like(flows.repeat))  # alike rounds are leapt over
    engine, area, load, last = Engine(flows, kernel="python", slices=0), np.zeros(len(flows.capacity)), 0.0, 0.0
    code = engine._step(np.inf, 0)
    while code == PAUSED:
        columns = engine._columns
        now = columns.clock[NOW] + columns.clock[BASE]
        area, last = area + load * (now - last), now
        rate = state.rates(columns)
        load = np.bincount(flows.route_ids, np.repeat(rate, np.diff(flows.route_ptr)) * flows.route_coef, len(area))
        code = engine._step(np.inf, 1)
    outcome = engine.outcome()
    area += load * (outcome.time - last) if code == DONE else 0.0
    np.testing.assert_allclose(area, outcome.carried, rtol=1e-12, atol=1e-12)
    if code == DONE:
        sent = np.repeat(flows.bytes, np.diff(flows.route_ptr)) * flows.route_coef
        np.testing.assert_allclose(area, np.bincount(flows.route_ids, sent, len(area)), rtol=1e-12, atol=1e-12)


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


@quick
@given(seeds, st.data())
def test_classes_that_are_not_alike_are_found_out(seed, data):
    """Two classes taken for one: of flows that differ in their numbers, their capacities or their waits, or of capacities."""
    flows = doubled(flows_of(random_instance(seed)))
    right = refine(flows)
    assert right is not None
    assert equitable(flows, right)
    kind = data.draw(st.sampled_from(["flow", "capacity"]))
    numbers = getattr(right, kind)
    first, second = data.draw(st.lists(st.integers(0, numbers.max()), min_size=2, max_size=2))
    wrong = np.where(numbers == second, first, numbers)
    _, member, wrong = np.unique(wrong, return_index=True, return_inverse=True)
    merged = dataclasses.replace(right, **{kind: wrong.astype(np.int32), f"{kind}_member": member})
    assert equitable(flows, merged) == (first == second)


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({}, True),
        ({"waits": [[2], [2], []]}, True),
        ({"waits": [[2], [], []]}, False),
        ({"events": [(1.0, 0, 2.0), (1.0, 1, 2.0)]}, True),
        ({"events": [(1.0, 0, 2.0), (1.5, 1, 2.0)]}, False),
        ({"events": [(1.0, 0, 2.0)]}, False),
        ({"coefficients": [[2.0], [1.0], [1.0]]}, False),
        ({"delay": [0.5, 0.0, 0.0]}, False),
        ({"flow_cap": [0.5, 1.0, 1.0]}, False),
        ({"repeat": [2, 1, 1]}, False),
    ],
)
def test_what_sets_two_flows_apart(change, alike):
    flows = Flows.build([1.0, 1.0, 3.0], [1.0, 1.0, 2.0], [[0], [1], [2]], **change)
    pair = np.array([0, 0, 1], np.int32)
    assert equitable(flows, Classes(pair, pair, np.array([0, 2]), np.array([0, 2]))) == alike
    assert refine(flows).flows == (2 if alike else 3)


def test_hashes_that_collide_do_no_harm(monkeypatch):
    flows = switch(6, np.arange(1.0, 31.0))
    assert refine(flows).flows == 30
    monkeypatch.setattr("fabric.engine.symmetry._mix", lambda values: values & np.uint64(3))
    assert refine(flows) is None


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


@quick
@given(seeds, st.sampled_from([0.1, 1e-2, 1e-3]), st.floats(0.01, 0.99))
def test_a_tolerance_is_the_exact_answer_for_capacities_that_near(seed, tolerance, part):
    """At any time: give every capacity that holds flows back exactly what it carries, which is within the tolerance of what
    it has; the fair rates of those capacities, by the independent reference, are the rates of the engine."""
    flows = switch(5, np.random.default_rng(seed).lognormal(10, 1, 20))
    engine = Engine(flows, kernel="python", tolerance=tolerance)
    engine.advance(part * run(flows).time)
    columns = engine._columns
    sending = [f for f in range(20) if columns.phase[f] == SENDING]
    load = np.zeros(len(flows.capacity))
    for f in sending:
        load[flows.routes[f]] += state.rates(columns)[f]
    holding = np.isfinite(columns.level)
    assert np.all(np.abs(load - flows.capacity)[holding] <= tolerance * flows.capacity[holding] * (1 + 1e-9))
    assert np.all(load <= flows.capacity * (1 + tolerance) * (1 + 1e-9))
    changed = [Fraction(value) for value in np.where(holding, load, np.maximum(load, flows.capacity))]
    rates = max_min(changed, {f: dict.fromkeys(flows.routes[f], Fraction(1)) for f in sending}, dict.fromkeys(sending))
    assert [state.rates(columns)[f] for f in sending] == pytest.approx([float(rates[f]) for f in sending], rel=1e-9)


def test_a_tolerance_saves_work():
    engines = [Engine(switch(12, np.random.default_rng(5).lognormal(10, 1, 132)), tolerance=value) for value in (0.0, 0.1)]
    for engine in engines:
        engine.advance()
    exact, near = (int(engine._columns.count[WORK]) for engine in engines)
    assert near < exact / 2


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
