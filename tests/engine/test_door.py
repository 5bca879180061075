"""`fabric-sim flows`: raw flows in, finishes out, and every way to be refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from fabric.cli import main
from fabric.engine import engine as running
from fabric.flow_cases import read_case, run_case, write_outcome

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


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Answer]:
    """Run `fabric-sim flows` on CASE with some arrays changed; None takes one out."""
    monkeypatch.chdir(tmp_path)

    def run(*options: str, **changes: Any) -> Answer:
        arrays = {name: np.asarray(value) for name, value in (CASE | changes).items() if value is not None}
        np.savez("case.npz", **arrays)
        return call("case.npz", "-o", "out.npz", *options)

    def call(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["fabric-sim", "flows", *arguments])
        code = main()
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    run.call = call  # type: ignore[attr-defined]
    return run


def test_finish_bytes_and_busy_time_are_written(command: Callable[..., Answer]) -> None:
    answer = command()
    assert (answer.code, answer.err) == (0, "")
    out = np.load("out.npz")
    np.testing.assert_allclose(out["finish"], FINISH, rtol=1e-12)
    np.testing.assert_allclose(out["link_bytes"], [5.0, 3.0], rtol=1e-12)
    # Link 0 sends from 0.25 s (flow 1) to 2.75 s, link 1 from 0.5 to 2.5 s and from 2.75 to 3.75 s
    np.testing.assert_allclose(out["link_busy"], [2.5, 3.0], rtol=1e-12)
    assert not out["partial"]


def test_json_says_what_was_done(command: Callable[..., Answer]) -> None:
    facts = json.loads(command("--json", "--verify").out)
    assert facts["flows"] == facts["finished"] == 3
    assert facts["time_s"] == pytest.approx(3.75, rel=1e-12)
    assert facts["tolerance"] == 0
    assert facts["certificate"] == "checked in every epoch"
    assert facts["wall_s"] > 0
    # Rates change at 0.25, 0.5, 2.5, 2.75 s, and nothing is sent from the last finish on
    assert facts["epochs"] == 4
    assert json.loads(command("--json").out)["certificate"] == "not checked"


def test_a_tolerance_is_stated(command: Callable[..., Answer]) -> None:
    assert json.loads(command("--tolerance", "1e-3", "--json").out)["tolerance"] == 1e-3
    assert "exact for bandwidths within 0.001 of those given" in command("--tolerance", "1e-3").out


def test_from_python_in_three_lines(command: Callable[..., Answer]) -> None:
    command()
    flows = read_case("case.npz")
    run = run_case(flows)
    write_outcome("again.npz", run.outcome)
    np.testing.assert_array_equal(np.load("again.npz")["finish"], np.load("out.npz")["finish"])


def test_bandwidths_that_change_coefficients_and_caps(command: Callable[..., Answer]) -> None:
    # 10 bytes over a link of 4 used twice over, own cap 1.5, nothing from 2 s to 5 s: 3 bytes by 2 s, 7 more at 1.5
    command(
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
        ({"link_lat": ["a", "b"]}, "link_lat: expected 2 times"),
        ({"flow_start": [0.0, -1.0, 0.0]}, "flow_start[1] is -1.0"),
        ({"flow_start": [0.0]}, "flow_start: expected 3 values, one per flow, got 1"),
        ({"route_links": [0, 1, 7, 1]}, "route_links[2] is 7: expected a link 0..1"),
        ({"route_links": [0, 1, -1, 1]}, "route_links[2] is -1"),
        ({"route_ptr": [0, 2, 1, 4]}, "route_links: expected 4 ascending pointers from 0 to 4"),
        ({"route_ptr": [0, 2, 3, 5]}, "route_links: expected 4 ascending pointers"),
        ({"dep_ids": [3]}, "dep_ids[0] is 3: expected a flow 0..2"),
        ({"dep_ptr": [0, 1, 2, 3], "dep_ids": [2, 0, 1]}, "flow 0 waits for flow 2 waits for flow 1 waits for flow 0"),
        ({"route_coef": [1.0, 1.0, 0.0, 1.0]}, "route_coef[2] is 0.0"),
        ({"flow_cap": [1.0, 0.0, 1.0]}, "flow_cap[1] is 0.0"),
        ({"event_time": [1.0], "event_link": [9], "event_bw": [1.0]}, "event_link[0] is 9: expected a link 0..1"),
        ({"event_time": [1.0]}, "array event_link is missing"),
        ({"dep_ids": None}, "array dep_ids is missing; a case needs link_bw"),
        ({"flow_bytes": [2, None, 1]}, "expected an npz file of flows"),
    ],
)
def test_a_bad_case_is_refused_in_one_line(command: Callable[..., Answer], changes: dict[str, Any], message: str) -> None:
    answer = command(**changes)
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.startswith("fabric-sim: case.npz: ")
    assert answer.err.count("\n") == 1
    assert not Path("out.npz").exists()


@pytest.mark.parametrize("keep", [0, 10, 400, -30])
def test_a_file_cut_short_is_refused(command: Callable[..., Answer], keep: int) -> None:
    command()
    Path("cut.npz").write_bytes(Path("case.npz").read_bytes()[:keep])
    answer = command.call("cut.npz", "-o", "out.npz")  # type: ignore[attr-defined]
    assert answer.code == 2
    assert "cut.npz: expected an npz file of flows" in answer.err


def test_other_files_and_places_are_refused(command: Callable[..., Answer]) -> None:
    call = command.call  # type: ignore[attr-defined]
    Path("text.npz").write_text("flows")
    np.save("array.npy", np.zeros(3))
    assert "no such file" in call("absent.npz", "-o", "out.npz").err
    assert "expected an npz file" in call("text.npz", "-o", "out.npz").err
    assert "expected an npz file" in call("array.npy", "-o", "out.npz").err
    command()
    nowhere = call("case.npz", "-o", "nowhere/out.npz")
    assert (nowhere.code, nowhere.err.count("\n")) == (2, 1)
    assert "cannot write nowhere/out.npz" in nowhere.err
    assert call("case.npz", "-o", "out.npz", "--tolerance", "-1").code == 2


def test_a_stall_names_flows_and_links_and_keeps_what_finished(command: Callable[..., Answer]) -> None:
    answer = command(link_bw=[2.0, 0.0])
    assert answer.code == 1
    assert "2 of 3 flows stalled" in answer.err
    assert "flow 0 has no bandwidth on capacity 1" in answer.err
    assert "flow 2 waits for flow 0" in answer.err
    finish = np.load("out.npz")["finish"]
    assert finish[1] == pytest.approx(0.25 + 3 / 2, rel=1e-12)  # flow 0 takes nothing from it
    assert np.isnan(finish[[0, 2]]).all()


def test_ctrl_c_leaves_a_partial_result(command: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def press(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if np.count_nonzero(np.isfinite(arguments[1].died)) == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    monkeypatch.setattr(running, "certify", press)
    answer = command("--verify")
    assert answer.code == 130
    assert "out.npz holds what had happened by then, marked as partial" in answer.err
    out = np.load("out.npz")
    assert out["partial"]
    np.testing.assert_allclose(out["finish"], [2.5, 2.75, np.nan], rtol=1e-12)
    assert calls > 1
