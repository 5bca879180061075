"""Chakra execution traces: one file for each rank, `prefix.0.et`, `prefix.1.et`, ...; point-to-point and collective nodes.

Facts: mlcommons/chakra, schema/protobuf/et_def.proto: a GlobalMetadata message, then Node messages, each after its length.
The k-th send on (source, destination, tag) meets the k-th receive. A collective node is run by an algorithm of ours, that of
`USUAL` where none is asked for; its comm_size is the input of one rank, as ASTRA-sim takes it, and its root the rank in
comm_root, else the first of its group. A trace does not say what its bytes mean, so none can be proved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..collectives import ALGORITHMS, algorithm, build, canonical
from ..errors import InputError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import REDUCE, Schedule
from .messages import Messages, unmatched
from .program import Action, Fault, Program, printable
from .protobuf import Reader

NAME = re.compile(r"(.*)\.([0-9]+)\.et")
METADATA, MEM_LOAD, MEM_STORE, COMP, SEND, RECEIVE, COLLECTIVE = range(1, 8)
KINDS = {
    0: "all_reduce",
    1: "reduce",
    2: "all_gather",
    3: "gather",
    4: "scatter",
    5: "broadcast",
    6: "all_to_all",
    7: "reduce_scatter",
    8: "reduce_scatter",  # REDUCE_SCATTER_BLOCK: the same, of equal blocks
}
"""CollectiveCommType: our name."""
USUAL = dict.fromkeys(("all_reduce", "all_gather", "reduce_scatter"), "ring") | {"all_to_all": "direct"}
USUAL |= dict.fromkeys(("broadcast", "reduce", "gather", "scatter"), "tree")
"""The algorithm of each collective where none is asked for."""
ROOTED = ("broadcast", "reduce", "gather", "scatter")

_SIGNED = (7, 9)  # int32_val, int64_val
_WHOLE = (*_SIGNED, 11, 13, 27)  # uint32_val, uint64_val, bool_val
_ZIGZAG = (15, 17)  # sint32_val, sint64_val
_BOOLS, _TEXT = 28, 29
MICROSECOND = 1e-6


@dataclass(frozen=True)
class Lowering:
    """How collective nodes become transfers.

    algorithms: by collective; those of `USUAL` for all others. layout: of a group of ranks of the trace; without one they
    have no shape, and algorithms for tori and machines do not apply.
    """

    algorithms: Mapping[str, str] = field(default_factory=dict)
    layout: Callable[[Sequence[int]], Layout] = lambda ranks: Layout(len(ranks))


def lowering_of(text: str, layout: Callable[[Sequence[int]], Layout]) -> Lowering:
    """Of `NAME`, for each collective that has such an algorithm, or `COLLECTIVE=NAME`; several after commas.

    Raises InputError with the nearest known name.
    """
    algorithms: dict[str, str] = {}
    for part in text.split(","):
        collective, given, name = part.rpartition("=")
        if given and canonical(collective) not in USUAL:
            raise InputError(f"a trace has no {canonical(collective)}; known: {', '.join(USUAL)}")
        names = {one for collective in USUAL for one in ALGORITHMS[collective]}
        wanted = [canonical(collective)] if given else [one for one in USUAL if name in ALGORITHMS[one]]
        if not wanted:
            raise InputError(unknown("algorithm", name, sorted(names)))
        for one in wanted:
            algorithm(one, name)
            algorithms[one] = name
    return Lowering(algorithms, layout)


@dataclass
class Node:
    """A node of a trace, as far as it is read."""

    file: str
    at: int
    id: int = 0
    name: str = ""
    type: int = 0
    duration: int = 0  # us
    needs: list[int] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    group: str = ""

    def fault(self, message: str) -> InputError:
        return InputError(f"{self.file}: byte {self.at}: node {self.id} {self.name}: {message}")

    def value(self, name: str, default: int | None = None) -> int:
        """A number among its attributes, at least 0."""
        value = self.values.get(name, default)
        if value is None or value < 0:
            raise self.fault(f"needs a {name} of at least 0, and has {'none' if value is None else value}")
        return value


def trace_files(path: Path) -> list[Path]:
    """The files of all ranks, given one of them or their prefix; none if it is neither. Raises InputError for gaps."""
    match = NAME.fullmatch(path.name)
    prefix = match[1] if match else path.name
    found: dict[int, Path] = {}
    for other in path.parent.glob("*.et") if path.parent.is_dir() else ():
        mine = NAME.fullmatch(other.name)
        if mine and mine[1] == prefix:
            found[int(mine[2])] = other
    lacking = next((rank for rank in range(len(found)) if rank not in found), None)
    if lacking is not None:
        raise InputError(f"{path}: there are {len(found)} traces, but none of rank {lacking}: {prefix}.{lacking}.et")
    return [found[rank] for rank in sorted(found)]


def read_chakra(files: Sequence[tuple[str, bytes]], name: str, lowering: Lowering | None = None) -> Program:
    """The program of the traces of ranks 0, 1, ...: (file name, content) each. Raises InputError with file and byte."""
    return _Trace([read_nodes(data, file) for file, data in files], name, lowering or Lowering()).program()


def read_nodes(data: bytes, file: str) -> list[Node]:
    """The nodes of one trace."""
    reader = Reader(data, file)
    spans = list(reader.messages())
    return [_node(reader, start, end) for start, end in spans[1:]]  # the first is GlobalMetadata


def _node(reader: Reader, start: int, end: int) -> Node:
    node = Node(reader.file, start)
    for number, value, stop in reader.fields(start, end):
        if number == 1:
            node.id = value
        elif number == 2:
            node.name = printable(reader.text(value, stop))
        elif number == 3:
            node.type = value
        elif number in (4, 5):  # control and data dependencies, packed or one by one
            node.needs += _packed(reader, value, stop) if stop else [value]
        elif number == 7:
            node.duration = value
        elif number == 10:
            _attribute(reader, node, value, stop)
    return node


def _packed(reader: Reader, at: int, end: int) -> list[int]:
    values = []
    while at < end:
        value, at = reader.varint(at, end)
        values.append(value)
    return values


def _attribute(reader: Reader, node: Node, start: int, end: int) -> None:
    """One AttributeProto: a name and a value of some type; types that no communication node uses are left."""
    name = ""
    for number, value, stop in reader.fields(start, end):
        if number == 1:
            name = reader.text(value, stop)
        elif number in _SIGNED:
            node.values[name] = value - (1 << 64) if value >> 63 else value
        elif number in _WHOLE:
            node.values[name] = value
        elif number in _ZIGZAG:
            node.values[name] = (value >> 1) ^ -(value & 1)
        elif number == _TEXT and name == "pg_name":
            node.group = reader.text(value, stop)
        elif number == _BOOLS and name == "involved_dim" and not _all_true(reader, value, stop):
            raise node.fault("a collective over some dimensions of a system: only one over all ranks of its group is read")


def _all_true(reader: Reader, start: int, end: int) -> bool:
    """A BoolList, packed or one by one."""
    return all(all(_packed(reader, value, stop)) if stop else value for _, value, stop in reader.fields(start, end))


class _Trace:
    def __init__(self, ranks: list[list[Node]], name: str, lowering: Lowering) -> None:
        self.ranks, self.name, self.lowering = ranks, name, lowering
        self.actions: list[Action] = []
        self.ends: list[dict[int, int]] = [{} for _ in ranks]  # of each rank: node -> the action that ends it
        self.starts: list[tuple[int, int, Node]] = []  # (rank, the action that starts it, node)
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.messages = Messages(self.actions)
        self.used: set[str] = set()  # collectives
        self.collectives: dict[str, dict[int, list[tuple[int, Node]]]] = {}

    def program(self) -> Program:
        for rank, nodes in enumerate(self.ranks):
            for node in nodes:
                self._node(rank, node)
        for rank, start, node in self.starts:
            self._needs(rank, start, node)
        for group, members in sorted(self.collectives.items()):
            self._expand(group, members)
        wanted = self.lowering.algorithms
        if wanted and not self.used & wanted.keys():
            raise InputError(
                f"{self.name}: the traces have no nodes of {' or '.join(wanted)}, so none that such an algorithm runs"
            )
        return self.messages.program(self.name, len(self.ranks), self.notes, self.faults)

    def _add(self, rank: int, node: Node, what: str = "", **about: object) -> int:
        name = f"node {node.id} {node.name}{what}"
        # No cells, so no two actions of one worker need an order: all of a rank are one.
        self.actions.append(Action(rank, rank, node.id, name, **about))  # type: ignore[arg-type]
        return len(self.actions) - 1

    def _node(self, rank: int, node: Node) -> None:
        if node.id in self.ends[rank]:
            raise node.fault("a second node of that id")
        if node.type in (METADATA, MEM_LOAD, MEM_STORE, COMP):
            number = self._add(rank, node, pause=node.duration * MICROSECOND)
            if node.type in (MEM_LOAD, MEM_STORE):
                self._note("memory nodes take the duration that they state, not that of a memory model")
        elif node.type == SEND:
            peer, size = self._peer(rank, node, "comm_dst"), node.value("comm_size")
            number = self._add(rank, node, receiver=peer, amount=float(size))
            self.messages.add(number, (rank, peer, node.value("comm_tag", 0)), size, False)
        elif node.type == RECEIVE:
            peer, number = self._peer(rank, node, "comm_src"), self._add(rank, node)
            self.messages.add(number, (peer, rank, node.value("comm_tag", 0)), node.value("comm_size"), True)
        elif node.type == COLLECTIVE:
            number = self._add(rank, node)
            self.collectives.setdefault(node.group, {}).setdefault(rank, []).append((number, node))
        else:
            raise node.fault(f"nodes of type {node.type} are not read")
        self.starts.append((rank, number, node))
        if node.type == COLLECTIVE:
            number = self._add(rank, node, " (end)", after=[number])
        self.ends[rank][node.id] = number

    def _peer(self, rank: int, node: Node, name: str) -> int:
        peer = node.value(name)
        if peer >= len(self.ranks) or peer == rank:
            raise node.fault(f"{name} is {peer}: expected another of the {len(self.ranks)} ranks")
        return peer

    def _needs(self, rank: int, start: int, node: Node) -> None:
        for need in node.needs:
            if need not in self.ends[rank]:
                raise node.fault(f"depends on node {need}, which is not there")
            self.actions[start].after.append(self.ends[rank][need])

    def _expand(self, group: str, members: dict[int, list[tuple[int, Node]]]) -> None:
        """The k-th collective node of every rank of a group is one collective."""
        ranks = sorted(members) if group else list(range(len(self.ranks)))
        counts = {rank: len(members.get(rank, [])) for rank in ranks}
        most = max(counts, key=lambda rank: counts[rank])
        for rank, count in counts.items():
            if count < counts[most]:
                self._fault(members[most][count][0], f"rank {rank} takes no part in it")
                return
        for rank in ranks:
            members[rank].sort(key=lambda end: end[1].id)
        for nodes in zip(*(members[rank] for rank in ranks)):
            self._collective(ranks, nodes)

    def _collective(self, ranks: list[int], nodes: tuple[tuple[int, Node], ...]) -> None:
        first = nodes[0][1]
        kind, size = first.value("comm_type"), first.value("comm_size")
        for number, node in nodes:
            if (node.value("comm_type"), node.value("comm_size")) != (kind, size):
                self._fault(number, f"type and size differ from those of node {first.id} of rank {ranks[0]}")
                return
        if kind not in KINDS:
            raise first.fault(f"collectives of type {kind} are not read; known: {', '.join(map(str, KINDS))}")
        self.used.add(KINDS[kind])
        if len(ranks) < 2 or not size:
            return
        schedule = self._schedule(KINDS[kind], ranks, first)
        schedule = schedule.scaled(float(size * (len(ranks) if KINDS[kind] in ("all_gather", "gather") else 1)))
        offset, starts = len(self.actions), [number for number, _ in nodes]
        amounts = schedule.bytes
        for t in range(schedule.transfers):
            source, destination = int(schedule.source[t]), int(schedule.destination[t])
            number = self._add(
                ranks[source],
                nodes[source][1],
                f" to rank {ranks[destination]}",
                receiver=ranks[destination],
                amount=float(amounts[t]),
                reduces=bool(schedule.operation[t] == REDUCE),
                after=[starts[source], *(offset + schedule.wait_ids[schedule.wait_ptr[t] : schedule.wait_ptr[t + 1]]).tolist()],
            )
            for end in (source, destination):
                self.actions[starts[end] + 1].after.append(number)

    def _schedule(self, collective: str, ranks: list[int], node: Node) -> Schedule:
        """The schedule of a collective node, at size 1."""
        name = self.lowering.algorithms.get(collective, USUAL[collective])
        self._note(f"collective nodes run as {name} ({collective})")
        options = {}
        if collective in ROOTED:
            root = node.value("comm_root", ranks[0])
            if root not in ranks:
                raise node.fault(f"comm_root is {root}: expected one of the ranks of its group")
            options["root"] = ranks.index(root)
        try:
            return build(collective, name, self.lowering.layout(ranks), **options)
        except NotApplicable as reason:
            raise node.fault(f"{name} does not serve its {len(ranks)} ranks: {reason}") from None

    def _fault(self, number: int, message: str) -> None:
        self.faults.append(unmatched(self.actions[number], message))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
