"""The engine against the independent reference on a thousand random instances, in every mode."""

import math

import numpy as np
import pytest

from fabric.engine import Engine, expand, quotient, refine, solve
from fabric.engine import kernel as functions
from tests import reference
from tests.engine.instances import flows_of, random_instance

BLOCK = 50
SEEDS = [range(first, first + BLOCK) for first in range(0, 1000, BLOCK)]
METHODS = ["hybrid", "full", "repair"]
# Both sides work on the same doubles; the engine rounds each sum and division, the reference nothing.
ROUNDING = 1e-12


def finishes(run):
    return np.array([math.nan if value is None else float(value) for value in run.finish])


def worst_error(outcome, run):
    """Largest relative error of a finish; inf if another set of flows finished."""
    exact = finishes(run)
    if not np.array_equal(np.isnan(exact), np.isnan(outcome.finish)):
        return math.inf
    done = ~np.isnan(exact) & (exact != outcome.finish)
    return float(np.max(np.abs(outcome.finish - exact)[done] / exact[done], initial=0.0))


def check_capacities(outcome, run):
    """Bytes, and where all flows finished busy times, to rounding."""
    np.testing.assert_allclose(outcome.carried, [float(value) for value in run.carried], rtol=1e-12, atol=1e-12)
    if None not in run.finish:
        np.testing.assert_allclose(outcome.busy, [float(value) for value in run.busy], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_random_instances(seeds):
    """Every finish, and the bytes and the busy time of every capacity, in every mode; certified fair in every epoch where
    plain Python runs, whose rates the compiled kernel repeats."""
    for seed in seeds:
        instance = random_instance(seed)
        flows, run = flows_of(instance), reference.run(instance)
        for method in METHODS:
            for kernel in ("python", "numba"):
                outcome = solve(flows, kernel=kernel, method=method, verify=kernel == "python")
                assert worst_error(outcome, run) <= ROUNDING, f"seed {seed}, {kernel}, {method}"
                check_capacities(outcome, run)
        classes = refine(flows)
        assert classes is not None
        outcome = expand(solve(quotient(flows, classes), kernel="python"), classes, flows)
        assert worst_error(outcome, run) <= ROUNDING, f"seed {seed}, quotient"


@pytest.mark.parametrize("seed", range(60))
def test_the_same_kernel_on_fractions_is_exact(seed):
    instance = random_instance(seed)
    run, engine = reference.run(instance), Engine(flows_of(instance), kernel="exact")
    engine.advance()
    state = engine._columns
    died = [base + offset if not isinstance(offset, float) else None for base, offset in zip(state.died_base, state.died)]
    assert died == run.finish
    if not instance.events:
        assert engine.outcome().epochs <= run.epochs


@pytest.mark.parametrize("budget", [0, 1])
def test_a_sweep_may_be_given_up_anywhere(monkeypatch, budget):
    monkeypatch.setattr(functions, "BUDGET", budget)
    for seed in range(100):
        instance = random_instance(seed)
        assert worst_error(solve(flows_of(instance), kernel="python", verify=True), reference.run(instance)) <= ROUNDING


def test_every_epoch_of_a_tolerant_run_is_certified():
    for seed in range(80):
        solve(flows_of(random_instance(seed)), kernel="python", tolerance=0.05, verify=True)
