"""MSCCL XML: read into a program, and written from a schedule. Facts: microsoft/msccl, src/graph/topo.cc and the interpreter.

A thread block does its steps one after another, has at most one peer to send to and one to receive from, and one channel.
The k-th send on (source, destination, channel) meets the k-th receive. A chunk is size / nchunksperloop. The device cuts
chunks into slices and repeats the program over them; here a chunk is one flow, and a step that receives and forwards
(rcs, rrs, rrcs) forwards once all has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import nearest
from .program import CHANNEL, COLLECTIVES, Action, Cells, Condition, Fault, Program, Verdict
from .verdict import in_order
from .xml import Element, read_xml

NAMES = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "reducescatter": "reduce_scatter",
    "alltoall": "all_to_all",
}
TYPES = ("s", "r", "rcs", "rrc", "rrcs", "rrs", "cpy", "re", "nop")
SENDS = frozenset(("s", "rcs", "rrcs", "rrs"))
RECEIVES = frozenset(("r", "rcs", "rrc", "rrcs", "rrs"))
REDUCES = frozenset(("rrc", "rrcs", "rrs"))
SLOTS = 8  # of a FIFO of NCCL (NCCL_STEPS)

MOST_CELLS = 4_000_000  # inputs of all ranks
MOST_USES = 20_000_000  # chunks that all steps name
_ATTRIBUTES = {
    "algo": ("name", "coll", "ngpus", "nchunksperloop", "nchannels", "proto", "inplace", "outofplace", "minBytes", "maxBytes",
             "nthreads", "redop"),
    "gpu": ("id", "i_chunks", "o_chunks", "s_chunks"),
    "tb": ("id", "send", "recv", "chan"),
    "copy": ("i_off", "o_off"),
    "step": ("s", "type", "srcbuf", "srcoff", "dstbuf", "dstoff", "cnt", "depid", "deps", "hasdep"),
}  # fmt: skip


def read_msccl(data: bytes, file: str, slots: int | None = None) -> Program:
    """The program of an MSCCL XML file. slots: how many sends a FIFO holds (8 in NCCL); without limit where nothing is said.

    Raises InputError with file and line where the file makes no sense. What it says that cannot work (a send that nobody
    receives) is a fault of the program.
    """
    root = read_xml(data, file)
    if root.tag != "algo":
        raise root.fault("expected <algo>, the root of an MSCCL schedule")
    return _Reader(root).program(slots)


@dataclass
class _Fifo:
    """The sends and receives on one (source, destination, channel), in order."""

    sends: list[tuple[int, Element]] = field(default_factory=list)
    receives: list[tuple[int, Element]] = field(default_factory=list)


class _Reader:
    def __init__(self, root: Element) -> None:
        self.root = root
        self.ranks = root.whole("ngpus", 1)
        self.chunks = root.whole("nchunksperloop", 1)
        self.cells = Cells()
        self.actions: list[Action] = []
        self.faults: list[Fault] = []
        self.fifos: dict[tuple[int, int, int], _Fifo] = {}
        self.spans: dict[tuple[int, int], list[tuple[int, int]]] = {}  # (rank, thread block): each step's first and last action
        self.signals: dict[tuple[int, int], list[bool]] = {}
        self.buffers: dict[str, int] = {}
        self.uses = 0
        word = root.word("coll")
        self.collective = NAMES.get(word, "custom")
        self.in_place = self.collective in COLLECTIVES and root.whole("inplace", 0, 1, default=1) == 1
        self.notes = [] if word in NAMES or word == "custom" else [_unnamed(word)]
        self.condition = Condition(self.collective, self.ranks, self.chunks)
        self._check()

    def _check(self) -> None:
        """The head of the file, and that it has all ranks."""
        root = self.root
        ids = sorted(gpu.whole("id") for gpu in root.inside("gpu"))
        if len(ids) != self.ranks or ids != list(range(self.ranks)):
            has = f"{len(ids)}, numbered {ids[:4]}{' ...' * (len(ids) > 4)}"
            raise root.fault(f"ngpus is {self.ranks}, so there have to be gpus 0 to {self.ranks - 1} once each, not {has}")
        if self.collective not in ("custom", "all_reduce") and self.chunks % self.ranks:
            raise root.fault(f"nchunksperloop {self.chunks} of {root.word('coll')} is no multiple of {self.ranks} gpus")
        if self.ranks * self.chunks > MOST_CELLS:
            raise root.fault(f"{self.ranks} gpus times {self.chunks} chunks are more than the {MOST_CELLS} that are read")

    def program(self, slots: int | None) -> Program:
        for gpu in self.root.children:
            self._gpu(gpu)
        for gpu in self.root.children:
            self._dependences(gpu)
        turns = {number: turn for turn, number in enumerate(in_order(self.actions))}
        for (source, destination, channel), fifo in self.fifos.items():
            self._take_turns(fifo.sends, source, channel, turns)
            self._take_turns(fifo.receives, destination, channel, turns)
            self._match(fifo, f"rank {source} to rank {destination} on channel {channel}", slots)
        root = self.root
        program = Program(
            self.collective,
            root.attributes.get("name") or "msccl",
            self.ranks,
            self.actions,
            self.cells,
            fifos=True,
            smallest=root.whole("minBytes", default=0),
            largest=root.whole("maxBytes", default=0) or float("inf"),
            faults=self.faults,
            notes=[*self.notes, *self._strangers()],
        )
        if self.collective in COLLECTIVES:
            self.condition.fill(program, self.in_place)
        return program

    def _gpu(self, gpu: Element) -> None:
        rank = gpu.whole("id")
        self.buffers = {
            "i": self.condition.inputs if self.collective in COLLECTIVES else gpu.whole("i_chunks"),
            "o": self.condition.outputs if self.collective in COLLECTIVES else gpu.whole("o_chunks"),
            "s": gpu.whole("s_chunks", default=0),
        }
        copies = self._copies(rank, gpu)
        for block in gpu.inside("tb", "copy"):
            self._block(rank, block, copies)

    def _copies(self, rank: int, gpu: Element) -> list[int]:
        """<copy> is done before anything else; in place it is often a copy of a cell to itself."""
        numbers = []
        for copy in (child for child in gpu.children if child.tag == "copy"):
            source, target = (
                self._cells(rank, copy, "i", copy.whole("i_off"), 1),
                self._cells(rank, copy, "o", copy.whole("o_off"), 1),
            )
            if source != target:
                numbers.append(len(self.actions))
                self.actions.append(Action(rank, 0, 0, "copy before the first step", (source,), (target,)))
        return numbers

    def _block(self, rank: int, block: Element, copies: list[int]) -> None:
        place = (rank, block.whole("id"))
        if place in self.spans:
            raise block.fault(f"a second thread block {place[1]} of gpu {rank}")
        self.spans[place], self.signals[place] = [], []
        worker, before = len(self.spans), -1
        for number, step in enumerate(block.inside("step")):
            if step.whole("s") != number:
                raise step.fault(f"expected step {number} here, not {step.whole('s')}")
            first = len(self.actions)
            for action in self._step(rank, worker, block, step):
                action.after += copies if before < 0 else [before]
                before = len(self.actions)
                self.actions.append(action)
            self.spans[place].append((first, before))
            self.signals[place].append(step.whole("hasdep", 0, 1, default=0) == 1)

    def _step(self, rank: int, worker: int, block: Element, step: Element) -> list[Action]:
        """The one or two actions of a step; what is received joins the terms when the FIFOs are matched."""
        kind, number = step.word("type", TYPES), step.whole("s")
        name = f"thread block {block.whole('id')} step {number} ({kind})"
        first, count = len(self.actions), step.whole("cnt", 0 if kind == "nop" else 1)
        if kind == "nop":
            return [Action(rank, worker, number, name)]
        if kind == "s":
            terms = (self._side(rank, step, "src", count),)
            return [self._sending(Action(rank, worker, number, name, terms), block, step, count, first)]
        reads = [self._side(rank, step, "src", count)] if kind == "cpy" or kind == "re" or kind in REDUCES else []
        writes = [self._side(rank, step, "dst", count)] if kind != "rrs" else []
        if kind == "re":
            reads = [*writes, *reads]
        register = [self.cells.private(rank, "register", count)] if kind in SENDS else []
        one = Action(rank, worker, number, name, tuple(reads), (*writes, *register))
        if kind not in RECEIVES:
            return [one]
        self._receiving(one, block, step, first)
        if kind not in SENDS:
            return [one]
        forward = Action(rank, worker, number, name, tuple(register))
        return [one, self._sending(forward, block, step, count, first + 1)]

    def _side(self, rank: int, step: Element, side: str, count: int) -> tuple[int, ...]:
        return self._cells(rank, step, step.word(f"{side}buf", ("i", "o", "s")), step.whole(f"{side}off"), count)

    def _cells(self, rank: int, element: Element, buffer: str, offset: int, count: int) -> tuple[int, ...]:
        size = self.buffers[buffer]
        if offset + count > size:
            where = f"buffer {buffer} of gpu {rank}"
            raise element.fault(f"chunks {offset} to {offset + count - 1} go beyond the {size} of {where}")
        self.uses += count
        if self.uses > MOST_USES:
            raise element.fault(f"the steps so far name more than the {MOST_USES} chunks that are read")
        return tuple(self.condition.cell(self.cells, rank, buffer, offset + k, self.in_place) for k in range(count))

    def _sending(self, action: Action, block: Element, step: Element, count: int, number: int) -> Action:
        peer = self._peer(action, block, step, "send")
        action.receiver, action.amount = peer, count / self.chunks
        self._fifo(action.rank, peer, block).sends.append((number, step))
        return action

    def _receiving(self, action: Action, block: Element, step: Element, number: int) -> None:
        self._fifo(self._peer(action, block, step, "recv"), action.rank, block).receives.append((number, step))

    def _peer(self, action: Action, block: Element, step: Element, side: str) -> int:
        peer = block.whole(side, -1)
        if peer == action.rank or not 0 <= peer < self.ranks:
            raise step.fault(f"{action} needs a peer, and {side} of its thread block is {peer}")
        return peer

    def _fifo(self, source: int, destination: int, block: Element) -> _Fifo:
        return self.fifos.setdefault((source, destination, block.whole("chan")), _Fifo())

    def _dependences(self, gpu: Element) -> None:
        """depid, deps: wait until that thread block has signalled that step or a later one."""
        rank = gpu.whole("id")
        for block in gpu.inside("tb", "copy"):
            for step, (number, _) in zip(block.children, self.spans[rank, block.whole("id")]):
                other = step.whole("depid", -1, default=-1)
                if other < 0:
                    continue
                wanted = step.whole("deps", 0)
                signals = self.signals.get((rank, other))
                if signals is None or wanted >= len(signals):
                    raise step.fault(f"it waits for step {wanted} of thread block {other} of gpu {rank}, which is not there")
                given = next((s for s in range(wanted, len(signals)) if signals[s]), None)
                if given is None:
                    self._fault(
                        number, step, "deadlock", f"waits for step {wanted} of thread block {other}, which gives no signal"
                    )
                else:
                    self.actions[number].after.append(self.spans[rank, other][given][1])

    def _take_turns(self, ends: list[tuple[int, Element]], rank: int, channel: int, turns: dict[int, int]) -> None:
        """Where several thread blocks share one end of a FIFO, their dependences say who comes when."""
        if len({self.actions[number].worker for number, _ in ends}) > 1:
            ends.sort(key=lambda end: turns.get(end[0], len(turns)))
            for number, _ in ends:
                self.actions[number].targets += ((self.cells.number(rank, CHANNEL, channel),),)

    def _match(self, fifo: _Fifo, where: str, slots: int | None) -> None:
        for k, ((send, one), (receive, other)) in enumerate(zip(fifo.sends, fifo.receives)):
            sending, receiving = self.actions[send], self.actions[receive]
            count = one.whole("cnt")
            if count != other.whole("cnt"):
                self._fault(receive, other, "unmatched", f"takes {other.whole('cnt')} chunks, and {sending} sends {count}")
                continue
            arrived = self.cells.private(receiving.rank, "fifo", count)
            sending.targets, sending.reduces = (arrived, *sending.targets), other.word("type") in REDUCES
            receiving.terms = (arrived, *receiving.terms)
            receiving.after.append(send)
            if slots is not None and k >= slots:
                sending.after.append(fifo.receives[k - slots][0])
        matched = min(len(fifo.sends), len(fifo.receives))
        for number, step in fifo.sends[matched:]:
            self._fault(number, step, "unmatched", f"nobody receives send {matched} from {where}")
        for number, step in fifo.receives[matched:]:
            self._fault(number, step, "unmatched", f"nobody sends what receive {matched} takes from {where}")

    def _fault(self, number: int, step: Element, verdict: Verdict, message: str) -> None:
        action = self.actions[number]
        side = "src" if step.word("type") == "s" else "dst"
        self.faults.append(
            Fault(verdict, action.rank, step.whole(f"{side}off", default=0), action.step, f"{action}: {message}")
        )

    def _strangers(self) -> list[str]:
        """Attributes whose meaning is not known here: said, not dropped in silence."""
        found: dict[str, str] = {}
        layer = [self.root]
        while layer:
            for element in layer:
                for name in element.attributes:
                    if name not in _ATTRIBUTES[element.tag]:
                        found.setdefault(
                            f"{element.tag} {name}", f"{element.file}:{element.line}: {element.tag} has {name}, unknown here"
                        )
            layer = [child for element in layer for child in element.children]
        return list(found.values())


def _unnamed(word: str) -> str:
    return f"no postcondition is known of {word!r}{nearest(word, list(NAMES))}"
