"""From a file to a Scenario: read, override, validate, build the graphs, fill in the defaults.

Each stage reports all that it finds; a stage leaves alone what an earlier one has refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from topologies import Graph
from topologies.parts import count_ranks

from ..collectives import ALIASES
from ..errors import InputError, nearest
from .algorithms import check_algorithm, with_default_options
from .document import Document, Fault, Path, Place, read_document
from .faults import read_errors
from .fields import shown
from .matrices import load_matrix
from .model import Case, Origin, Scenario, Topology
from .overrides import Flag, apply_overrides
from .topology import build, with_defaults
from .unit import machines_of_unit


def read_scenario(
    source: str | FilePath, *, name: str = "", folder: FilePath | None = None, overrides: Sequence[str | Flag] = ()
) -> Scenario:
    """Read a scenario, with every default filled in and every graph built.

    source: the path of a file (a Path), or YAML text (a str). name: of the file in messages; its path by default.
    folder: where relative paths in it start; the file's own by default, the current one for text.
    overrides: `key.path=value`, or flags that stand for one, see `fabric.scenario.overrides`.

    Raises InputError with every fault, `file:line:column: message`, or `--set N: message` for the N-th override.
    """
    text, file, home = _load(source, name)
    document = read_document(text, file)
    if not isinstance(document.data, dict):
        found = "an empty file" if document.data is None else shown(document.data)
        raise document.places.error([*document.faults, Fault((), f"expected a mapping with name and cases, not {found}")])
    return _Reading(document, folder or home).scenario(overrides)


def _load(source: str | FilePath, name: str) -> tuple[str, str, FilePath]:
    """Text, name for messages and folder."""
    if isinstance(source, str):
        return source, name or "scenario", FilePath()
    file = name or str(source)
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        near = nearest(source.name, [path.name for path in source.parent.glob("*.y*ml")])
        raise InputError(f"{file}: there is no such file{near}") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig"), file, source.parent
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(file, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise InputError(f"{place}: not UTF-8: byte 0x{data[error.start]:02x}") from None


class _Reading:
    """The stages over one document; `faults` grows."""

    def __init__(self, document: Document, folder: FilePath) -> None:
        self.data: dict[str, Any] = document.data  # type: ignore[assignment]  # the caller has looked
        self.document, self.folder = document, folder
        self.faults = list(document.faults)
        self.graphs: dict[str, tuple[Graph | None, list[tuple[Path, str, bool]]]] = {}

    def scenario(self, overrides: Sequence[str | Flag]) -> Scenario:
        self.faults += apply_overrides(self.document, overrides)
        cases = self.data.get("cases")
        numbered = [(i, case) for i, case in enumerate(cases) if isinstance(case, dict)] if isinstance(cases, list) else []
        for index, case in numbered:
            self.load_matrix(index, case)
        self.validate()
        self.check_names(numbered)
        graphs = [self.check_case(index, case) for index, case in numbered]
        if self.faults:
            raise self.document.places.error(self.faults)
        for _, case in numbered:
            self.fill_in(case)
        scenario = Scenario.model_validate(self.data)
        folded = (self.refolded(index, case, graph) for index, (case, graph) in enumerate(zip(scenario.cases, graphs)))
        scenario._origin = Origin(self.document.places, tuple(graph for graph in folded if graph is not None))
        if self.faults:
            raise self.document.places.error(self.faults)
        return scenario

    def sound(self, *path: str | int) -> bool:
        """No fault so far at, above or below this path."""
        return not any(fault.path[: len(path)] == path[: len(fault.path)] for fault in self.faults if fault.path)

    def add(self, path: Path, message: str, key: bool = False) -> None:
        self.faults.append(Fault(path, message, key))

    def validate(self) -> None:
        """Kinds of all keys and values."""
        before = {fault.path for fault in self.faults if not fault.key}
        try:
            Scenario.model_validate(self.data)
        except ValidationError as error:
            self.faults += [fault for fault in read_errors(error) if fault.path not in before]

    def load_matrix(self, index: int, case: dict[str, Any]) -> None:
        """Put the rows of a matrix file in the place of its name."""
        if isinstance(case.get("matrix"), dict):
            at = ("cases", index, "matrix")
            rows, faults = load_matrix(case["matrix"], at, self.folder, self.document.places)
            self.faults += faults
            case["matrix"] = rows

    def check_names(self, cases: list[tuple[int, dict[str, Any]]]) -> None:
        seen: dict[str, int] = {}
        for index, case in cases:
            name = case.get("name")
            if isinstance(name, str) and seen.setdefault(name, index) != index:
                self.add(("cases", index, "name"), f"case {seen[name]} has the name {name!r} already")

    def check_case(self, index: int, case: dict[str, Any]) -> Graph | None:
        """Whatever takes more than one key, or the graph, to tell; the graph, if there is one."""
        at = ("cases", index)
        if "collective" in case and self.sound(*at, "collective"):
            collective = ALIASES.get(case["collective"], case["collective"])
            self.check_keys(at, case, collective)
            if "algorithm" in case and self.sound(*at, "algorithm"):
                self.faults += check_algorithm(collective, case["algorithm"], (*at, "algorithm"))
        if "topology" not in case or not self.sound(*at, "topology"):
            return None
        graph = self.graph((*at, "topology"), case["topology"])
        if graph is not None:
            fold = graph.graph.get("fold", {})
            self.check_ranks(at, case, count_ranks(graph) * (fold.get("machines", 1) // fold.get("unit", 1)))
        return graph

    def check_keys(self, at: Path, case: dict[str, Any], collective: str) -> None:
        """Which of sizes, moe and matrix a collective takes."""
        due = {"moe": "moe", "all_to_all_v": "matrix"}.get(collective, "sizes")
        if due not in case:
            self.add((*at, due), f"missing key {due!r}, which collective {collective} takes", key=True)
        for other in ("sizes", "moe", "matrix"):
            if other != due and other in case:
                self.add((*at, other), f"collective {collective} takes {due!r}, not {other!r}", key=True)

    def graph(self, at: Path, raw: dict[str, Any]) -> Graph | None:
        """The graph of a topology; equal topologies share one."""
        key = json.dumps(raw, sort_keys=True)
        if key not in self.graphs:
            self.graphs[key] = build(Topology.model_validate(raw), self.folder)
        graph, faults = self.graphs[key]
        for below, message, is_key in faults:
            self.add((*at, *below), message, is_key)
        return graph

    def refolded(self, index: int, case: Case, graph: Graph | None) -> Graph | None:
        """A folded cluster with as many machines as the case needs to stand for all, where the file does not say how many."""
        raw = self.data["cases"][index]["topology"]
        if graph is None or "fold" not in graph.graph or not isinstance(raw.get("fold", True), bool):
            return graph
        try:
            unit = machines_of_unit(case, graph)
        except ValueError:  # the run says why
            return graph
        return graph if unit == 1 else self.graph(("cases", index, "topology"), {**raw, "fold": unit})

    def check_ranks(self, at: Path, case: dict[str, Any], ranks: int) -> None:
        """Groups and matrix against the number of ranks."""
        groups = case.get("groups", "all")
        if not self.sound(*at, "groups"):
            return
        there = f"the topology has {ranks} ranks"
        if isinstance(groups, int) and groups > ranks:
            self.add((*at, "groups"), f"{groups} ranks, but {there}")
        if isinstance(groups, dict) and ranks % groups["of"]:
            self.add((*at, "groups", "of"), f"groups of {groups['of']} ranks do not part all ranks: {there}")
        for index, group in enumerate(groups if isinstance(groups, list) else ()):
            for position, rank in enumerate(group):
                if rank >= ranks:
                    self.add((*at, "groups", index, position), f"no rank {rank}: {there}, 0..{ranks - 1}")
        if "matrix" in case and self.sound(*at, "matrix"):
            lengths = [len(group) for group in groups] if isinstance(groups, list) else [groups]
            lengths = [groups["of"]] if isinstance(groups, dict) else lengths
            counts = {ranks if length == "all" else length for length in lengths}
            for count in sorted(counts - {len(case["matrix"])}):
                self.add((*at, "matrix"), f"{len(case['matrix'])} rows, but a group has {count} ranks")

    def fill_in(self, case: dict[str, Any]) -> None:
        """The defaults of builder and algorithm."""
        case["topology"] = with_defaults(case["topology"], self.folder)
        if "algorithm" in case:
            case["algorithm"] = with_default_options(ALIASES.get(case["collective"], case["collective"]), case["algorithm"])
