"""`fabric-sim bound` as a user meets it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from .conftest import Command


@pytest.fixture
def bound(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `fabric-sim bound` with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return partial(command, "bound")


def test_the_binding_bound_comes_first(bound: Command) -> None:
    code, out, _ = bound("--topology", "trn3_gen2", "all_reduce", "--size", "1GiB")
    assert code == 0
    # 286 messages for each element, all chips together send 144 x 704 GB/s.
    assert out.splitlines()[1].split()[:3] == [f"{286 * 2**30 / (144 * 704e9) * 1e3:.3f}", "ms", "injection"]


def test_the_linear_program_on_request(bound: Command) -> None:
    without = {one["name"] for one in json.loads(bound("--topology", "trn2", "all_to_all", "--json")[1])}
    found = json.loads(bound("--topology", "trn2", "all_to_all", "--bound", "lp", "--json")[1])
    assert {one["name"] for one in found} - without == {"concurrent flow"}
    times = {one["name"]: one["time"] for one in found}
    # 256 GB/s for each chip's buffer.
    assert times["concurrent flow"] == pytest.approx(2**30 / 256e9)


def test_every_bound_is_printed(bound: Command) -> None:
    """A cut for each tier and pair of tiers that parts the chips, the binding one first."""
    found = json.loads(bound("--topology", "trn3_gen2", "all_reduce", "--json")[1])
    names = [one["name"] for one in found]
    assert names[0] == "injection"
    assert {"cut rack", "cut cross-rack", "cut sled and rack", "latency"} <= set(names)
    times = {one["name"]: one["time"] for one in found}
    assert sorted(times.values(), reverse=True) == list(times.values())
    # Between the racks: both halves must send all of S over 72 cables of 128 GB/s, in two messages for each element.
    assert times["cut cross-rack"] == pytest.approx(2**30 / (72 * 128e9))


def test_a_run_has_the_linear_program_beside_its_other_bounds(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From each rank to the next: the cut alone would allow two thirds of the time of the best routes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "next.yaml"
    case = "{name: next, topology: {builder: trn2}, collective: permute, algorithm: optimal, sizes: 1 GiB, overheads: none}"
    file.write_text(f"name: next\ncases:\n  - {case}\n", encoding="utf-8")
    code, out, _ = command("run", file, "--bound", "lp", "--json")
    (row,) = json.loads(out)["results"]
    assert (code, row["bound"]) == (0, "concurrent flow")
    assert row["gap"] == pytest.approx(1, abs=1e-3)


def test_a_run_of_another_collective_has_no_such_bound(command: Command) -> None:
    code, out, err = command("run", "trn2-allgather", "--bound", "lp")
    assert (code, out) == (2, "")
    assert "--bound: maximum concurrent flow (lp) is a bound of collectives between pairs" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--topology", "trn2", "all_gather", "--bound", "lp"], "not of all_gather"),
        (["--topology", "trn2", "all_gater"], "all_gather"),
        (["--topology", "trn4", "all_gather"], "trn2"),
        (["--topology", "trn2", "all_gather", "--size", "1 Gxx"], "unknown unit 'Gxx'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(bound: Command, arguments: list[str], expected: str) -> None:
    code, out, err = bound(*arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err
