"""Overrides from the command line: `key.path=value`.

A key of a case applies to every case, unless one is named: `algorithm=ring`, `cases.0.algorithm=ring`,
`cases.Trn3 Gen2.algorithm=ring`. A key that a scenario and a case both have is set for the whole scenario.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from ..errors import InputError, nearest
from .document import Document, Fault, Path, Place, read_document
from .model import Case, Scenario

#: Keys that may be one word in the file, and the key of their mapping that the word stands for.
_SHORT = {"algorithm": "name", "routing": "rule"}


class Flag(NamedTuple):
    """An override that a flag of its own stands for, such as --algorithm; the flag's name goes into messages."""

    name: str
    override: str


def apply_overrides(document: Document, overrides: Sequence[str | Flag]) -> list[Fault]:
    """Set values in the document, in order; the faults found, placed at `--set N` (flags are not counted) or at the flag."""
    faults: list[Fault] = []
    number = 0
    for override in overrides:
        number += isinstance(override, str)
        place = Place(override.name if isinstance(override, Flag) else f"--set {number}")
        try:
            _apply(document, override.override if isinstance(override, Flag) else override, place)
        except ValueError as error:
            faults.append(Fault((), str(error), place=place))
        except InputError as error:
            faults += [Fault((), line.partition(": ")[2], place=place) for line in error.faults]
    return faults


def _apply(document: Document, override: str, place: Place) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ValueError(f"expected key.path=value, not {override!r}")
    value = read_document(text, str(place))
    if value.faults or value.data is None:
        raise ValueError(f"{path}: {value.faults[0].message if value.faults else 'has no value'}")
    for target in _targets(document.data, path.strip()):
        _set(document.data, target, deepcopy(value.data))
        document.places.move(target, place)


def _targets(data: Any, path: str) -> Iterator[Path]:
    """The paths in the document that an override's path stands for."""
    head, _, rest = path.partition(".")
    cases = data["cases"] if isinstance(data.get("cases"), list) else []
    if head == "cases" and rest:
        index, keys = _case(cases, rest)
        yield ("cases", index, *keys)
        return
    keys = [head, *rest.split(".")] if rest else [head]
    if head not in Scenario.model_fields and head not in Case.model_fields:
        known = dict.fromkeys((*Scenario.model_fields, *Case.model_fields))
        raise ValueError(f"unknown key {head!r}{nearest(head, list(known))}; known: {', '.join(known)}")
    shared = head in Scenario.model_fields
    if shared:
        yield tuple(keys)
    for index, case in enumerate(cases):
        if isinstance(case, dict) and (not shared or (head in case and head != "name")):
            yield ("cases", index, *keys)


def _case(cases: list[Any], rest: str) -> tuple[int, list[str]]:
    """Which case `0.algorithm` or `Trn3 Gen2.algorithm` is about, and the keys below it; names may have dots."""
    names = [str(case.get("name")) if isinstance(case, dict) else "" for case in cases]
    named = [name for name in names if rest == name or rest.startswith(f"{name}.")]
    if named:
        name = max(named, key=len)
        below = rest[len(name) + 1 :]
        return names.index(name), below.split(".") if below else []
    head, _, below = rest.partition(".")
    if head.isdecimal() and int(head) < len(cases):
        return int(head), below.split(".") if below else []
    raise ValueError(f"no case {head!r}{nearest(head, names)}; cases are 0..{len(cases) - 1}: {', '.join(names)}")


def _set(data: Any, path: Path, value: object) -> None:
    """Set one value; mappings on the way are made, words become the mappings that they stand for."""
    for depth, part in enumerate(path[:-1]):
        data = _step(data, part, path[: depth + 1])
    last = _key(data, path[-1], path)
    data[last] = value


def _step(data: Any, part: str | int, path: Path) -> Any:
    part = _key(data, part, path)
    if isinstance(data, dict):
        below = data.get(part, {})
        if isinstance(below, str) and part in _SHORT:
            below = {_SHORT[str(part)]: below}
        elif below == "default":
            below = {}
        data[part] = below
    below = data[part]
    if not isinstance(below, (dict, list)):
        raise ValueError(f"{'.'.join(map(str, path))} is {below!r}, which has no keys")
    return below


def _key(data: Any, part: str | int, path: Path) -> str | int:
    if isinstance(data, dict):
        return str(part)
    if isinstance(part, str) and part.isdecimal():
        part = int(part)
    if not isinstance(part, int) or part >= len(data):
        raise ValueError(f"{'.'.join(map(str, path))}: there is no item {part} in a list of {len(data)}")
    return part
