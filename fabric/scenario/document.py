"""YAML text to plain values that know where they stand: the line and column of every key and every value.

YAML 1.2: `no` is text, `1e9` a number, a key given twice a fault. Dates stay text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple
from warnings import catch_warnings

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from ..errors import InputError

Path = tuple[str | int, ...]

MOST_VALUES = 1_000_000
_TAG = "tag:yaml.org,2002:"
_TEXT = frozenset(_TAG + word for word in ("str", "timestamp", "value"))
_PLAIN = frozenset(_TAG + word for word in ("int", "float", "bool", "null"))


class Place(NamedTuple):
    """Where something stands; line and column count from 1, and are 0 for what has none (an override)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    @property
    def names_its_key(self) -> bool:
        """A flag such as --algorithm: the place alone says which value is meant."""
        return self.file.startswith("--") and " " not in self.file


class Fault(NamedTuple):
    """What is wrong with the value at a path, or with its key (one too many, or missing).

    place: where it stands, if the path does not tell.
    """

    path: Path
    message: str
    key: bool = False
    place: Place | None = None


@dataclass
class Places:
    """The places of the keys and values of a document, by path. All are equal: they are no part of what a file says."""

    file: str = field(default="scenario", compare=False)
    keys: dict[Path, Place] = field(default_factory=dict, compare=False, repr=False)
    values: dict[Path, Place] = field(default_factory=dict, compare=False, repr=False)

    def of(self, path: Path, key: bool = False) -> Place:
        """The place of a value (or of its key); of the nearest value around it where it has none."""
        if key and path in self.keys:
            return self.keys[path]
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return Place(self.file)

    def move(self, path: Path, place: Place) -> None:
        """Everything at and below `path` comes from another place now."""
        depth = len(path)
        for known in (self.keys, self.values):
            for below in [other for other in known if other[:depth] == path]:
                del known[below]
            known[path] = place

    def error(self, faults: Sequence[Fault]) -> InputError:
        """All faults, each line once, in the order of the file; overrides and other files after it."""
        placed = [self._placed(fault) for fault in self.without_echoes(faults)]
        placed.sort(key=lambda line: (line[0].file != self.file, line[0]))
        return InputError(dict.fromkeys(f"{place}: {message}" for place, message in placed))

    def _placed(self, fault: Fault) -> tuple[Place, str]:
        place = fault.place or self.of(fault.path, fault.key)
        return place, fault.message if place.names_its_key else self.label(fault) + fault.message

    def without_echoes(self, faults: Sequence[Fault]) -> list[Fault]:
        """The faults without those of a missing key that is there, misspelt."""
        missing = {fault.path for fault in faults if fault.key and fault.path not in self.keys}
        for fault in faults:
            if fault.key and fault.path in self.keys:
                beside = [str(path[-1]) for path in missing if path[:-1] == fault.path[:-1]]
                missing -= {(*fault.path[:-1], name) for name in get_close_matches(str(fault.path[-1]), beside, n=1)}
        return [fault for fault in faults if not fault.key or fault.path in self.keys or fault.path in missing]

    def label(self, fault: Fault) -> str:
        """`topology.preset: ` for the path (cases, 0, topology, preset): the line tells which case it is."""
        path = fault.path[:-1] if fault.key else fault.path
        while path and path not in self.values:
            path = path[:-1]  # one text that stands for a list
        if path[:1] == ("cases",) and len(path) > 1:
            path = path[2:]
        label = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        return f"{label}: " if label else ""


@dataclass(frozen=True)
class Document:
    """Plain values (dict, list, str, int, float, bool, None), their places, and the faults met on the way."""

    data: object
    places: Places
    faults: list[Fault]


def read_document(text: str, file: str) -> Document:
    """Read one YAML document; `file` is its name in messages.

    Raises InputError where the text is no YAML; what is wrong inside it (a key given twice, NaN) is in `faults`.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        with catch_warnings(action="ignore", category=ReusedAnchorWarning):
            root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise InputError(f"{place}: {_problem(error, text)}") from None
    except RecursionError:
        raise InputError(f"{file}: nested too deeply") from None
    except ReaderError as error:
        before = text[: error.position]
        place = Place(file, before.count("\n") + 1, error.position - before.rfind("\n"))
        raise InputError(f"{place}: a character that YAML does not allow, 0x{ord(text[error.position]):02x}") from None
    except YAMLError as error:
        raise InputError(f"{file}: no valid YAML: {_one_line(error)}") from None
    places = Places(file, {}, {(): Place(file, 1, 1)})
    if root is None:
        return Document(None, places, [])
    builder = _Builder(yaml, file, places)
    try:
        data = builder.value(root, ())
    except RecursionError:
        raise InputError(f"{file}: nested too deeply, or an alias that contains itself") from None
    return Document(data, places, builder.faults)


class _Builder:
    """Turns YAML nodes into values and notes where they stand."""

    def __init__(self, yaml: YAML, file: str, places: Places) -> None:
        self.yaml, self.file, self.places = yaml, file, places
        self.faults: list[Fault] = []

    def value(self, node: Node, path: Path) -> object:
        if len(self.places.values) > MOST_VALUES:
            raise InputError(f"{self.place(node)}: more than {MOST_VALUES:,} values")
        self.places.values[path] = self.place(node)
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node, path)

    def place(self, node: Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        out: dict[str, object] = {}
        for name, (key, value) in self.entries(node, path).items():
            here = (*path, name)
            self.places.keys[here] = self.place(key)
            out[name] = self.value(value, here)
            if out[name] is None and not value.value:
                self.places.values[here] = self.place(key)  # an empty value has no place of its own
        return out

    def entries(self, node: MappingNode, path: Path) -> dict[str, tuple[Node, Node]]:
        """The keys and values of a mapping; `<<: *other` adds those that it has none of its own of."""
        own: dict[str, tuple[Node, Node]] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif not isinstance(key, ScalarNode) or key.tag not in _TEXT:
                self.faults.append(Fault(path, "a key is text", place=self.place(key)))
            elif key.value in own:
                line, here = self.place(own[key.value][0]).line, self.place(key)
                self.faults.append(Fault((*path, key.value), f"{key.value!r} is given twice, first in line {line}", True, here))
            else:
                own[key.value] = (key, value)
        for other in merged:
            if not isinstance(other, MappingNode):
                self.faults.append(Fault(path, "<< takes a mapping", place=self.place(other)))
                continue
            for name, entry in self.entries(other, path).items():
                own.setdefault(name, entry)
        return own

    def scalar(self, node: Node, path: Path) -> object:
        tag = str(node.tag)
        if tag in _TEXT:
            return str(node.value)
        if tag not in _PLAIN:
            self.faults.append(Fault(path, f"unknown tag {tag}"))
            return None
        if tag == _TAG + "null":
            self.faults.append(Fault(path, "has no value"))
            return None
        try:
            value: object = self.yaml.constructor.construct_object(node)
        except (ValueError, IndexError, KeyError):
            self.faults.append(Fault(path, f"{node.value!r} is no {tag.removeprefix(_TAG)}"))
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.faults.append(Fault(path, f"{node.value} is not a finite number"))
            return None
        return value


def _problem(error: MarkedYAMLError, text: str) -> str:
    """What the YAML parser says, in one line; tabs are named, the most common cause."""
    problem = _one_line(error.problem or error.context or error)
    mark = error.problem_mark
    if mark and "\t" in text.split("\n")[mark.line][: mark.column + 1]:
        return "a tab: YAML is indented with spaces"
    context = f" ({_one_line(error.context)})" if error.problem and error.context else ""
    return f"no valid YAML: {problem}{context}"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
