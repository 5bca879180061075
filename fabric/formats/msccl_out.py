"""A schedule written as MSCCL XML.

Every rank gets a thread block for each peer, direction and channel; each does its transfers in the order of the schedule's
levels, all of a level sending before any receives. A step that must follow steps of other thread blocks depends on them: on
the one that wrote what it reads, and on those that read or wrote what it writes. Only the last dependence fits in a step; a
nop before it carries each other one.

The buffers: all_reduce and reduce_scatter work in the input, in place; all_gather in the output, in place; all_to_all from
input to output, and what only passes through a rank lies in its scratch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, groupby
from math import lcm
from xml.sax.saxutils import quoteattr

import numpy as np

from ..collectives.conditions import is_before, prove
from ..errors import InputError
from ..schedule import REDUCE, Schedule
from .program import Written, refuse_special

WORDS = {"all_reduce": "allreduce", "all_gather": "allgather", "reduce_scatter": "reduce_scatter", "all_to_all": "alltoall"}
MOST_STEPS, MOST_BLOCKS, MOST_COUNT, MOST_CHANNELS = 256, 216, 71, 32  # limits of the MSCCL runtime; channels: of NCCL
_FINEST = 1024  # the smallest part of a block that is looked for, as a fraction 1 / n

Key = tuple[int, int, bool]  # a thread block of a rank: peer, channel, whether it sends
Place = tuple[str, int]  # buffer, offset


@dataclass
class _Step:
    """A step; `after` is the (thread block, step) that it depends on."""

    kind: str
    source: Place = ("i", 0)
    target: Place = ("i", 0)
    count: int = 0
    after: tuple[Key, int] | None = None
    signals: bool = False


@dataclass
class _Cell:
    """Who has used a chunk at a rank: the step that last wrote it, those that have read it since."""

    writer: tuple[Key, int] | None = None
    readers: list[tuple[Key, int]] = field(default_factory=list)


def write_msccl(schedule: Schedule) -> Written:
    """A schedule as MSCCL XML; the notes say what runs otherwise there: a step carries one range of at most 71 chunks.

    A step depends on steps of its own rank only; what a receiver must not overwrite yet, its own steps guard. Transfers of
    one pair and channel go one after another. Raises InputError for what the format cannot hold: unequal blocks, parts
    without a common measure, a folded schedule, more steps, thread blocks or channels than the runtime has; ProofError for a
    schedule that does not do what its collective says.
    """
    writer = _Writer(schedule)
    prove(schedule)
    return Written(writer.text(), writer.notes())


class _Writer:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._check()
        parts = [Fraction(float(part)).limit_denominator(_FINEST) for part in schedule.parts]
        near = all(exact > 0 and abs(float(exact) - part) <= 1e-9 for exact, part in zip(parts, schedule.parts))
        if not near or sum(parts) != 1:
            raise InputError("MSCCL XML has chunks of one size, and the parts of a block have no common measure")
        self.unit = lcm(*(part.denominator for part in parts))
        self.counts = [int(part * self.unit) for part in parts]
        self.starts = [0, *accumulate(self.counts)]
        self.blocks: list[dict[Key, list[_Step]]] = [{} for _ in range(schedule.ranks)]
        self.waited: dict[tuple[int, Key, Key], int] = {}
        self.cells: dict[tuple[int, int], _Cell] = {}
        self.scratch: list[dict[int, int]] = [{} for _ in range(schedule.ranks)]
        self.ends: dict[tuple[int, bool], tuple[Key, int]] = {}  # (transfer, sends): the step that ends it
        self.channels = _channels(schedule)
        self.cut = 0  # transfers that take several steps
        self.foreign = 0  # waits for a transfer between two other ranks

    def _check(self) -> None:
        schedule = self.schedule
        if schedule.collective not in WORDS:
            raise InputError(f"MSCCL XML has no {schedule.collective}; it has {', '.join(WORDS)}")
        refuse_special(schedule, "MSCCL XML")
        if schedule.pause is not None:
            raise InputError("MSCCL XML has no compute")
        if len(set(schedule.blocks.tolist())) > 1 or schedule.parts.ndim > 1:
            raise InputError("MSCCL XML has chunks of one size, and the blocks differ")
        if schedule.share is not None:
            raise InputError("MSCCL XML has whole chunks, and this schedule has transfers of parts of them")

    def text(self) -> str:
        if self.schedule.collective == "all_to_all":
            for rank in range(self.schedule.ranks):
                own = rank * self.unit
                self.blocks[rank][-1, 0, True] = [_Step("cpy", ("i", own), ("o", own), self.unit)]
        # All of a level read before any of it writes.
        for _, level in groupby(_by_level(self.schedule), key=lambda pair: pair[0]):
            transfers = [transfer for _, transfer in level]
            for sends in (True, False):
                for transfer in transfers:
                    self._transfer(transfer, sends)
        self._check_limits()
        return "\n".join(self._lines()) + "\n"

    # --- steps --------------------------------------------------------------------------------------------------------

    def _transfer(self, transfer: int, sends: bool) -> None:
        """One side of a transfer: a step for each range that it carries, after all that it has to follow."""
        schedule = self.schedule
        ends = int(schedule.source[transfer]), int(schedule.destination[transfer])
        rank, peer = ends if sends else ends[::-1]
        kind = "s" if sends else "rrc" if schedule.operation[transfer] == REDUCE else "r"
        needs = self._waits(transfer) if sends else []
        ranges = self._ranges(
            ends, schedule.chunk_ids[schedule.chunk_ptr[transfer] : schedule.chunk_ptr[transfer + 1]].tolist()
        )
        self.cut += sends and len(ranges) > 1
        for chunks, source, target, count in ranges:
            needs += [cell for chunk in chunks for cell in self._needs(rank, chunk, sends)]
            step = _Step(kind, target if kind == "rrc" else source, target, count)
            place = self._append(rank, (peer, self.channels[transfer], sends), step, needs)
            for chunk in chunks:
                cell = self.cells.setdefault((rank, chunk), _Cell())
                if sends:
                    cell.readers.append(place)
                else:
                    cell.writer, cell.readers = place, []
            needs = []
        self.ends[transfer, sends] = place

    def _needs(self, rank: int, chunk: int, sends: bool) -> list[tuple[Key, int]]:
        cell = self.cells.get((rank, chunk), _Cell())
        written = [cell.writer] if cell.writer else []
        return written if sends else [*written, *cell.readers]

    def _waits(self, transfer: int) -> list[tuple[Key, int]]:
        """The steps of this rank with which the transfers that are waited for have finished."""
        schedule, rank, steps = self.schedule, self.schedule.source[transfer], []
        for wait in schedule.wait_ids[schedule.wait_ptr[transfer] : schedule.wait_ptr[transfer + 1]].tolist():
            if rank in (schedule.source[wait], schedule.destination[wait]):
                steps.append(self.ends[wait, bool(rank == schedule.source[wait])])
            else:
                self.foreign += 1
        return steps

    def _append(self, rank: int, key: Key, step: _Step, needs: list[tuple[Key, int]]) -> tuple[Key, int]:
        steps = self.blocks[rank].setdefault(key, [])
        latest: dict[Key, int] = {}
        for other, number in needs:
            if other != key and number > self.waited.get((rank, key, other), -1):
                latest[other] = max(number, latest.get(other, -1))
        dependences = sorted(latest.items())
        for number, after in enumerate(dependences, start=1):
            self.waited[rank, key, after[0]] = after[1]
            self.blocks[rank][after[0]][after[1]].signals = True
            if number < len(dependences):
                steps.append(_Step("nop", after=after))
            else:
                step.after = after
        steps.append(step)
        return key, len(steps) - 1

    # --- places -------------------------------------------------------------------------------------------------------

    def _ranges(self, ends: tuple[int, int], chunks: list[int]) -> list[tuple[list[int], Place, Place, int]]:
        """The ranges of a transfer: chunks, place at the source, place at the destination, how many chunks of the format."""
        ranges: list[tuple[list[int], Place, Place, int]] = []
        for chunk in chunks:
            count = self.counts[chunk % len(self.counts)]
            source, target = (self._place(rank, chunk) for rank in ends)
            if ranges:
                before, first, second, length = ranges[-1]
                follows = (first[0], first[1] + length) == source and (second[0], second[1] + length) == target
                if follows and length + count <= MOST_COUNT:
                    ranges[-1] = ([*before, chunk], first, second, length + count)
                    continue
            ranges.append(([chunk], source, target, count))
        return ranges

    def _place(self, rank: int, chunk: int) -> Place:
        """Where a chunk lies at a rank."""
        schedule = self.schedule
        block, part = divmod(chunk, len(self.counts))
        within = self.starts[part]
        if schedule.collective != "all_to_all":
            return "o" if schedule.collective == "all_gather" else "i", block * self.unit + within
        source, destination = divmod(block, schedule.ranks)
        if rank == source:
            return "i", destination * self.unit + within
        if rank == destination:
            return "o", source * self.unit + within
        slot = self.scratch[rank].setdefault(block, len(self.scratch[rank]))
        return "s", slot * self.unit + within

    # --- text ---------------------------------------------------------------------------------------------------------

    def _check_limits(self) -> None:
        steps = max((len(steps) for blocks in self.blocks for steps in blocks.values()), default=0)
        count = max((step.count for blocks in self.blocks for steps in blocks.values() for step in steps), default=0)
        limits = (
            (max(map(len, self.blocks)), MOST_BLOCKS, "thread blocks of a rank"),
            (steps, MOST_STEPS, "steps of a thread block"),
            (count, MOST_COUNT, "chunks of a step"),
            (max(self.channels, default=0) + 1, MOST_CHANNELS, "channels"),
        )
        for value, most, what in limits:
            if value > most:
                raise InputError(f"MSCCL has at most {most} {what}, and this schedule needs {value}")

    def notes(self) -> list[str]:
        """What the text does otherwise than the schedule."""
        cut = f"{self.cut} transfers carry ranges that lie apart: a step for each, one after another"
        foreign = f"{self.foreign} waits for transfers between other ranks are left to the order of the receiver's steps"
        ordered = self._ordered()
        order = f"{ordered} transfers follow one of their pair and channel that they need not wait for"
        return [note for note, count in ((cut, self.cut), (foreign, self.foreign), (order, ordered)) if count]

    def _ordered(self) -> int:
        """How many transfers a thread block puts after one that the schedule does not make them wait for."""
        schedule, last = self.schedule, dict[tuple[int, int, int], int]()
        pairs: list[tuple[int, int]] = []
        for _, transfer in _by_level(schedule):
            lane = (int(schedule.source[transfer]), int(schedule.destination[transfer]), self.channels[transfer])
            pairs += [(last[lane], transfer)] if lane in last else []
            last[lane] = transfer
        if not pairs:
            return 0
        early, late = np.array(pairs, dtype=np.int64).T
        return int((~is_before(schedule, early, late)).sum())

    def _lines(self) -> Iterator[str]:
        schedule = self.schedule
        share = self.unit * len(schedule.blocks) // (schedule.ranks if schedule.collective == "all_to_all" else 1)
        own = share // schedule.ranks if schedule.collective in ("all_gather", "reduce_scatter") else share
        inputs = own if schedule.collective == "all_gather" else share
        outputs = own if schedule.collective == "reduce_scatter" else share
        in_place = int(schedule.collective != "all_to_all")
        yield (
            f'<algo name={quoteattr(schedule.algorithm)} proto="Simple" nchannels="{max(self.channels, default=0) + 1}" '
            f'nchunksperloop="{share}" ngpus="{schedule.ranks}" coll="{WORDS[schedule.collective]}" inplace="{in_place}" '
            f'outofplace="{1 - in_place}" minBytes="0" maxBytes="0">'
        )
        for rank, blocks in enumerate(self.blocks):
            scratch = len(self.scratch[rank]) * self.unit
            yield f'  <gpu id="{rank}" i_chunks="{inputs}" o_chunks="{outputs}" s_chunks="{scratch}">'
            numbers = {key: number for number, key in enumerate(blocks)}
            for key, steps in blocks.items():
                send, receive = (key[0], -1) if key[2] else (-1, key[0])
                yield f'    <tb id="{numbers[key]}" send="{send}" recv="{receive}" chan="{key[1]}">'
                yield from (_line(number, step, numbers) for number, step in enumerate(steps))
                yield "    </tb>"
            yield "  </gpu>"
        yield "</algo>"


def _line(number: int, step: _Step, numbers: dict[Key, int]) -> str:
    depends = (numbers[step.after[0]], step.after[1]) if step.after else (-1, -1)
    return (
        f'      <step s="{number}" type="{step.kind}" srcbuf="{step.source[0]}" srcoff="{step.source[1]}" '
        f'dstbuf="{step.target[0]}" dstoff="{step.target[1]}" cnt="{step.count}" '
        f'depid="{depends[0]}" deps="{depends[1]}" hasdep="{int(step.signals)}"/>'
    )


def _channels(schedule: Schedule) -> list[int]:
    """[T] the channel of each transfer: one of a pair's own for each channel of the schedule, and for transfers of one step."""
    seen: Counter[tuple[int, int, int, int]] = Counter()
    places: list[tuple[int, int]] = []
    columns = (schedule.source, schedule.destination, schedule.channel, schedule.step)
    for same in zip(*(column.tolist() for column in columns)):
        places.append((same[2], seen[same]))
        seen[same] += 1
    numbers = {place: number for number, place in enumerate(sorted(set(places)))}
    return [numbers[place] for place in places]


def _by_level(schedule: Schedule) -> list[tuple[int, int]]:
    """(level, transfer): level 0 waits for nothing, each other one is one above the highest that it waits for."""
    left = [int(count) for count in schedule.wait_ptr[1:] - schedule.wait_ptr[:-1]]
    waiting: list[list[int]] = [[] for _ in left]
    for transfer in range(schedule.transfers):
        for wait in schedule.wait_ids[schedule.wait_ptr[transfer] : schedule.wait_ptr[transfer + 1]].tolist():
            waiting[wait].append(transfer)
    level = [(0, transfer) for transfer, count in enumerate(left) if not count]
    for height, transfer in level:  # grows as it goes
        for later in waiting[transfer]:
            left[later] -= 1
            if not left[later]:
                level.append((height + 1, later))
    if len(level) < schedule.transfers:
        raise InputError("its transfers wait for each other in a circle")
    return level
