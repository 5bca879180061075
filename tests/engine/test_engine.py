"""Small instances with answers written out, stepping, symmetry, and what is refused."""

import math
import signal

import numpy as np
import pytest

from fabric.engine import Engine, Flows, Interrupted, refine, solve
from fabric.engine import engine as running
from fabric.engine.kernel import WORK
from fabric.errors import InputError
from tests.engine.instances import switch


def finish(*args, **options):
    return solve(Flows.build(*args, **options), kernel="python", verify=True).finish.tolist()


def test_two_flows_share_a_capacity():
    assert finish([1.0], [1.0, 2.0], [[0], [0]]) == [2.0, 3.0]


def test_a_long_flow_yields_where_it_must():
    # Parking lot: long at 1/2 with each short; the shorts of 1, 2 and 3 leave at 2 (both halves), then long has 1 -
    # 2/2 = 0 left
    assert finish([1.0, 1.0], [1.0, 1.0, 2.0], [[0, 1], [0], [1]]) == [2.0, 2.0, 3.0]


def test_coefficients_take_more_than_they_carry():
    # Reads twice what it sends: 2 x + y <= 3 with x = y, so both at 1
    assert finish([3.0], [1.0, 1.0], [[0], [0]], coefficients=[[2.0], [1.0]]) == [1.0, 1.0]


def test_a_cap_leaves_the_rest_to_others():
    assert finish([1.0], [0.25, 0.75], [[0], [0]], flow_cap=[0.25, math.inf]) == [1.0, 1.0]


def test_waits_delays_and_nothing_to_send():
    # 1 s on the capacity, then an empty flow delayed by 0.5 s, then one without a route after 0.25 s more
    assert finish([1.0], [1.0, 0.0, 5.0], [[0], [0], []], waits=[[], [0], [1]], delay=[0, 0.5, 0.25]) == [
        1.0,
        1.5,
        1.75,
    ]


def test_a_capacity_that_goes_and_comes_back():
    assert finish([1.0], [2.0], [[0]], events=[(1.0, 0, 0.0), (5.0, 0, 0.5)]) == [7.0]


def test_a_dead_capacity_is_full_though_rounding_leaves_something():
    # 3.3 - 0.1 - 0.7 - 0.9 + 0.1 + 0.7 + 0.9 is more than 3.3 in floats: what that leaves of 3.3 - 3.3 is no bandwidth.
    # Capacity 3 dies last, at 2 s, when all that crosses it stands still already; it comes back at 5 s, the rest at 4 s
    dead = [(1.0, k, 0.0) for k in range(3)] + [(2.0, 3, 0.0)]
    back = [(4.0, k, limit) for k, limit in enumerate((0.1, 0.7, 0.9))] + [(5.0, 3, 3.3)]
    flows = Flows.build([0.1, 0.7, 0.9, 3.3], [0.2, 1.4, 1.8], [[0, 3], [1, 3], [2, 3]], events=dead + back)
    outcome = solve(flows, kernel="python", verify=True)
    np.testing.assert_allclose(outcome.finish, 1 + 1 + 4)  # 1 s of sending before, 1 s after 5 s
    assert outcome.full[3] == pytest.approx(5 - 2, rel=1e-12)


def test_a_small_flow_beside_a_large_one_at_a_late_hour():
    # The large one has sent three million bytes when the small one comes: half of the capacity for 0.001 bytes. Others,
    # elsewhere, keep the clock's base moving, so that time itself has all its digits
    flows = Flows.build(
        [3.0, 1.0],
        [1e15, 0.001, *[0.05] * 16],
        [[0], [0], *[[1]] * 16],
        start=[0.0, 1e6 + 2, *(1e6 + 0.125 * np.arange(16))],
    )
    outcome = solve(flows, kernel="python", method="repair")
    assert outcome.duration[1] == pytest.approx(0.001 / 1.5, rel=1e-12)


def test_repeats_are_leapt_over():
    flows = Flows.build([1.0, 1.0], [1.0, 1.0], [[0], [1]], delay=0.5, repeat=1_000_000)
    engine = Engine(flows, kernel="python")
    engine.advance()
    outcome = engine.outcome()
    assert outcome.finish.tolist() == [1.5e6, 1.5e6]
    assert outcome.epochs == 1_000_000
    assert outcome.carried.tolist() == [1e6, 1e6]
    assert outcome.busy.tolist() == [1e6, 1e6]
    assert outcome.full.tolist() == [1e6, 1e6]


