"""`fabric-sim bound` as a user meets it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fabric.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fabric-sim", "bound", *arguments])
        code = main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_binding_bound_comes_first(command: Command) -> None:
    code, out, _ = command("--topology", "trn3_gen2", "all_reduce", "--size", "1GiB")
    assert code == 0
    # 286 messages for each element, all chips together send 144 x 704 GB/s.
    assert out.splitlines()[1].split()[:3] == [f"{286 * 2**30 / (144 * 704e9) * 1e3:.3f}", "ms", "injection"]


def test_the_linear_program_on_request(command: Command) -> None:
    without = {one["name"] for one in json.loads(command("--topology", "trn2", "all_to_all", "--json")[1])}
    found = json.loads(command("--topology", "trn2", "all_to_all", "--bound", "lp", "--json")[1])
    assert {one["name"] for one in found} - without == {"concurrent flow"}
    times = {one["name"]: one["time"] for one in found}
    # 256 GB/s for each chip's buffer.
    assert times["concurrent flow"] == pytest.approx(2**30 / 256e9)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--topology", "trn2", "all_gather", "--bound", "lp"], "a bound of all-to-alls, not of all_gather"),
        (["--topology", "trn2", "all_gater"], "all_gather"),
        (["--topology", "trn4", "all_gather"], "trn2"),
        (["--topology", "trn2", "all_gather", "--size", "1 Gxx"], "unknown unit 'Gxx'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(command: Command, arguments: list[str], expected: str) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err
