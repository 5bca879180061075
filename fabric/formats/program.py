"""A program: what a schedule file says, as reads and writes of cells. Every foreign format is read into one.

A cell is a place for one chunk: (rank, buffer, offset). An *action* is what one worker of a rank does at a time:

    target[i] = terms[0][i] + terms[1][i] + ...

for each position i of its cell lists; one term copies. An action with a `receiver` is a transfer: it carries its bytes from
`rank` to `receiver` and takes time. Any other action takes its `pause`, which is 0 but for compute. An action starts when
all actions that it is `after` have finished; it may read from its start on and has written everything by its finish.

Sends are eager: a transfer starts when its sender reaches it, whether or not the receiver waits for it yet; what arrives
early lies in the receiver's FIFO, and the receiving action takes it out when its worker gets there. A FIFO of limited
length holds a sender back until a slot is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..errors import InputError
from ..schedule import Schedule

Verdict = Literal["ok", "wrong", "missing", "double", "race", "deadlock", "unmatched", "no-postcondition"]
PRIVATE = ("fifo", "register")  # buffers that only their own two actions ever see
CHANNEL = "channel"  # stands for one end of a FIFO that several workers use: they must take turns

Content = Mapping[int, int]
"""A sum of inputs: for each offset in the input, the set of the ranks whose chunk is in it, as bits."""

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
"""The collectives that have a postcondition here; all else is `custom`."""


@dataclass(slots=True)
class Action:
    """One read-compute-write of one worker."""

    rank: int
    worker: int  # workers are numbered through the whole program; the actions of one go one after another
    step: int  # as the file numbers it
    name: str  # for messages: "thread block 1 step 3 (rrc)"
    terms: tuple[tuple[int, ...], ...] = ()
    targets: tuple[tuple[int, ...], ...] = ()
    receiver: int = -1  # rank; -1 = not a transfer
    amount: float = 0.0  # of a transfer: bytes, or a fraction of S where the program states no size
    reduces: bool = False  # of a transfer: its receiver adds it to what it has
    pause: float = 0.0  # s
    after: list[int] = field(default_factory=list)  # actions

    def __str__(self) -> str:
        return f"rank {self.rank} {self.name}"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a program, and where; None where a fault has no such place."""

    verdict: Verdict
    rank: int | None
    chunk: int | None
    step: int | None
    message: str


class Cells:
    """Numbers the cells of a program in the order in which they are named. A private cell gets a fresh number each time."""

    def __init__(self) -> None:
        self.places: list[tuple[int, str, int]] = []
        self._known: dict[tuple[int, str, int], int] = {}

    def name(self, cell: int) -> str:
        rank, buffer, offset = self.places[cell]
        return f"channel {offset} of rank {rank}" if buffer == CHANNEL else f"chunk {offset} of buffer {buffer} of rank {rank}"

    def number(self, rank: int, buffer: str, offset: int) -> int:
        place = (rank, buffer, offset)
        if place not in self._known:
            self._known[place] = len(self.places)
            self.places.append(place)
        return self._known[place]

    def private(self, rank: int, buffer: str, count: int) -> tuple[int, ...]:
        first = len(self.places)
        self.places += [(rank, buffer, offset) for offset in range(count)]
        return tuple(range(first, first + count))