def test_repeats_meet_an_event_between():
    # 1 s sending, 0.5 s delay; at 100 s (66 rounds done at 99 s, 0.5 s of sending) the capacity doubles: 3.5 bytes
    # and 3 delays left
    flows = Flows.build([1.0], [1.0], [[0]], delay=0.5, repeat=70, events=[(100.0, 0, 2.0)])
    assert solve(flows, kernel="python").finish[0] == pytest.approx(100 + 3.5 / 2 + 3 * 0.5, rel=1e-12)


def test_the_sweep_looks_at_less_than_filling():
    rng = np.random.default_rng(3)
    routes = [rng.choice(200, 3, replace=False).tolist() for _ in range(400)]
    flows = Flows.build(np.ones(200), rng.lognormal(0, 1, 400), routes)
    effort = {}
    for method in ("hybrid", "full"):
        engine = Engine(flows, kernel="python", method=method)
        engine.advance()
        effort[method] = engine._columns.count[WORK]
    assert effort["hybrid"] < effort["full"] / 2


def test_ties_survive_odd_capacities():
    # 143 equal flows on each of 288 capacities of an awkward size: one epoch, one finish
    outcome = solve(switch(144, 1e6, 1e11 / 7), symmetry="off", kernel="python")
    assert outcome.epochs == 1
    assert len(np.unique(outcome.finish)) == 1


def test_a_symmetric_exchange_is_one_flow():
    flows = switch(90, 1e6)
    outcome = solve(flows)
    assert (outcome.classes, outcome.flows, outcome.epochs) == (1, 90 * 89, 1)
    np.testing.assert_allclose(outcome.finish, 89 * 1e6 / 1e9, rtol=1e-15)
    np.testing.assert_allclose(outcome.carried, 89e6)
    np.testing.assert_allclose(outcome.full, outcome.time)


def test_one_slow_capacity_leaves_three_classes():
    # Flows that leave the slow port, flows that enter its machine's other side, and all others: the switch sees 3
    # kinds at most 4
    flows = switch(90, 1e6)
    slow = flows.capacity.copy()
    slow[0] /= 2
    classes = refine(Flows.build(slow, flows.bytes, (flows.route_ptr, flows.route_ids)))
    assert classes is not None
    assert classes.flows <= 4
    outcome = solve(Flows.build(slow, flows.bytes, (flows.route_ptr, flows.route_ids)))
    assert outcome.time == pytest.approx(2 * 89e6 / 1e9, rel=1e-12)


def test_labels_keep_flows_apart():
    flows = Flows.build([1.0], [1.0, 1.0], [[0], [0]], label=[0, 1])
    classes = refine(flows)
    assert classes is not None
    assert classes.flows == 2


def test_advance_stops_where_asked():
    engine = Engine(Flows.build([1.0, 1.0], [1.0, 2.0], [[0], [1]]), watch=[0])
    assert engine.advance(0.5)[0::2] == (0.5, "until")
    progress = engine.advance()
    assert (progress.time, progress.completed.tolist(), progress.state) == (1.0, [0], "watched")
    assert engine.advance().state == "done"
    assert engine.outcome().finish.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("until", [0.4, math.nan])
def test_time_goes_forward_only(until):
    engine = Engine(Flows.build([1.0], [1.0], [[0]]))
    engine.advance(0.5)
    with pytest.raises(InputError, match=f"cannot advance to {until} s: the time is 0.5 s already"):
        engine.advance(until)


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [(1, 1.0, "capacity 1 does not exist"), (-1, 1.0, "does not exist"), (0, math.nan, "set to nan"), (0, -1.0, "set to -1.0")],
)
def test_capacities_that_cannot_be_set(index, value, message):
    with pytest.raises(InputError, match=message):
        Engine(Flows.build([1.0], [1.0], [[0]])).set_capacity(index, value)


def test_only_held_flows_are_released():
    engine = Engine(Flows.build([1.0], [1.0, 1.0], [[0], [0]]), held=[1])
    engine.release([1])
    with pytest.raises(InputError, match="flow 1 is not held"):
        engine.release([1])


def test_held_flows_wait_for_release_and_capacities_for_their_setting():
    engine = Engine(Flows.build([1.0], [1.0, 1.0], [[0], [0]]), held=[1])
    assert engine.advance(4.0).state == "stalled"
    assert engine.time == 4.0
    engine.release([1])
    engine.set_capacity(0, 0.5)
    assert engine.advance().state == "done"
    assert engine.outcome().finish.tolist() == [1.0, 6.0]


