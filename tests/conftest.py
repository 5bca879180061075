"""The command as a user meets it, for every test that needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fabric.cli import main


class Answer(NamedTuple):
    """What the command said."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run `fabric-sim` with some arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["fabric-sim", *map(str, arguments)])
        code = main()
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run
