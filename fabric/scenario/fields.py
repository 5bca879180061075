"""Annotations of the scenario's fields: how a value of the file becomes a value of the model, and its JSON Schema.

Each is used as `Annotated[type, Kind(...)]`. A validator that finds several faults in one value raises them all as
`Faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ..errors import nearest
from .document import Path
from .quantities import read_size_or_zero, size_text

JsonSchema = dict[str, Any]


class Faults(ValueError):
    """Faults inside one value, each with its path below it."""

    def __init__(self, faults: Sequence[tuple[Path, str]]) -> None:
        super().__init__(faults[0][1])
        self.faults = tuple(faults)


@dataclass(frozen=True, eq=False)
class Kind:
    """A value that `read` makes of what is in the file (ValueError if it cannot), that `write` turns back, and its schema."""

    read: Callable[[Any], Any]
    schema: Mapping[str, Any]
    write: Callable[[Any], Any] | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = None if self.write is None else core_schema.plain_serializer_function_ser_schema(self.write)
        return core_schema.no_info_plain_validator_function(self.read, serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return dict(self.schema)


@dataclass(frozen=True, eq=False)
class Short:
    """A model that may be given as one word: `expand` makes the mapping of it and leaves everything else alone."""

    expand: Callable[[Any], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [dict(self.schema), handler(schema)]}


def word(what: str, known: Sequence[str], aliases: Mapping[str, str] | None = None) -> Kind:
    """One of the known words; an alias becomes the word that it stands for."""
    other = dict(aliases or {})

    def read(value: object) -> str:
        if isinstance(value, str) and value in other:
            return other[value]
        if not isinstance(value, str):
            raise ValueError(f"expected one of {', '.join(known)}, not {shown(value)}")
        if value not in known:
            raise ValueError(f"unknown {what} {value!r}{nearest(value, [*known, *other])}; known: {', '.join(known)}")
        return value

    return Kind(read, {"enum": [*known, *other]})


def quantity(read: Callable[[object], float], write: Callable[[float], str], example: str) -> Kind:
    """A number with its unit."""
    return Kind(read, {"anyOf": [{"type": "string"}, {"const": 0}], "examples": [example]}, write)


def shown(value: object) -> str:
    """A value of the file as a message shows it."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_efficiency(value: object) -> float | str:
    """A number above 0 and at most 1, or the word default."""
    if value == "default":
        return "default"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ValueError(f"expected a number above 0 and at most 1, or default, not {shown(value)}")
    return float(value)


def read_node(value: object) -> int | str:
    """A node of the graph, by number or by name."""
    if (isinstance(value, int) and not isinstance(value, bool) and value >= 0) or (isinstance(value, str) and value):
        return value
    raise ValueError(f"expected a node, by number or by name, not {shown(value)}")


def read_groups(value: object) -> str | int | dict[str, int] | list[list[int]]:
    """`all`, the number of ranks that take part (the first ones), `{of: n}`, or lists of ranks, no rank twice."""
    if value == "all":
        return "all"
    if isinstance(value, Mapping):
        return _read_equal_groups(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 2:
            raise ValueError(f"a group has at least 2 ranks, not {value}")
        return value
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected all, a number of ranks, {{of: n}}, or lists of ranks, not {shown(value)}")
    faults: list[tuple[Path, str]] = []
    seen: dict[int, int] = {}
    for index, group in enumerate(value):
        faults += _group_faults(group, index, seen)
    if faults:
        raise Faults(faults)
    return value


def _read_equal_groups(value: Mapping[str, object]) -> dict[str, int]:
    size = value.get("of")
    if set(value) != {"of"} or isinstance(size, bool) or not isinstance(size, int) or size < 2:
        raise ValueError("expected {of: n}, groups of n consecutive ranks each, n a whole number of at least 2")
    return {"of": size}


def _group_faults(group: object, index: int, seen: dict[int, int]) -> list[tuple[Path, str]]:
    """What is wrong with one group; `seen` maps the ranks so far to their groups."""
    if not isinstance(group, list):
        return [((index,), f"expected a list of ranks, not {shown(group)}")]
    faults: list[tuple[Path, str]] = []
    if len(group) < 2:
        faults.append(((index,), f"a group has at least 2 ranks, not {len(group)}"))
    for position, rank in enumerate(group):
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 0:
            faults.append(((index, position), f"expected a rank, a whole number from 0, not {shown(rank)}"))
        elif rank in seen:
            where = "in this group" if seen[rank] == index else f"in group {seen[rank]}"
            faults.append(((index, position), f"rank {rank} is already {where}"))
        else:
            seen[rank] = index
    return faults


def read_matrix(value: object) -> list[list[float]]:
    """A square matrix of sizes, bytes; row = source."""
    if not isinstance(value, list):
        raise ValueError(f"expected rows of sizes, or a CSV file as {{file: m.csv, unit: 1 KiB}}, not {shown(value)}")
    if len(value) < 2:
        raise ValueError(f"a matrix has at least 2 rows, not {len(value)}")
    faults: list[tuple[Path, str]] = []
    rows: list[list[float]] = []
    for index, row in enumerate(value):
        if not isinstance(row, list):
            faults.append(((index,), f"expected a row of {len(value)} sizes, not {shown(row)}"))
            continue
        if len(row) != len(value):
            faults.append(((index,), f"row {index} has {len(row)} sizes, but there are {len(value)} rows"))
        rows.append([])
        for column, text in enumerate(row):
            try:
                rows[-1].append(read_size_or_zero(text))
            except ValueError as error:
                faults.append(((index, column), str(error)))
    if not faults and not any(size for row in rows for size in row):
        faults.append(((), "every size is zero"))
    if faults:
        raise Faults(faults)
    return rows


def write_matrix(rows: list[list[float]]) -> list[list[str]]:
    """The matrix as texts that read back as the same sizes."""
    return [[size_text(size) for size in row] for row in rows]
