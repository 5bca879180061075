"""The proof of a schedule: run on sets of contributions instead of bytes, it must do what its collective asks.

A cell is one chunk at one rank; it holds the set of the ranks whose input is summed in it. Where nothing is summed it
is empty or whole. The collective's name alone says what every cell starts with and what some must end with.

A transfer reads when it starts and writes when it finishes, and starts exactly when all that it waits for has finished,
however long transfers take. Hence, for any durations,

    a read comes after a write   iff the write is an ancestor of the reader (along the waits),
    a read comes before a write  iff all that the reader waits for are ancestors of the writer,
    a write comes before another iff it is an ancestor of it.

Transfers run level by level (level 0 waits for nothing; each other one is one above the highest that it waits for), all
of a level reading before any writes. If every pair of accesses to one cell that matters is ordered as above, each valid
order ends as this one; if not, that is a race. No ordered pair contradicts the levels. Sums commute, so only sums
of one cell need no order.

Most pairs are joined by the way of their chunk, so ancestry is first followed chunk by chunk, in bit sets over the
transfers that carry the chunk; what that leaves open is searched for along all waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..csr import pointers, ranges
from ..errors import FabricError, InputError, unknown
from ..schedule import COPY, PERSONAL, REDUCE, Schedule
from ..waits import levels
from .orbits import is_symmetric

Verdict = Literal["missing", "wrong", "double", "race", "deadlock", "unmatched"]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bools = NDArray[np.bool_]

_WHOLE = ("all_reduce", "broadcast", "reduce")  # of any number of blocks
_BY_RANK = ("all_gather", "reduce_scatter", "gather", "scatter")  # of a block for each rank
COLLECTIVES = (*_WHOLE, *_BY_RANK, *PERSONAL)
_SUMS = ("all_reduce", "reduce_scatter", "reduce")

# Ranks per word of a contribution set. The upper half stays free, so that adding up to 2^32 sets never wraps: the sum
# equals the union exactly when the sets are disjoint.
_SET = 32
_WORD = 64
_BUDGET = 1 << 22  # words of state at a time: 32 MiB
_BLOCK = 1 << 18  # waits at a time

# What `affordable` allows. On a core of 2023 each of these alone takes 0.2 to 0.8 s and 60 to 160 MiB.
MOST_ENTRIES, MOST_ALIKE = 400_000, 10_000_000  # chunks moved, without symmetry and with it
MOST_TRANSFERS, MOST_WAITS = 1_100_000, 4_000_000
MOST_OF_A_CHUNK = 1 << 14  # transfers


class ProofError(FabricError):
    """A schedule does not do what its collective asks.

    verdict: missing (data that is read or due was never there), wrong (a sum where the collective has none),
        double (a contribution comes twice), race (the result depends on the durations), deadlock (cyclic waits),
        unmatched (no such rank, chunk or transfer).
    rank, chunk, step: where; None where a fault has no such place.
    """

    def __init__(self, verdict: Verdict, rank: int | None, chunk: int | None, step: int | None, message: str) -> None:
        self.verdict, self.rank, self.chunk, self.step = verdict, rank, chunk, step
        super().__init__(f"{verdict}: {message}")


@dataclass(frozen=True)
class Proof:
    """A schedule was proved: so many transfers, the longest chain of waits so many transfers long."""

    transfers: int
    levels: int

    def __str__(self) -> str:
        return f"proved on chunk sets: {self.transfers} transfers in {self.levels} levels"


def prove(schedule: Schedule) -> Proof:
    """Proves that a schedule fulfils its collective for any durations of its transfers.

    Raises ProofError where it does not, InputError for a collective without a postcondition and for a folded schedule.
    """
    _check_form(schedule)
    level = _levels(schedule)
    alike, one = is_symmetric(schedule), len(schedule.blocks) == 1
    # Where the ranks are alike, the chunks of one will do; if the chunks are of all of them, what one does will.
    chunks = schedule.chunks // schedule.ranks if alike and not one else schedule.chunks
    pairs = [_Run(schedule, level, some).open_pairs() for some in _slabs(schedule, chunks)]
    if alike and one:
        pairs = [some[:, schedule.source[some[1]] == 0] for some in pairs]
    _check_order(schedule, pairs)
    return Proof(schedule.transfers, int(level.max()) + 1 if len(level) else 0)


def affordable(schedule: Schedule) -> bool:
    """Whether the proof takes no more than about half a second and 256 MiB.

    Measured: 400,000 chunks moved one by one, or 10 million of which symmetry leaves a few; a chunk on 16,000 transfers has
    256 words of ancestors for each of them, one that moves once has none.
    """
    entries, of_a_chunk = len(schedule.chunk_ids), int(np.bincount(schedule.chunk_ids, minlength=1).max())
    most = MOST_ALIKE if schedule.symmetry or of_a_chunk == 1 else MOST_ENTRIES
    small = schedule.transfers <= MOST_TRANSFERS and len(schedule.wait_ids) <= MOST_WAITS
    return small and entries <= most and of_a_chunk <= MOST_OF_A_CHUNK


# The form: everything that later array code relies on.


def _check_form(schedule: Schedule) -> None:
    if schedule.collective not in COLLECTIVES:
        raise InputError(unknown("collective", schedule.collective, COLLECTIVES))
    if schedule.multiplicity is not None or schedule.repeat is not None:
        raise InputError("a folded schedule cannot be proved: prove it unfolded, or a smaller one of the same kind")
    _check_data(schedule)
    _check_lists(schedule)
    _check_transfers(schedule)


def _check_data(schedule: Schedule) -> None:
    """Blocks and parts: as many as the collective has, and nothing lost between them."""
    n, blocks, parts = schedule.ranks, schedule.blocks, schedule.parts
    due = n * n if schedule.collective in PERSONAL else n
    if n < 1 or not len(blocks) or (schedule.collective not in _WHOLE and len(blocks) != due):
        _unmatched(f"{schedule.collective} on {n} ranks needs {due} blocks, not {len(blocks)}")
    if not 0 <= schedule.root < n:
        _unmatched(f"the root {schedule.root} is not one of {n} ranks")
    if not (np.isfinite(blocks).all() and (blocks >= 0).all()):
        _unmatched("a block's bytes must be finite and not negative")
    if parts.shape[:-1] not in ((), blocks.shape):
        _unmatched(f"parts are for all blocks or for each of {len(blocks)}, not for {len(parts)}")
    totals = np.atleast_1d(parts.sum(axis=-1))
    if not ((parts >= 0).all() and (abs(totals - 1) <= 1e-9).all()):
        _unmatched(f"the parts of a block must be fractions that add up to 1, not to {totals[np.argmax(abs(totals - 1))]:g}")


def _check_lists(schedule: Schedule) -> None:
    """Array lengths and both CSR lists."""
    count = schedule.transfers
    columns = (schedule.destination, schedule.operation, schedule.step)
    if any(len(column) != count for column in columns):
        _unmatched(f"{count} sources, but {[len(column) for column in columns]} destinations, operations, steps")
    for ptr, ids, what in (
        (schedule.chunk_ptr, schedule.chunk_ids, "chunks"),
        (schedule.wait_ptr, schedule.wait_ids, "waits"),
    ):
        if len(ptr) != count + 1 or ptr[0] != 0 or ptr[-1] != len(ids) or (np.diff(ptr) < 0).any():
            _unmatched(f"the list of {what} does not fit {count} transfers and {len(ids)} entries")


def _check_transfers(schedule: Schedule) -> None:
    """Every transfer: two different ranks, at least one chunk, and all that it names exists."""
    source, destination, n = schedule.source, schedule.destination, schedule.ranks
    chunks, waits = schedule.chunk_ids, schedule.wait_ids
    strange_chunk = (chunks < 0) | (chunks >= schedule.chunks)
    strange_wait = (waits < 0) | (waits >= schedule.transfers)
    faults = (
        ((source < 0) | (source >= n), f"its source is not one of {n} ranks"),
        ((destination < 0) | (destination >= n), f"its destination is not one of {n} ranks"),
        (source == destination, "it goes to its own source"),
        (np.diff(schedule.chunk_ptr) == 0, "it carries no chunk"),
        (~np.isin(schedule.operation, (COPY, REDUCE)), "its operation is neither copy nor reduce"),
        (_rows_with(strange_chunk, schedule.chunk_ptr), f"it carries a chunk that is not one of {schedule.chunks}"),
        (_rows_with(strange_wait, schedule.wait_ptr), "it waits for a transfer that does not exist"),
    )
    for bad, why in faults:
        if bad.any():
            _fault(schedule, "unmatched", int(np.argmax(bad)), None, why)
    if schedule.collective not in _SUMS and (schedule.operation == REDUCE).any():
        t = int(np.argmax(schedule.operation == REDUCE))
        chunk = int(chunks[schedule.chunk_ptr[t]])
        _fault(schedule, "wrong", t, chunk, f"it reduces, and {schedule.collective} has no sum")


def _rows_with(bad: Bools, ptr: I64) -> Bools:
    """[T] the rows of a CSR list that have a bad entry."""
    row = np.searchsorted(ptr, np.flatnonzero(bad), side="right") - 1
    return np.bincount(row, minlength=len(ptr) - 1) > 0


# The order.


def _levels(schedule: Schedule) -> I64:
    """[T] 0 for a transfer that waits for nothing, else one more than the highest that it waits for."""
    level = levels(schedule.wait_ptr, schedule.wait_ids)
    if (level < 0).any():
        _deadlock(schedule, level)
    return level


def _waiters(schedule: Schedule) -> NDArray[np.int32]:
    """[waits] the transfer that each entry of `wait_ids` is a wait of."""
    return np.repeat(np.arange(schedule.transfers, dtype=np.int32), np.diff(schedule.wait_ptr))


def _deadlock(schedule: Schedule, level: I64) -> NoReturn:
    """Walks back along waits that never end until it meets itself."""
    t, seen = int(np.argmax(level < 0)), dict[int, int]()
    while t not in seen:
        seen[t] = len(seen)
        waits = schedule.wait_ids[schedule.wait_ptr[t] : schedule.wait_ptr[t + 1]]
        t = int(waits[level[waits] < 0][0])
    cycle = [*list(seen)[seen[t] :], t]
    names = [_name(schedule, t) for t in cycle]
    if len(names) > 8:
        names[4:-3] = [f"... {len(names) - 7} more ..."]
    raise ProofError(
        "deadlock",
        int(schedule.source[cycle[0]]),
        int(schedule.chunk_ids[schedule.chunk_ptr[cycle[0]]]),
        int(schedule.step[cycle[0]]),
        " waits for ".join(names),
    )


def _inherit(known: U64, late: I64, early: I64) -> None:
    """Adds to each column of `known`, a bit set, the columns that it waits for: late[i], ascending, waits for early[i]."""
    head = np.flatnonzero(np.diff(late, prepend=-1))
    if len(head):
        for word in known:
            word[late[head]] |= np.bitwise_or.reduceat(word[early], head)


def _check_order(schedule: Schedule, pairs: list[I32]) -> None:
    """Searches along all waits for the order of accesses that following a single chunk left open.

    pairs: [4, m] each, of an earlier transfer, a later one, their chunk, and 1 where the earlier one only reads.
    """
    early, late, chunk, reads = np.concatenate((np.empty((4, 0), dtype=np.int32), *pairs), axis=1)
    if not len(early):
        return
    # A write must have finished, a read must have started.
    reader, writer = np.flatnonzero(reads == 1), np.flatnonzero(reads == 0)
    first, last = schedule.wait_ptr[early[reader]], schedule.wait_ptr[early[reader] + 1]
    pair = np.concatenate((writer, np.repeat(reader, last - first)))
    before = np.concatenate((early[writer], schedule.wait_ids[ranges(first, last)]))
    racing = pair[~is_before(schedule, before, late[pair])]
    if len(racing):
        worst = racing.min()
        _race(schedule, int(early[worst]), int(late[worst]), int(chunk[worst]))


def is_before(schedule: Schedule, early: I64 | I32, late: I64 | I32) -> Bools:
    """[m] whether transfer late[i] waits for early[i], or for one that waits for it, and so on; the waits have no circle."""
    level = levels(schedule.wait_ptr, schedule.wait_ids)
    order = np.argsort(level, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    counts = np.diff(schedule.wait_ptr)[order]
    waiter = np.repeat(np.arange(len(order)), counts)
    waits = place[schedule.wait_ids[ranges(schedule.wait_ptr[order], schedule.wait_ptr[order + 1])]]
    bounds = np.searchsorted(level[order][waiter], np.arange(level.max() + 2))
    spans = [slice(a, b) for a, b in pairwise(bounds)]
    asked, number = np.unique(place[early], return_inverse=True)
    found = np.zeros(len(early), dtype=bool)
    batch = _WORD * max(1, _BUDGET // (4 * len(order)))
    for first in range(0, len(asked), batch):
        some = asked[first : first + batch]
        known = np.zeros((-(-len(some) // _WORD), len(order)), dtype=np.uint64)
        word, bit = _bits(np.arange(len(some)))
        known[word, some] = bit
        for span in spans:
            _inherit(known, waiter[span], waits[span])
        mine = np.flatnonzero((number >= first) & (number < first + batch))
        word, bit = _bits(number[mine] - first)
        found[mine] = (known[word, place[late[mine]]] & bit) != 0
    return found


def _bits(position: I64) -> tuple[I64, U64]:
    """The word and the bit in it of each position of a bit set."""
    return position // _WORD, np.uint64(1) << (position % _WORD).astype(np.uint64)


def _members(words: U64) -> tuple[I64, I64]:
    """The bits that are set: the index of the word and the position in it."""
    octets = words.astype("<u8").view(np.uint8).reshape(-1, _WORD // 8)
    word, bit = np.nonzero(np.unpackbits(octets, axis=1, bitorder="little"))
    return word, bit


# The run.


def _slabs(schedule: Schedule, chunks: int) -> Iterator[range]:
    """The first chunks in runs whose state fits the budget; what happens to one chunk does not touch another."""
    counts = np.bincount(schedule.chunk_ids, minlength=schedule.chunks)[:chunks]
    entries, per_chunk = int(counts.sum()), int(counts.max())
    cells = 2 * entries if schedule.collective in PERSONAL else min(2 * entries, schedule.ranks * chunks)
    words = (entries + 3 * cells) * (per_chunk // _WORD + 1) + cells * (schedule.ranks // _SET + 1)
    width = max(1, chunks * _BUDGET // max(words, 1))
    for first in range(0, chunks, width):
        yield range(first, min(first + width, chunks))


class _Run:
    """One run of a schedule on some of its chunks.

    An entry is one chunk of one transfer; entries are ordered by level, then transfer, then chunk. Bit sets over the
    entries of a chunk: `known`, for each entry: itself and its ancestors; for each cell: `written`, the writes since
    the last copy, which readers and copies must follow; `fixed`, that copy and the reads since, which all writes must
    follow; `past`, all that its writes know. A reader takes over the past of its cell: unless it comes after the writes,
    there is a race anyway.
    """

    def __init__(self, schedule: Schedule, level: I64, chunks: range) -> None:
        self.schedule, self.level, self.chunks = schedule, level, chunks
        self._number_entries()
        self._number_cells()
        self._number_bits()
        self.value = self._start()
        self.written = np.zeros((len(self.known), len(self.cells)), dtype=np.uint64)
        self.fixed, self.past = np.zeros_like(self.written), np.zeros_like(self.written)
        self.open = [np.empty((4, 0), dtype=np.int32)]

    def open_pairs(self) -> I32:
        """[4, m] the pairs whose order is still to be checked; all else is."""
        late, early = self._waits()
        spans = np.searchsorted(late, self.bounds)
        for (first, last), (start, end) in zip(pairwise(self.bounds.tolist()), pairwise(spans.tolist())):
            if first < last:
                _inherit(self.known, late[start:end], early[start:end])
                self._write(first, last, self._read(first, last))
        self._check_end()
        return np.concatenate(self.open, axis=1)

    def _number_entries(self) -> None:
        schedule = self.schedule
        transfer = np.repeat(np.arange(schedule.transfers), np.diff(schedule.chunk_ptr))
        chunk = schedule.chunk_ids.astype(np.int64)
        if len(self.chunks) < schedule.chunks:
            inside = (chunk >= self.chunks.start) & (chunk < self.chunks.stop)
            transfer, chunk = transfer[inside], chunk[inside]
        order = np.lexsort((chunk, transfer, self.level[transfer]))
        self.transfer, self.chunk = transfer[order], chunk[order]
        self.copies = schedule.operation[self.transfer] == COPY
        self.waiting = np.diff(schedule.wait_ptr)[self.transfer] > 0
        levels = self.level[self.transfer]
        self.bounds = np.searchsorted(levels, np.arange(int(levels.max(initial=-1)) + 2))

    def _number_cells(self) -> None:
        """Only cells that are used or due: an all-to-all has ranks² chunks, and each is at two ranks only."""
        schedule, count = self.schedule, len(self.transfer)
        touched = [self._cell(end[self.transfer], self.chunk) for end in (schedule.source, schedule.destination)]
        self.cells, number = np.unique(np.concatenate((*touched, self._due())), return_inverse=True)
        self.source, self.destination, self.due = np.split(number, (count, 2 * count))
        levels = np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))
        self.arrival = np.lexsort((self.destination, levels))

    def _number_bits(self) -> None:
        """One bit for each entry in the sets of its chunk; an entry knows itself."""
        self.by_chunk = np.argsort(self.chunk, kind="stable")
        counts = np.bincount(self.chunk - self.chunks.start, minlength=len(self.chunks))
        self.chunk_ptr = pointers(counts)
        position = np.empty_like(self.chunk)
        position[self.by_chunk] = ranges(np.zeros_like(counts), counts)
        self.word, self.bit = _bits(position)
        self.known = np.zeros((int(counts.max(initial=0)) // _WORD + 1, len(self.chunk)), dtype=np.uint64)
        self.known[self.word, np.arange(len(self.chunk))] = self.bit

    def _cell(self, rank: NDArray[np.signedinteger], chunk: I64) -> I64:
        return rank * np.int64(self.schedule.chunks) + chunk

    def _start(self) -> U64:
        """[words, cells] the contributions that each cell starts with."""
        schedule = self.schedule
        rank, chunk = np.divmod(self.cells, schedule.chunks)
        if schedule.collective in _SUMS:
            value = np.zeros((-(-schedule.ranks // _SET), len(rank)), dtype=np.uint64)
            value[rank // _SET, np.arange(len(rank))] = np.uint64(1) << (rank % _SET).astype(np.uint64)
            return value
        if schedule.collective in ("broadcast", "scatter"):
            return np.atleast_2d(np.uint64(1) * (rank == schedule.root))
        block = chunk // schedule.parts.shape[-1]
        owner = block // schedule.ranks if schedule.collective in PERSONAL else block
        return np.atleast_2d(np.uint64(1) * (rank == owner))

    def _due(self) -> I64:
        """The cells that must hold everything in the end. An empty chunk need not move."""
        schedule = self.schedule
        chunk = np.arange(self.chunks.start, self.chunks.stop)
        block, part = np.divmod(chunk, schedule.parts.shape[-1])
        real = np.atleast_2d(schedule.parts)[block if schedule.parts.ndim > 1 else 0, part] > 0
        if schedule.collective in PERSONAL:
            real &= schedule.blocks[block] > 0
        chunk, block = chunk[real], block[real]
        if schedule.collective in ("reduce_scatter", "scatter"):
            return self._cell(block, chunk)
        if schedule.collective in ("reduce", "gather"):
            return self._cell(np.full_like(chunk, schedule.root), chunk)
        if schedule.collective in PERSONAL:
            return self._cell(block % schedule.ranks, chunk)
        return self._cell(np.arange(schedule.ranks)[:, np.newaxis], chunk).ravel()

    def _waits(self) -> tuple[I64, I64]:
        """Pairs of entries of one chunk of which the first, ascending, waits directly for the second."""
        schedule = self.schedule
        heads = np.flatnonzero(np.diff(self.transfer, prepend=-1))
        first = np.zeros(schedule.transfers, dtype=np.int64)
        first[self.transfer[heads]] = heads
        counts = np.bincount(self.transfer, minlength=schedule.transfers)
        keys = first[self.transfer] * schedule.chunks + self.chunk
        waiter, waits = _waiters(schedule), schedule.wait_ids
        pairs = [np.empty((2, 0), dtype=np.int32)]
        for start in range(0, len(waits), _BLOCK):  # in blocks, for the memory
            late, early = waiter[start : start + _BLOCK], waits[start : start + _BLOCK]
            # Expand the transfer with fewer chunks, look each up among the other's.
            swap = counts[early] < counts[late]
            few, many = np.where(swap, early, late), np.where(swap, late, early)
            entry = ranges(first[few], first[few] + counts[few])
            wanted = np.repeat(first[many] * schedule.chunks, counts[few]) + self.chunk[entry]
            other = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            both, swap = keys[other] == wanted, np.repeat(swap, counts[few])
            pairs.append(np.where(swap, (other, entry), (entry, other))[:, both].astype(np.int32))
        late, early = np.concatenate(pairs, axis=1)
        order = np.argsort(late, kind="stable")
        return late[order], early[order]

    def _read(self, first: int, last: int) -> U64:
        """[words, entries] what the entries of a level carry."""
        cell = self.source[first:last]
        carried = self.value[:, cell]
        empty = ~carried.any(axis=0)
        if empty.any():
            self._fault("missing", first + int(np.argmax(empty)), "its source does not hold that chunk by then")
        entries = np.arange(first, last)
        self._ask(entries, self.written[:, cell], writes=False)
        self.known[:, first:last] |= self.past[:, cell]
        # What waits for nothing reads at time 0, before any write.
        self._mark(self.fixed, entries[self.waiting[first:last]], self.source)
        return carried

    def _write(self, first: int, last: int, carried: U64) -> None:
        """Brings what the entries of a level carry to their destinations."""
        entries = self.arrival[first:last]
        cell, copies = self.destination[entries], self.copies[entries]
        heads = np.flatnonzero(np.diff(cell, prepend=-1))
        target, copied = cell[heads], np.logical_or.reduceat(copies, heads)
        brought, before = carried[:, entries - first], self.value[:, target]
        self._check_alone(entries, heads, copied, brought)
        due = self.fixed[:, cell] | np.where(copies, self.written[:, cell], np.uint64(0))
        self._ask(entries, due, writes=True)
        kept = np.where(copied, np.uint64(0), before)
        union = kept | np.bitwise_or.reduceat(brought, heads, axis=1)
        total = kept + np.add.reduceat(brought, heads, axis=1)
        twice = (union != total).any(axis=0)
        if twice.any():
            self._fault("double", int(entries[heads[np.argmax(twice)]]), "it brings what its destination already has")
        same = copied & (union == before).all(axis=0)
        if same.any():
            self._fault("double", int(entries[heads[np.argmax(same)]]), "its destination already holds just that")
        self.value[:, target] = union
        # What precedes a copy need not be asked for again: the copy is.
        self.written[:, target[copied]] = 0
        self.fixed[:, target[copied]] = 0
        self.past[:, target] |= np.bitwise_or.reduceat(self.known[:, entries], heads, axis=1)
        self._mark(self.written, entries, self.destination)
        self._mark(self.fixed, entries[copies], self.destination)

    def _check_alone(self, entries: I64, heads: I64, copied: Bools, brought: U64) -> None:
        """A copy must be the only write of its cell in its level: no two of a level are ordered."""
        sizes = np.diff(heads, append=len(entries))
        crowded = np.flatnonzero(copied & (sizes > 1))
        if not len(crowded):
            return
        group = heads[crowded[0]] + np.arange(sizes[crowded[0]])
        sums = ~self.copies[entries[group]]
        one = group[np.argmin(sums)]
        differs = sums | (brought[:, group] != brought[:, [one]]).any(axis=0)
        if differs.any():
            early, late = entries[one], entries[group[np.argmax(differs)]]
            _race(self.schedule, int(self.transfer[early]), int(self.transfer[late]), int(self.chunk[late]))
        self._fault("double", int(entries[group[1]]), f"so does {self._name(int(entries[group[0]]))}")

    def _mark(self, sets: U64, entries: I64, cell: I64) -> None:
        """Adds each entry to the set of its cell."""
        np.bitwise_or.at(sets.reshape(-1), self.word[entries] * len(self.cells) + cell[entries], self.bit[entries])

    def _ask(self, entries: I64, due: U64, writes: bool) -> None:
        """Notes the entries in `due` that are not yet known to come before `entries`, which read or write there."""
        due &= ~self.known[:, entries]
        word, column = np.nonzero(due)
        if len(word):
            row, bit = _members(due[word, column])
            late = entries[column[row]]
            start = self.chunk_ptr[self.chunk[late] - self.chunks.start]
            early = self.by_chunk[start + word[row] * _WORD + bit]
            reads = writes & (self.destination[early] != self.destination[late])
            self.open.append(
                np.stack(
                    (self.transfer[early], self.transfer[late], self.chunk[late], reads),
                    dtype=np.int32,
                    casting="same_kind",
                )
            )

    def _check_end(self) -> None:
        schedule = self.schedule
        whole = np.zeros(len(self.value) * _SET, dtype=bool)
        whole[: schedule.ranks if schedule.collective in _SUMS else 1] = True
        weights = np.uint64(1) << np.arange(_SET, dtype=np.uint64)
        full = (whole.reshape(-1, _SET) * weights).sum(axis=1, dtype=np.uint64)
        lacking = full[:, np.newaxis] & ~self.value[:, self.due]
        bad = lacking.any(axis=0)
        if bad.any():
            first = int(np.argmax(bad))
            word, bit = _members(lacking[:, first])
            self._missing(int(self.due[first]), word * _SET + bit)

    def _missing(self, cell: int, lacking: I64) -> NoReturn:
        rank, chunk = divmod(int(self.cells[cell]), self.schedule.chunks)
        what = ""
        if self.schedule.collective in _SUMS:
            more = " ..." if len(lacking) > 4 else ""
            what = f" the contribution of rank {', '.join(map(str, lacking[:4]))}{more} to"
        arrivals = self.transfer[self.destination == cell]
        raise ProofError(
            "missing",
            rank,
            chunk,
            int(self.schedule.step[arrivals[-1]]) if len(arrivals) else None,
            f"in the end rank {rank} lacks{what} chunk {chunk}",
        )

    def _name(self, entry: int) -> str:
        return _name(self.schedule, int(self.transfer[entry]))

    def _fault(self, verdict: Verdict, entry: int, why: str) -> NoReturn:
        _fault(self.schedule, verdict, int(self.transfer[entry]), int(self.chunk[entry]), why)


# The words.


def _name(schedule: Schedule, t: int) -> str:
    return f"transfer {t} (rank {schedule.source[t]} to {schedule.destination[t]}, step {schedule.step[t]})"


def _fault(schedule: Schedule, verdict: Verdict, t: int, chunk: int | None, why: str) -> NoReturn:
    rank = int(schedule.source[t] if verdict == "missing" else schedule.destination[t])
    carried = "" if chunk is None else f" carries chunk {chunk}:"
    raise ProofError(verdict, rank, chunk, int(schedule.step[t]), f"{_name(schedule, t)}{carried} {why}")


def _race(schedule: Schedule, early: int, late: int, chunk: int) -> NoReturn:
    why = f"nothing orders it after {_name(schedule, early)}, which uses that chunk at the same rank"
    _fault(schedule, "race", late, chunk, why)


def _unmatched(message: str) -> NoReturn:
    raise ProofError("unmatched", None, None, None, message)
