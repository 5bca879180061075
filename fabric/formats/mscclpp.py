"""MSCCL++ execution plans (JSON), read into a program. Facts: microsoft/mscclpp, src/executor.

A thread block does its operations one after another. They are one-sided: `put` writes to another rank's buffer, `get` reads
from it, and data is safe to read after a `wait` that meets the other rank's `signal`. The k-th signal on a channel meets the
k-th wait at its other end; relaxed ones too. In the operations on packets a reader of a packet waits for its writer by
itself; packets lie in scratch. A signal takes no time here, and a pipeline runs once over whole chunks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..errors import InputError, nearest
from .msccl import MOST_CELLS, MOST_USES, NAMES
from .program import COLLECTIVES, Action, Condition, Fault, Program, printable

MOVES = ("copy", "put", "pws", "pwsf", "get", "re", "res", "rre", "rres")
PACKETS = ("ppkt", "cpkt", "upkt", "rppkt", "respkt", "repkt", "recpkt", "recspkt")
SIGNALS = ("signal", "rlxsignal", "pws", "pwsf")
WAITS = ("wait", "rlxwait")
NOTHING = ("nop", "flush")
KEYS = {
    "plan": {"name", "collective", "protocol", "inplace", "reuse_resources", "gpus", "num_threads_per_block",
             "use_double_scratch_buffer", "buffer_alignment", "min_message_size", "max_message_size"},
    "gpu": {"id", "input_chunks", "output_chunks", "scratch_chunks", "threadblocks", "channels", "remote_buffers",
            "semaphores"},
    "thread block": {"id", "ops", "channels", "remote_buffer_refs"},
    "operation": {"name", "src_buff", "dst_buff", "channel_type", "channel_ids", "reduce_op", "barrier_id", "nthread_blocks",
                  "iter_context", "ops"},
}  # fmt: skip
OPERATIONS = (*MOVES, *PACKETS, *SIGNALS, *WAITS, *NOTHING, "barrier", "pipeline")

Object = dict[str, Any]
Cells = tuple[int, ...]


def read_mscclpp(data: bytes, file: str) -> Program:
    """The program of an execution plan. Raises InputError with file and place; refuses operations that it does not know."""
    try:
        plan = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: no JSON: {error}") from None
    return _Reader(file, _typed(plan, dict, file, "the plan")).program()


def _typed(value: object, kind: type[Any], file: str, where: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        words = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}
        raise InputError(f"{file}: {where}: expected {words[kind]}, not {str(value)[:60]!r}")
    return value


class _Reader:
    def __init__(self, file: str, plan: Object) -> None:
        self.file, self.plan = file, plan
        self.gpus = [_typed(gpu, dict, file, f"gpus[{k}]") for k, gpu in enumerate(self._list(plan, "gpus", "plan"))]
        self.ranks = len(self.gpus)
        if not self.ranks:
            raise self._wrong("gpus", "expected at least one")
        word = _typed(plan.get("collective"), str, file, "collective")
        self.collective = NAMES.get(word, "custom")
        self.notes = [] if word in NAMES else [f"no postcondition is known of {word!r}{nearest(word, list(NAMES))}"]
        sizes = "output_chunks" if self.collective == "all_gather" else "input_chunks"
        self.chunks = self._whole(self.gpus[0], sizes, "gpus[0]", 1)
        self._check_sizes()
        self.in_place = self.collective in COLLECTIVES and bool(plan.get("inplace", False))
        self.condition = Condition(self.collective, self.ranks, self.chunks)
        self.program_ = Program(
            self.collective,
            str(plan.get("name") or "mscclpp"),
            self.ranks,
            [],
            smallest=float(self._whole(plan, "min_message_size", "plan", default=0)),
            largest=float(self._whole(plan, "max_message_size", "plan", default=1 << 64)) + 1,
            notes=self.notes,
        )
        self.actions, self.cells = self.program_.actions, self.program_.cells
        self.workers = self.uses = 0
        self.signals: dict[tuple[int, int, str, int], tuple[list[int], list[int]]] = {}
        self.barriers: dict[tuple[int, int, int], list[int]] = {}
        self.packets: dict[int, list[int]] = {}  # cell -> the actions that write it as a packet
        self.readers: list[tuple[int, Cells]] = []  # actions that wait for packets

    def _check_sizes(self) -> None:
        self._known("plan", self.plan, "plan")
        for rank, gpu in enumerate(self.gpus):
            self._known("gpu", gpu, f"gpus[{rank}]")
            if self._whole(gpu, "id", f"gpus[{rank}]") != rank:
                raise self._wrong(f"gpus[{rank}]", f"expected id {rank}, not {gpu['id']}")
        if self.collective not in ("custom", "all_reduce") and self.chunks % self.ranks:
            raise self._wrong("gpus[0]", f"{self.chunks} chunks are no multiple of {self.ranks} gpus")
        if self.ranks * self.chunks > MOST_CELLS:
            raise self._wrong(
                "gpus", f"{self.ranks} gpus times {self.chunks} chunks are more than the {MOST_CELLS} that are read"
            )

    def program(self) -> Program:
        for rank, gpu in enumerate(self.gpus):
            for index, block in enumerate(self._list(gpu, "threadblocks", f"gpus[{rank}]")):
                where = f"gpus[{rank}].threadblocks[{index}]"
                self._block(rank, _typed(block, dict, self.file, where), where)
        for (source, destination, kind, index), (signals, waits) in self.signals.items():
            self._meet(f"{kind} channel {index} from rank {source} to rank {destination}", signals, waits)
        for number, cells in self.readers:
            self._await_packets(number, cells)
        if self.collective in COLLECTIVES:
            self.condition.fill(self.program_, self.in_place)
        return self.program_

    # --- what a thread block does -------------------------------------------------------------------------------------

    def _block(self, rank: int, block: Object, where: str) -> None:
        self._known("thread block", block, where)
        self.workers += 1
        before: list[int] = []
        uses: dict[int, int] = {}
        operations = [(f"{where}.ops[{step}]", step, one) for step, one in enumerate(self._list(block, "ops", where))]
        while operations:
            place, step, operation = operations.pop(0)
            operation = _typed(operation, dict, self.file, place)
            kind = _typed(operation.get("name"), str, self.file, f"{place}.name")
            if kind not in OPERATIONS:
                raise self._wrong(
                    place, f"operation {kind!r} is not read{nearest(kind, OPERATIONS)}; known: {', '.join(OPERATIONS)}"
                )
            self._known("operation", operation, place)
            if kind == "pipeline":
                self._note("a pipeline runs once over whole chunks, not unit by unit")
                inner = self._list(operation, "ops", place)
                operations = [(f"{place}.ops[{k}]", step, one) for k, one in enumerate(inner)] + operations
                continue
            name = f"{where.partition('.')[2]} op {step} ({kind})"
            action = Action(rank, self.workers, step, name)
            if kind in MOVES or kind in PACKETS:
                before = self._move(action, block, operation, kind, place, before)
            if kind in SIGNALS or kind in WAITS:
                before = self._signal(action, block, operation, kind in SIGNALS, place, before)
            if kind == "barrier":
                before = self._barrier(action, operation, place, before, uses)

    def _add(self, like: Action, after: Sequence[int], **about: Any) -> int:
        self.actions.append(Action(about.pop("rank", like.rank), like.worker, like.step, like.name, after=list(after), **about))
        return len(self.actions) - 1

    def _move(self, like: Action, block: Object, operation: Object, kind: str, place: str, before: list[int]) -> list[int]:
        """Every operation on data: the sum of its sources goes to each of its destinations, remote ones by transfers."""
        sources = self._sides(like.rank, block, operation, "src_buff", place)
        targets = self._sides(like.rank, block, operation, "dst_buff", place)
        count = len(sources[0][1])
        if any(len(cells) != count for _, cells in (*sources, *targets)):
            raise self._wrong(place, "its sources and destinations differ in size")
        amount, packets = count / self.chunks, kind in PACKETS
        fetched, terms = [], []
        for rank, cells in sources:
            term = cells
            if rank != like.rank:
                term = self.cells.private(like.rank, "register", count)
                fetched.append(
                    self._add(like, before, rank=rank, receiver=like.rank, amount=amount, terms=(cells,), targets=(term,))
                )
            terms.append(term)
        local = tuple(cells for rank, cells in targets if rank == like.rank)
        register = (self.cells.private(like.rank, "register", count),) if len(local) < len(targets) else ()
        summed = self._add(like, [*before, *fetched], terms=tuple(terms), targets=(*local, *register))
        if packets:
            self.readers += [(summed, cells) for rank, cells in sources if self._scratch(cells)]
            self._write_packets(summed, local)
        ends = []
        for rank, cells in targets:
            if rank != like.rank:
                ends.append(self._add(like, [summed], receiver=rank, amount=amount, terms=register, targets=(cells,)))
                if packets:
                    self._write_packets(ends[-1], (cells,))
        return ends or [summed]

    def _sides(self, rank: int, block: Object, operation: Object, side: str, place: str) -> list[tuple[int, Cells]]:
        """(rank, cells) of each source or destination."""
        return [
            self._cells(rank, block, _typed(part, dict, self.file, f"{place}.{side}[{k}]"), operation, f"{place}.{side}[{k}]")
            for k, part in enumerate(self._list(operation, side, place, least=1))
        ]

    def _cells(self, rank: int, block: Object, part: Object, operation: Object, where: str) -> tuple[int, Cells]:
        buffer = part.get("type")
        if "buffer_id" in part:
            kind = operation.get("channel_type", "memory")
            ids = self._numbers(block, "remote_buffer_refs", "access_channel_type", kind, "remote_buffer_ids", where)
            known = self._list(self.gpus[rank], "remote_buffers", f"gpus[{rank}]")
            remote = self._pick(known, self._pick(ids, part["buffer_id"], f"{where}.buffer_id"), where)
            remote = _typed(remote, dict, self.file, where)
            rank, buffer = self._whole(remote, "rank", where), remote.get("type")
            if rank >= self.ranks:
                raise self._wrong(where, f"no rank {rank}: the plan has {self.ranks}")
        if buffer not in ("i", "o", "s"):
            raise self._wrong(where, f"unknown buffer {buffer!r}; known: i, o, s")
        first, count = self._whole(part, "index", where), self._whole(part, "size", where, 1)
        if first + count > self._size(rank, buffer):
            last = first + count - 1
            raise self._wrong(
                where, f"chunks {first} to {last} go beyond the {self._size(rank, buffer)} of buffer {buffer} of rank {rank}"
            )
        self.uses += count
        if self.uses > MOST_USES:
            raise self._wrong(where, f"its operations name more than the {MOST_USES} chunks that are read")
        cells = (self.condition.cell(self.cells, rank, buffer, first + k, self.in_place) for k in range(count))
        return rank, tuple(cells)

    def _size(self, rank: int, buffer: str) -> int:
        known = {"i": self.condition.inputs, "o": self.condition.outputs} if self.collective in COLLECTIVES else {}
        words = {"i": "input_chunks", "o": "output_chunks", "s": "scratch_chunks"}
        return known[buffer] if buffer in known else self._whole(self.gpus[rank], words[buffer], f"gpus[{rank}]", default=0)

    # --- what orders thread blocks and ranks --------------------------------------------------------------------------

    def _signal(self, like: Action, block: Object, operation: Object, sends: bool, place: str, before: list[int]) -> list[int]:
        kind = operation.get("channel_type", "memory")
        mine = self._numbers(block, "channels", "channel_type", kind, "channel_ids", place)
        peers = self._numbers(self.gpus[like.rank], "channels", "channel_type", kind, "connected_to", place)
        numbers = []
        for local in self._list(operation, "channel_ids", place, least=1):
            channel = self._pick(mine, local, f"{place}.channel_ids")
            peer = self._pick(peers, channel, f"{place}.channel_ids")
            # The i-th channel of this rank to a peer is the i-th of that peer to this rank.
            index = peers[:channel].count(peer)
            ends = (like.rank, peer) if sends else (peer, like.rank)
            number = self._add(like, before)
            self.signals.setdefault((*ends, kind, index), ([], []))[0 if sends else 1].append(number)
            numbers.append(number)
        return numbers

    def _meet(self, where: str, signals: list[int], waits: list[int]) -> None:
        for signal, wait in zip(signals, waits):
            self.actions[wait].after.append(signal)
        for number in waits[len(signals) :]:
            self._fault("deadlock", number, f"waits for ever: no such signal on {where}")

    def _barrier(self, like: Action, operation: Object, place: str, before: list[int], uses: dict[int, int]) -> list[int]:
        """The k-th use of a barrier by each of its thread blocks: all go on when all are there."""
        which, count = self._whole(operation, "barrier_id", place), self._whole(operation, "nthread_blocks", place, 1)
        uses[which] = uses.get(which, -1) + 1
        meeting = self.barriers.setdefault((like.rank, which, uses[which]), [])
        arrived, leaves = self._add(like, before), self._add(like, before)
        meeting += [arrived, leaves]
        if len(meeting) == 2 * count:
            for leave in meeting[1::2]:
                self.actions[leave].after += meeting[::2]
        return [leaves]

    def _scratch(self, cells: Cells) -> bool:
        return self.cells.places[cells[0]][1] == "s"

    def _write_packets(self, number: int, targets: Sequence[Cells]) -> None:
        for cells in targets:
            if self._scratch(cells):
                for cell in cells:
                    self.packets.setdefault(cell, []).append(number)

    def _await_packets(self, number: int, cells: Cells) -> None:
        for cell in cells:
            writers = [writer for writer in self.packets.get(cell, []) if writer != number]
            self.actions[number].after += writers
            if not writers:
                self._fault("deadlock", number, f"waits for ever: nobody writes a packet to {self.cells.name(cell)}")

    # --- words --------------------------------------------------------------------------------------------------------

    def _fault(self, verdict: Any, number: int, message: str) -> None:
        action = self.actions[number]
        self.program_.faults.append(Fault(verdict, action.rank, None, action.step, f"{action}: {message}"))

    def _known(self, what: str, holder: Object, where: str) -> None:
        """Keys whose meaning is not known here: said once each, not dropped in silence."""
        for key in holder.keys() - KEYS[what]:
            self._note(f"{self.file}: {what} has {printable(key)!r}, unknown here", f", first at {where}")

    def _note(self, text: str, where: str = "") -> None:
        if not any(note.startswith(text) for note in self.notes):
            self.notes.append(text + where)

    def _wrong(self, where: str, message: str) -> InputError:
        return InputError(f"{self.file}: {where}: {message}")

    def _whole(self, holder: Object, key: str, where: str, least: int = 0, default: int | None = None) -> int:
        value = _typed(holder.get(key, default), int, self.file, f"{where}.{key}")
        if value < least:
            raise self._wrong(f"{where}.{key}", f"expected at least {least}, not {value}")
        return int(value)

    def _list(self, holder: Object, key: str, where: str, least: int = 0) -> list[Any]:
        values: list[Any] = _typed(holder.get(key), list, self.file, f"{where}.{key}")
        if len(values) < least:
            raise self._wrong(f"{where}.{key}", f"expected at least {least}")
        return values

    def _numbers(self, holder: Object, key: str, by: str, kind: object, numbers: str, where: str) -> list[int]:
        """The numbers under `numbers` of those objects under `key` whose `by` is `kind`, one after another."""
        entries = [
            _typed(one, dict, self.file, f"{where}: {key}") for one in (self._list(holder, key, where) if key in holder else ())
        ]
        lists = [self._list(one, numbers, f"{where}: {key}") for one in entries if one.get(by) == kind]
        return [_typed(number, int, self.file, f"{where}: {key}: {numbers}") for some in lists for number in some]

    def _pick(self, values: Sequence[Any], index: object, where: str) -> Any:
        if not isinstance(index, int) or not 0 <= index < len(values):
            raise self._wrong(where, f"no number {index} among {len(values)}")
        return values[index]
