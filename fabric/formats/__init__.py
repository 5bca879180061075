"""Schedules of other programs: one format per module, all read into a `Program`."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .chakra import NAME, Lowering, lowering_of, read_chakra, trace_files
from .goal import read_goal, write_goal
from .msccl import read_msccl
from .msccl_out import write_msccl
from .mscclpp import read_mscclpp
from .program import Program, Written
from .timing import timed
from .verdict import Judgement, judge

__all__ = [
    "Judgement",
    "Lowering",
    "Program",
    "Written",
    "judge",
    "lowering_of",
    "read_schedule",
    "timed",
    "write_goal",
    "write_msccl",
]


def read_schedule(path: str | Path, slots: int | None = None, lowering: Lowering | None = None) -> Program:
    """The program of a schedule file, its format told by its content; Chakra traces by the name of one, or by their prefix.

    slots: how many sends a FIFO of MSCCL holds (8 in NCCL); without limit where nothing is said. lowering: how collective
    nodes of Chakra become transfers.
    Raises InputError where the file cannot be read.
    """
    path = Path(path)
    program = _read(path, slots, lowering)
    if slots is not None and not program.fifos:
        raise InputError(f"{path}: its format has no FIFOs, so no number of slots")
    return program


def _read(path: Path, slots: int | None, lowering: Lowering | None) -> Program:
    if (match := NAME.fullmatch(path.name)) or not path.exists():
        files = trace_files(path)
        if files:
            return read_chakra([(file.name, _bytes(file)) for file in files], match[1] if match else path.name, lowering)
    if lowering is not None and lowering.algorithms:
        raise InputError(f"{path}: only Chakra traces have collective nodes to run by an algorithm; this file is one itself")
    data = _bytes(path)
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        return read_msccl(data, path.name, slots)
    if start.startswith(b"{"):
        return read_mscclpp(data, path.name)
    if b"num_ranks" in start:
        return read_goal(data, path.name)
    raise InputError(
        f"{path}: no schedule: expected MSCCL XML, an MSCCL++ plan, GOAL, or Chakra traces named prefix.0.et, prefix.1.et, ..."
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