def printable(text: str) -> str:
    """A name from a file as one line of a table or a message can hold it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])


def refuse_special(schedule: Schedule, form: str) -> None:
    """Raise InputError for what of a schedule none of the formats can hold."""
    special = {
        "folded schedules": (schedule.multiplicity, schedule.repeat, schedule.image),
        "routes of a schedule's own": (schedule.routes,),
        "transfers of several flows": (schedule.streams,),
    }
    for what, columns in special.items():
        if any(column is not None for column in columns):
            raise InputError(f"{form} has no {what}")


class Written(NamedTuple):
    """A schedule in another format; the notes say what the format does not hold."""

    text: str
    notes: list[str]


@dataclass
class Program:
    """Actions on cells between `ranks` ranks.

    start: what a cell holds first, due: what it must hold in the end. A cell that is in neither starts empty and may end
    with anything. size: in bytes, where the file itself
    says how many bytes it moves: the most that one rank sends. smallest, largest: the sizes in bytes that the file is meant
    for. faults: what the reader found that no run can mend. notes: what the file says and a run does not heed.
    """

    collective: str
    name: str
    ranks: int
    actions: list[Action]
    cells: Cells = field(default_factory=Cells)
    start: dict[int, Content] = field(default_factory=dict)
    due: dict[int, Content] = field(default_factory=dict)
    size: float | None = None
    fifos: bool = False  # transfers go through FIFOs, whose length may be limited
    smallest: float = 0.0
    largest: float = float("inf")
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = printable(self.name)

    @property
    def loops(self) -> bool:
        """Whether each worker does all its actions for one slice before the next, as thread blocks do. Messages have no cells,
        and no workers that do one after another."""
        return bool(self.cells.places)


@dataclass(frozen=True)
class Condition:
    """What a collective starts with and must end with: from its name and two numbers alone.

    Each rank has `inputs` chunks and `outputs` chunks; `chunks` make up the size S.
    """

    collective: str
    ranks: int
    chunks: int

    @property
    def share(self) -> int:
        """Chunks of one rank's part."""
        return self.chunks // self.ranks

    @property
    def inputs(self) -> int:
        return self.share if self.collective == "all_gather" else self.chunks

    @property
    def outputs(self) -> int:
        return self.share if self.collective == "reduce_scatter" else self.chunks

    def output(self, rank: int, offset: int) -> Content:
        """The inputs that make up an output."""
        everyone = (1 << self.ranks) - 1
        if self.collective == "all_reduce":
            return {offset: everyone}
        if self.collective == "reduce_scatter":
            return {rank * self.share + offset: everyone}
        source, within = divmod(offset, self.share)
        return {within + (rank * self.share if self.collective == "all_to_all" else 0): 1 << source}

    def alias(self, rank: int, buffer: str, offset: int) -> tuple[str, int]:
        """The one name of a cell in place: input and output share memory."""
        if self.collective == "all_gather" and buffer == "i":
            return "o", rank * self.share + offset
        if self.collective == "reduce_scatter" and buffer == "o":
            return "i", rank * self.share + offset
        return (buffer if self.collective in ("all_gather", "reduce_scatter") or buffer == "s" else "i"), offset

    def fill(self, program: Program, in_place: bool) -> None:
        """Give a program its start and its due cells."""
        for rank in range(self.ranks):
            for offset in range(self.inputs):
                program.start[self.cell(program.cells, rank, "i", offset, in_place)] = {offset: 1 << rank}
            for offset in range(self.outputs):
                program.due[self.cell(program.cells, rank, "o", offset, in_place)] = self.output(rank, offset)

    def cell(self, cells: Cells, rank: int, buffer: str, offset: int, in_place: bool) -> int:
        return cells.number(rank, *(self.alias(rank, buffer, offset) if in_place else (buffer, offset)))


def conflicts(program: Program, order: list[int]) -> Iterator[tuple[int, int, int]]:
    """(earlier, later, cell) of the accesses that must be ordered, as far as ordered pairs do not imply more.

    Between two writes of a cell, every read must follow the first and precede the second. `order` is any order of the
    actions that keeps `after`.
    """
    writer: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    shared = [place[1] not in PRIVATE for place in program.cells.places]
    for number in order:
        action = program.actions[number]
        read = {cell for term in action.terms for cell in term if shared[cell]}
        written = {cell for target in action.targets for cell in target if shared[cell]}
        for cell in sorted(read | written):
            if cell in writer:
                yield writer[cell], number, cell
        for cell in sorted(written):
            for reader in readers.pop(cell, ()):
                yield reader, number, cell
            writer[cell] = number
        for cell in read - written:
            readers.setdefault(cell, []).append(number)