@pytest.mark.parametrize("kernel", ["python", "numba"])
def test_what_had_happened_by_an_interruption_is_right(monkeypatch, kernel):
    """A signal in the midst of a run of 240 flows: the finishes by then are those of the whole run, and only they."""
    flows, told = switch(16, np.random.default_rng(3).uniform(1e6, 2e6, 240)), 0

    def press(engine):
        nonlocal told
        told += 1
        if told == 20:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(running, "CHUNK", 0.0)
    monkeypatch.setattr(running, "CHUNK_ENTRIES", 0)
    whole = solve(flows, kernel=kernel)
    with pytest.raises(Interrupted, match="interrupted at") as stop:
        solve(flows, kernel=kernel, progress=press)
    outcome = stop.value.outcome
    done = np.isfinite(outcome.finish)
    assert outcome.partial
    assert 0 < done.sum() < 240
    assert (done == (whole.finish <= outcome.time)).all()
    np.testing.assert_array_equal(outcome.finish[done], whole.finish[done])
    assert outcome.history.times[-1] == outcome.time
    assert outcome.carried[:16].sum() == pytest.approx(outcome.carried[16:].sum(), rel=1e-12)  # sent, received


def test_a_stall_names_flows_and_capacities():
    flows = Flows.build([1.0, 0.0], [1.0, 1.0, 1.0], [[0], [0, 1], [0]], waits=[[], [], [1]])
    outcome = solve(flows)
    assert outcome.finish[0] == 1.0
    assert np.isnan(outcome.finish[1:]).all()
    assert outcome.stalls == ("flow 1 has no bandwidth on capacity 1", "flow 2 waits for flow 1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bytes": [1.0, -1.0]}, r"bytes\[1\] is -1.0"),
        ({"bytes": [1.0, math.nan]}, r"bytes\[1\] is nan"),
        ({"bytes": ["a", "b"]}, "bytes: expected numbers"),
        ({"capacity": [math.inf]}, r"capacity\[0\] is inf"),
        ({"capacity": [-1.0]}, r"capacity\[0\] is -1.0"),
        ({"routes": [[0], [1]]}, r"route_ids\[1\] is 1: expected a capacity 0..0"),
        ({"routes": [[0]]}, "routes: expected 2 lists, one per flow, got 1"),
        ({"coefficients": [[0.0], [1.0]]}, r"route_coef\[0\] is 0.0"),
        ({"delay": [0.0, math.inf]}, r"delay\[1\] is inf"),
        ({"delay": [0.0]}, "delay: expected 2 values"),
        ({"flow_cap": [1.0, 0.0]}, r"flow_cap\[1\] is 0.0"),
        ({"repeat": [0, 1]}, r"repeat\[0\] is 0"),
        ({"waits": [[1], [0]]}, "waits form a cycle: flow 0 waits for flow 1 waits for flow 0"),
        ({"waits": [[], [2]]}, r"wait_ids\[0\] is 2: expected a flow 0..1"),
        ({"events": [(1.0, 3, 1.0)]}, r"event_id\[0\] is 3"),
        ({"events": [(math.nan, 0, 1.0)]}, r"event_time\[0\] is nan"),
    ],
)
def test_refused_with_array_and_index(change, message):
    given = {"capacity": [1.0], "bytes": [1.0, 1.0], "routes": [[0], [0]]} | change
    with pytest.raises(InputError, match=message):
        Flows.build(given.pop("capacity"), given.pop("bytes"), given.pop("routes"), **given)


def test_a_long_cycle_is_found_quickly_and_named_in_short():
    count = 200_000
    waits = (np.arange(count + 1), np.roll(np.arange(count), 1))
    with pytest.raises(InputError, match=r"flow 0 waits for flow 199999 .* flow 199992 .* \.\.\. \(200,000 flows in all\)$"):
        Flows.build([1.0], np.ones(count), waits=waits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "numbra"}, "unknown kernel 'numbra' .did you mean numba"),
        ({"method": "ful"}, "did you mean full"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
        ({"slices": -1}, "slices is -1: expected a count >= 0"),
        ({"watch": [7]}, "watch: flow 7 does not exist"),
    ],
)
def test_options_refused(options, message):
    with pytest.raises(InputError, match=message):
        Engine(Flows.build([1.0], [1.0], [[0]]), **options)


@pytest.mark.parametrize("kernel", ["python", "numba", "exact"])
def test_without_capacities_there_are_delays_alone(kernel):
    flows = Flows.build([], [0.0, 0.0, 5.0], delay=[1.0, 2.0, 3.0], waits=[[], [0], [1]])
    outcome = solve(flows, kernel=kernel)
    assert outcome.finish.tolist() == [1.0, 3.0, 6.0]
    assert outcome.stalls == ()
