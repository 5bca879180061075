"""The engine against the independent reference on random instances, in every mode."""

import math

import numpy as np
import pytest

from fabric.engine import Engine, expand, quotient, refine, solve
from tests import reference
from tests.engine.instances import flows_of, random_instance

SEEDS = [*range(240), 359, 603, 611, 940]
MODES = [
    ("python", "hybrid"),
    ("python", "full"),
    ("python", "repair"),
    ("numba", "hybrid"),
    ("numba", "full"),
    ("numba", "repair"),
]
# Both sides work on the same doubles; the engine rounds each sum and division, the reference nothing.
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def truth():
    instances = [random_instance(seed) for seed in SEEDS]
    return [(flows_of(instance), reference.run(instance)) for instance in instances]


def worst_error(outcome, run):
    """Largest relative error of a finish; inf if another set of flows finished."""
    exact = np.array([math.nan if value is None else float(value) for value in run.finish])
    if not np.array_equal(np.isnan(exact), np.isnan(outcome.finish)):
        return math.inf
    done = ~np.isnan(exact) & (exact != outcome.finish)
    return float(np.max(np.abs(outcome.finish - exact)[done] / exact[done], initial=0.0))


@pytest.mark.parametrize(("kernel", "method"), MODES)
def test_every_finish_of_random_instances(truth, kernel, method):
    errors = [worst_error(solve(flows, kernel=kernel, method=method), run) for flows, run in truth]
    assert max(errors) <= ROUNDING, f"seed {int(np.argmax(errors))}"


def test_the_same_kernel_on_fractions_is_exact(truth):
    for flows, run in truth[:60]:
        engine = Engine(flows, kernel="exact")
        engine.advance()
        state = engine._columns
        died = [base + offset if not isinstance(offset, float) else None for base, offset in zip(state.died_base, state.died)]
        assert died == run.finish


@pytest.mark.parametrize("method", ["hybrid", "full", "repair"])
def test_every_epoch_is_certified(truth, method):
    for flows, _ in truth[:80]:
        solve(flows, kernel="python", method=method, verify=True)


def test_bytes_and_busy_time_of_every_capacity(truth):
    for flows, run in truth:
        outcome = solve(flows, kernel="python")
        np.testing.assert_allclose(outcome.carried, [float(value) for value in run.carried], rtol=1e-12, atol=1e-12)
        if None not in run.finish:
            np.testing.assert_allclose(outcome.busy, [float(value) for value in run.busy], rtol=1e-12, atol=1e-12)


def test_as_many_epochs_as_intervals_of_constant_rates(truth):
    for flows, run in truth:
        if len(flows.event_time) == 0:
            assert solve(flows, kernel="exact").epochs <= run.epochs


def test_the_quotient_is_the_whole(truth):
    for flows, run in truth:
        classes = refine(flows)
        assert classes is not None
        outcome = expand(solve(quotient(flows, classes), kernel="python"), classes, flows)
        assert worst_error(outcome, run) <= ROUNDING
