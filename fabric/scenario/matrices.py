"""Matrices of bytes in CSV files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path as FilePath

from pydantic import ValidationError

from .document import Fault, Path, Place, Places
from .faults import read_errors
from .model import MatrixFile

WRITER = 'numpy.savetxt("m.csv", matrix, delimiter=",") writes an array so'


def load_matrix(
    given: dict[str, object], at: Path, folder: FilePath, places: Places
) -> tuple[list[list[str]] | None, list[Fault]]:
    """The rows of a matrix file as sizes with a unit, and the faults; each number's place goes to `places`."""
    try:
        file = MatrixFile.model_validate(given)
    except ValidationError as error:
        return None, list(read_errors(error, at))
    try:
        text = (folder / file.file).read_text(encoding="utf-8-sig")
    except OSError as error:
        return None, [Fault((*at, "file"), f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return None, [Fault((*at, "file"), f"expected CSV, numbers between commas, but {file.file} is no text. {WRITER}")]
    rows: list[list[str]] = []
    faults: list[Fault] = []
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        rows.append([])
        places.values[(*at, len(rows) - 1)] = Place(file.file, line, 1)
        for column, cell in _cells(content):
            here = (*at, len(rows) - 1, len(rows[-1]))
            places.values[here] = Place(file.file, line, column)
            try:
                rows[-1].append(_size(cell, file.unit))
            except ValueError as error:
                faults.append(Fault(here, str(error)))
                rows[-1].append("1 B")  # not 0: nobody knows whether all sizes are zero
    return rows, faults


def _cells(line: str) -> Iterator[tuple[int, str]]:
    """Column (from 1) and text of each cell."""
    column = 1
    for cell in line.split(","):
        yield column + len(cell) - len(cell.lstrip()), cell.strip()
        column += len(cell) + 1


def _size(cell: str, unit: float) -> str:
    """So many units, in bytes."""
    try:
        size = float(cell) * unit
    except ValueError:
        raise ValueError(f"expected a number, not {cell!r}") from None
    if not math.isfinite(size) or size < 0:
        raise ValueError(f"expected a number of at least zero, not {cell!r}")
    if size != round(size):
        raise ValueError(f"{cell} units are {size:g} bytes: a size is a whole number of bytes")
    return f"{size:.0f} B"
