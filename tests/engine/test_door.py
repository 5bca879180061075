"""`fabric-sim flows`: raw flows in, finishes out, and every way to be refused."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fabric.engine import engine as running
from fabric.flow_cases import KNOWN, read_case, run_case, write_outcome

from ..conftest import Answer, Command

# Link 0 carries 2 bytes/s, link 1 1 byte/s. Flow 0 takes both, flow 1 link 0: 1 byte/s each. Flow 0 ends its 2 bytes at
# 2.5 s (0.5 s of latency), flow 1 its 3 bytes: 0.25 s alone at 2 (0.25 to 0.5 s), 2 s at 1, 0.25 s at 2. Flow 2 waits for
# flow 0 and then needs 0.25 s of latency and 1 s.
CASE: dict[str, Any] = {
    "link_src": [0, 1],
    "link_dst": [1, 2],
    "link_bw": [2.0, 1.0],
    "link_lat": [0.25, 0.25],
    "flow_src": [0, 0, 1],
    "flow_dst": [2, 1, 2],
    "flow_bytes": [2, 3, 1],
    "flow_start": [0.0, 0.0, 0.0],
    "route_ptr": [0, 2, 3, 4],
    "route_links": [0, 1, 0, 1],
    "dep_ptr": [0, 0, 0, 1],
    "dep_ids": [0],
}
FINISH = [2.5, 2.75, 3.75]


@pytest.fixture
def solve(command: Command) -> Command:
    """Run `fabric-sim flows` on CASE with some arrays changed; None takes one out."""

    def run(*options: str, **changes: Any) -> Answer:
        arrays = {name: np.asarray(value) for name, value in (CASE | changes).items() if value is not None}
        np.savez("case.npz", **arrays)
        return command("flows", "case.npz", "-o", "out.npz", *options)

    return run


def test_finish_bytes_and_busy_time_are_written(solve: Command) -> None:
    answer = solve()
    assert (answer.code, answer.err) == (0, "")
    out = np.load("out.npz")
    np.testing.assert_allclose(out["finish"], FINISH, rtol=1e-12)
    np.testing.assert_allclose(out["link_bytes"], [5.0, 3.0], rtol=1e-12)
    # Link 0 sends from 0.25 s (flow 1) to 2.75 s, link 1 from 0.5 to 2.5 s and from 2.75 to 3.75 s
    np.testing.assert_allclose(out["link_busy"], [2.5, 3.0], rtol=1e-12)
    # Flow 1 alone from 0.25 s, both from 0.5 s, flow 1 alone from 2.5 s; flow 2 from 2.75 s
    np.testing.assert_allclose(out["slice_time"], [0, 0.25, 0.5, 2.5, 2.75, 3.75], rtol=1e-12)
    np.testing.assert_allclose(out["link_load"], [[0, 0], [2, 0], [2, 1], [2, 0], [0, 1]], rtol=1e-12)
    assert not out["partial"]


def test_json_says_what_was_done(solve: Command) -> None:
    facts = json.loads(solve("--json", "--verify").out)
    assert facts["flows"] == facts["finished"] == 3
    assert facts["time_s"] == pytest.approx(3.75, rel=1e-12)
    assert facts["tolerance"] == 0
    assert facts["certificate"] == "checked in every epoch"
    assert facts["wall_s"] > 0
    # Rates change at 0.25, 0.5, 2.5, 2.75 s, and nothing is sent from the last finish on
    assert facts["epochs"] == 4
    assert json.loads(solve("--json").out)["certificate"] == "not checked"


def test_a_tolerance_is_stated(solve: Command) -> None:
    facts = json.loads(solve("--tolerance", "1e-3", "--json").out)
    assert (facts["tolerance"], facts["solution"]) == (1e-3, "exact for bandwidths within 0.001 of those given")
    assert json.loads(solve("--json").out)["solution"] == "exact"
    assert "exact for bandwidths within 0.001 of those given" in solve("--tolerance", "1e-3").out


def test_from_python_in_three_lines(solve: Command) -> None:
    solve()
    flows = read_case("case.npz")
    run = run_case(flows)
    write_outcome("again.npz", run.outcome)
    np.testing.assert_array_equal(np.load("again.npz")["finish"], np.load("out.npz")["finish"])


def test_what_the_documentation_shows_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "flows.md").read_text(), re.DOTALL)
    exec(compile(block, "flows.md", "exec"), {})
    # 1 byte/s each: flow 0 ends at 2 s; flow 1 has 2 bytes/s from then on, flow 2 the other link
    assert capsys.readouterr().out.splitlines()[:3] == ["[2.  2.5 3. ]", "[5. 3.]", "[0.  2.  2.5 3. ]"]


def test_the_documentation_names_every_array(solve: Command) -> None:
    page = (Path(__file__).parents[2] / "docs" / "flows.md").read_text()
    solve()
    assert {*KNOWN, *np.load("out.npz")} <= set(re.findall(r"`(\w+)`", page))


def test_bandwidths_that_change_coefficients_and_caps(solve: Command) -> None:
    # 10 bytes over a link of 4 used twice over, own cap 1.5, nothing from 2 s to 5 s: 3 bytes by 2 s, 7 more at 1.5
    solve(
        link_bw=[4.0], link_lat=[0.0], flow_bytes=[10], flow_start=[0.0], route_ptr=[0, 1], route_links=[0],
        dep_ptr=[0, 0], dep_ids=np.zeros(0, np.int32), route_coef=[2.0], flow_cap=[1.5],
        event_time=[2.0, 5.0], event_link=[0, 0], event_bw=[0.0, 4.0],
    )  # fmt: skip
    assert np.load("out.npz")["finish"][0] == pytest.approx(5 + 7 / 1.5, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow_bytes": [2, -3, 1]}, "flow_bytes[1] is -3.0: expected a finite number >= 0"),
        ({"flow_bytes": [2.0, 3.0, np.nan]}, "flow_bytes[2] is nan"),
        ({"flow_bytes": ["a", "b", "c"]}, "flow_bytes: expected numbers"),
        ({"link_bw": [2.0, np.inf]}, "link_bw[1] is inf"),
        ({"link_bw": [[2.0, 1.0]], "link_lat": [[0.0, 0.0]]}, "link_bw: expected one row of numbers"),
        ({"link_lat": [0.25]}, "link_lat: expected 2 times, one per link"),
        ({"link_lat": [0.25, -1.0]}, "link_lat[1] is -1.0"),
        ({"link_lat": ["a", "b"]}, "link_lat: expected numbers, got values of type <U1"),
        ({"link_lat": np.array([0.25, 0.25], np.longdouble) * -1}, "link_lat[0] is -0.25"),
        ({"link_lat": [1e308, 1e308]}, "delay[0] is inf: expected a finite sum of the latencies of its route"),
        ({"flow_start": [0.0, -1.0, 0.0]}, "flow_start[1] is -1.0"),
        ({"flow_start": [0.0]}, "flow_start: expected 3 values, one per flow, got 1"),
        ({"route_links": [0, 1, 7, 1]}, "route_links[2] is 7: expected a link 0..1"),
        ({"route_links": [0, 1, -1, 1]}, "route_links[2] is -1"),
        (
            {"route_links": np.array([0, 1, 2**63, 1], np.uint64)},
            "route_links[2] is 9223372036854775808: expected a whole number",
        ),
        ({"route_links": [0.0, 1.0, 0.0, 1.0]}, "route_links: expected whole numbers, got values of type float64"),
        ({"route_ptr": [0, 2, 1, 4]}, "route_ptr[2] is 1: expected ascending pointers"),
        ({"route_ptr": [0, 2, 3, 5]}, "route_ptr[3] is 5: expected 4, as many as there are indices"),
        ({"route_ptr": [1, 2, 3, 4]}, "route_ptr[0] is 1: expected 0"),
        ({"route_ptr": [0, 2, 4]}, "route_ptr: expected 4 values, one more than there are flows, got 3"),
        ({"dep_ptr": [0, 0, 0, 2]}, "dep_ptr[3] is 2: expected 1"),
        ({"flow_bytes": [True, True, True]}, "flow_bytes: expected numbers, got values of type bool"),
        ({"flow_phase": [2**40, 0, 0]}, "flow_phase[0] is 1099511627776: expected a whole number up to 2147483647"),
        ({"dep_ids": [3]}, "dep_ids[0] is 3: expected a flow 0..2"),
        ({"dep_ptr": [0, 1, 2, 3], "dep_ids": [2, 0, 1]}, "flow 0 waits for flow 2 waits for flow 1 waits for flow 0"),
        ({"route_coef": [1.0, 1.0, 0.0, 1.0]}, "route_coef[2] is 0.0"),
        ({"flow_cap": [1.0, 0.0, 1.0]}, "flow_cap[1] is 0.0"),
        ({"event_time": [1.0], "event_link": [9], "event_bw": [1.0]}, "event_link[0] is 9: expected a link 0..1"),
        # Counted as in the file, not in the order of time
        ({"event_time": [2.0, 1.0], "event_link": [2**32, 0], "event_bw": [1.0, 1.0]}, "event_link[0] is 4294967296"),
        ({"event_time": [2.0, 1.0], "event_link": [0, 0], "event_bw": [-1.0, 1.0]}, "event_bw[0] is -1.0"),
        ({"event_time": [1.0]}, "array event_link is missing"),
        ({"dep_ids": None}, "array dep_ids is missing; a case needs link_bw"),
        ({"flow_bytes": [2, None, 1]}, "array flow_bytes cannot be read: Object arrays cannot be loaded"),
    ],
)
def test_a_bad_case_is_refused_in_one_line(solve: Command, changes: dict[str, Any], message: str) -> None:
    answer = solve(**changes)
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.startswith("fabric-sim: case.npz: ")
    assert answer.err.count("\n") == 1
    assert not Path("out.npz").exists()


@pytest.mark.parametrize("keep", [0, 10, 400, -30])
def test_a_file_cut_short_is_refused(command: Command, solve: Command, keep: int) -> None:
    solve()
    Path("cut.npz").write_bytes(Path("case.npz").read_bytes()[:keep])
    answer = command("flows", "cut.npz", "-o", "out.npz")
    assert answer.code == 2
    assert "cut.npz: expected an npz file of flows" in answer.err


def test_damaged_bytes_are_refused_or_do_no_harm(command: Command, solve: Command) -> None:
    """One byte in hundreds changed anywhere in the file: one line and exit 2, or a run; a stall where the damage makes one."""
    solve()
    whole = Path("case.npz").read_bytes()
    rng = np.random.default_rng(7)
    codes = []
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        place = rng.integers(len(damaged), size=rng.integers(1, 9))
        damaged[place] = rng.integers(256, size=len(place))
        Path("damaged.npz").write_bytes(damaged.tobytes())
        answer = command("flows", "damaged.npz", "-o", "damaged_out.npz")
        codes.append(answer.code)
        assert answer.err.count("\n") == (answer.code != 0)
    assert set(codes) <= {0, 1, 2}
    assert codes.count(2) > 50


def test_arrays_that_cannot_fit_into_memory_are_refused_unread(solve: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fabric.flow_cases.free_memory", lambda: 2.0**30)
    assert solve().code == 0
    monkeypatch.setattr("fabric.flow_cases.free_memory", lambda: 100.0)
    answer = solve()
    assert answer.code == 1
    assert "case.npz: its arrays take 0.0 GiB; 0.0 GiB of memory are free" in answer.err


def test_a_pipe_is_written_into_and_not_replaced(command: Command, solve: Command) -> None:
    solve()
    os.mkfifo("pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(Path("pipe").read_bytes)
        assert command("flows", "case.npz", "-o", "pipe").code == 0
        Path("read.npz").write_bytes(read.result(timeout=30))
    assert Path("pipe").is_fifo()
    np.testing.assert_array_equal(np.load("read.npz")["finish"], np.load("out.npz")["finish"])


def test_other_files_and_places_are_refused(command: Command, solve: Command) -> None:
    call = partial(command, "flows")
    Path("text.npz").write_text("flows")
    np.save("array.npy", np.zeros(3))
    assert "no such file" in call("absent.npz", "-o", "out.npz").err
    assert "expected an npz file" in call("text.npz", "-o", "out.npz").err
    assert "expected an npz file of flows, as numpy.savez writes" in call("array.npy", "-o", "out.npz").err
    solve()
    nowhere = call("case.npz", "-o", "nowhere/out.npz")
    assert (nowhere.code, nowhere.err.count("\n")) == (2, 1)
    assert "cannot write nowhere/out.npz" in nowhere.err
    assert call("case.npz", "-o", "out.npz", "--tolerance", "-1").code == 2


def test_a_stall_names_flows_and_links_and_keeps_what_finished(solve: Command) -> None:
    answer = solve(link_bw=[2.0, 0.0])
    assert answer.code == 1
    assert "2 of 3 flows stalled" in answer.err
    assert "flows stalled: flow 0 has no bandwidth on link 1" in answer.err
    assert "flow 2 waits for flow 0" in answer.err
    finish = np.load("out.npz")["finish"]
    assert finish[1] == pytest.approx(0.25 + 3 / 2, rel=1e-12)  # flow 0 takes nothing from it
    assert np.isnan(finish[[0, 2]]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"flow_bytes": [1e308, 3, 1], "link_bw": [1e-5, 1e-5]},  # 1e313 s
        {"link_bw": [5e-324, 1.0]},  # half of it is nothing
        {"link_lat": [1e308, 0.0], "flow_start": [1e308, 0.0, 0.0]},  # begins at 2e308 s
    ],
)
def test_a_time_that_no_number_holds_is_a_stall(solve: Command, changes: dict[str, Any]) -> None:
    answer = solve(**changes)
    assert answer.code == 1
    assert "flow 0 would end later than a number can tell" in answer.err
    assert np.isnan(np.load("out.npz")["finish"][0])


def test_ctrl_c_leaves_a_partial_result(solve: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def press(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if np.count_nonzero(np.isfinite(arguments[1].died)) == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    monkeypatch.setattr(running, "certify", press)
    answer = solve("--verify")
    assert answer.code == 130
    assert "out.npz holds what had happened by then, marked as partial" in answer.err
    out = np.load("out.npz")
    assert out["partial"]
    assert "3 flows (2 of them finished)" in answer.out
    assert out["slice_time"][-1] == 2.75
    np.testing.assert_allclose(out["finish"], [2.5, 2.75, np.nan], rtol=1e-12)
    assert calls > 1
