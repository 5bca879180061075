"""Schedules of other programs: one format per module, all read into a `Program`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from .msccl import read_msccl
from .program import Program
from .timing import timed
from .verdict import Judgement, judge

__all__ = ["Judgement", "Program", "judge", "read_schedule", "timed"]


def read_schedule(path: str | Path) -> Program:
    """The program of a schedule file, its format told by its content. Raises InputError where it cannot be read."""
    path = Path(path)
    data = _bytes(path)
    return _format(data, path)(data, path.name)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _format(data: bytes, path: Path) -> Callable[[bytes, str], Program]:
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return read_msccl
    raise InputError(f"{path}: not a schedule: expected MSCCL XML")
