"""A schedule: the transfers of a collective, what each carries and what each waits for.

Data. The buffer of a collective is cut into *blocks*, and every block into equally many *parts*; a chunk is one part of one
block, numbered `block * P + part` where a block has P parts. What a block means follows from the collective's name alone,
so a schedule cannot redefine what it is meant to achieve:

    all_gather, reduce_scatter   as many blocks as ranks; block b belongs to rank b
    all_to_all, all_to_all_v     ranks² blocks; block s * ranks + d goes from rank s to rank d
    permute                      the same, with bytes for one destination of each rank only
    all_reduce                   any number of blocks; every rank holds them all
    broadcast, reduce            any number of blocks; they start, or end, at the rank `root`
    scatter, gather              as many blocks as ranks; block b goes from `root` to rank b, or the other way

Time. A transfer starts when all that it waits for has finished; it reads its chunks at its start and delivers them at its
end: COPY replaces what the destination holds of a chunk, REDUCE adds to it.

A schedule is linear in the size: `scaled` gives the same schedule for another size and shares its arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .waits import derive_waits
from .waits import pointers as pointers
from .waits import ranges as ranges

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

COPY = 0
REDUCE = 1

OWN, NEAR, FAR = 0, 1, 2
"""Where a transfer of a folded cluster ends: in the same machine, in another one of its pod, in another pod."""

PERSONAL = ("all_to_all", "all_to_all_v", "permute")
"""The collectives whose blocks go from one rank to one other."""


@dataclass(frozen=True, eq=False)
class FixedRoutes:
    """The routes for which a schedule was made, on one fabric and some of its ranks; they overrule the routing rule.

    of: [T] which of R routes a transfer takes. ptr [R + 1], links: CSR of the network's link ids, in order.
    """

    of: I32
    ptr: I64
    links: I64


@dataclass(frozen=True, eq=False)
class Schedule:
    """T transfers between `ranks` ranks, each of at least one chunk. Arrays only; see the module for what they mean.

    A stored transfer may stand for several: `multiplicity` of them at once, at places that a symmetry of the fabric maps
    onto each other, and `repeat` of them one after another. So it is in a folded cluster, of which one machine's ranks are
    stored: a transfer to the rank of another machine ends at the rank of that place and says in `image` how far it goes.
    """

    collective: str
    algorithm: str
    ranks: int
    blocks: F64  # [B] bytes
    parts: F64  # [P] fractions of a block that sum to 1; [B, P] where blocks are cut differently
    source: I32  # [T] rank
    destination: I32  # [T] rank
    operation: U8  # [T] COPY or REDUCE
    step: I32  # [T] label for reports; no meaning for the timing
    channel: I32  # [T] transfers of one source and channel go one after another (the waits say so); -1 = no order
    chunk_ptr: I64  # [T + 1] CSR: the chunks of a transfer
    chunk_ids: I32
    wait_ptr: I64  # [T + 1] CSR: the transfers that must finish first
    wait_ids: I32
    ready: Bools | None = None  # [T] whether it also waits for what was written before to what it writes; None = none does
    root: int = 0  # of a broadcast, reduce, scatter or gather
    multiplicity: F64 | None = None  # [T], None = 1 each
    repeat: I64 | None = None  # [T], None = 1 each
    image: I32 | None = None  # [T] OWN, NEAR or FAR; None = the cluster is not folded
    share: F64 | None = None  # [T] fraction of the bytes of its chunks that a transfer carries, None = all
    pause: F64 | None = None  # [T] s that it takes besides its bytes (compute), None = 0 each; not scaled with the size
    streams: I64 | None = None  # [T] equal flows as which a transfer goes side by side, of equal bytes; None = 1 each
    routes: FixedRoutes | None = None  # None = by the routing rule
    stated_size: float | None = None  # bytes, where the blocks only add up to it but for rounding
    note: str = ""  # what a report should say of it, e.g. the parts' weights
    options: dict[str, object] = field(default_factory=dict)  # the algorithm's resolved parameters

    @property
    def transfers(self) -> int:
        return len(self.source)

    @property
    def chunks(self) -> int:
        return len(self.blocks) * int(self.parts.shape[-1])

    @property
    def steps(self) -> int:
        last = self.step if self.repeat is None else self.step + self.repeat - 1
        return int(last.max()) + 1 if self.transfers else 0

    @property
    def stands_for(self) -> int:
        """How many transfers the stored ones stand for."""
        count = np.ones(self.transfers) if self.multiplicity is None else self.multiplicity
        return round(float(count.sum() if self.repeat is None else (count * self.repeat).sum()))

    @cached_property
    def chunk_bytes(self) -> F64:
        """[C] bytes of each chunk."""
        return np.asarray((self.blocks[:, np.newaxis] * self.parts).ravel(), dtype=np.float64)

    @cached_property
    def bytes(self) -> F64:
        """[T] bytes of each transfer."""
        if not self.transfers:
            return np.empty(0)
        carried = np.add.reduceat(self.chunk_bytes[self.chunk_ids], self.chunk_ptr[:-1])
        return np.asarray(carried if self.share is None else carried * self.share, dtype=np.float64)

    @property
    def size(self) -> float:
        """S of nccl-tests, bytes: for the all-to-alls the largest row sum (one rank's whole send buffer)."""
        if self.stated_size is not None:
            return self.stated_size
        if self.collective in PERSONAL:
            return float(self.matrix.sum(axis=1).max())
        return float(self.blocks.sum())

    @property
    def matrix(self) -> F64:
        """[ranks, ranks] bytes from each rank to each; of the all-to-alls only."""
        return self.blocks.reshape(self.ranks, self.ranks)

    def scaled(self, size: float) -> Schedule:
        """The same schedule for another size, bytes."""
        return replace(self, blocks=self.blocks * (size / self.size), stated_size=size)

    def sent(self) -> F64:
        """[ranks] bytes that each rank sends."""
        return np.asarray(np.bincount(self.source, weights=self.bytes, minlength=self.ranks), dtype=np.float64)


@dataclass
class Builder:
    """Collects transfers, step by step, and derives what each waits for.

    A transfer waits for the transfers that brought its source what it sends: all that reduced into those chunks since the
    last copy, and that copy. Transfers of one source on one `channel` also go one after another, in the order of their steps.
    A transfer that has to find its destination `ready` waits for what the destination would wait for, did it send the same:
    two ranks that exchange the same chunks start together, and neither's sum reaches the other before that has sent its own.
    """

    collective: str
    algorithm: str
    ranks: int
    blocks: F64
    parts: F64 = field(default_factory=lambda: np.ones(1))
    root: int = 0
    _batches: list[tuple[NDArray[np.int64], ...]] = field(default_factory=list)

    def add(
        self,
        source: NDArray[np.int64],
        destination: NDArray[np.int64],
        chunks: NDArray[np.int64],
        operation: int,
        step: int | NDArray[np.int64],
        channel: int | NDArray[np.int64] = -1,
        *,
        ready: bool = False,
    ) -> None:
        """Add m transfers: `source`, `destination` [m], `chunks` [m] or [m, k], `step` and `channel` one or [m].

        A transfer reads what was written in earlier steps. Chunk -1 is none, channel -1 sets no order.
        """
        count = len(source)
        if not count:
            return
        carried = np.asarray(chunks, dtype=np.int64).reshape(count, -1)
        some = carried >= 0
        self._batches.append(
            (
                np.asarray(source, dtype=np.int64),
                np.asarray(destination, dtype=np.int64),
                np.full(count, operation, dtype=np.int64),
                np.broadcast_to(np.asarray(step, dtype=np.int64), count),
                np.broadcast_to(np.asarray(channel, dtype=np.int64), count),
                np.full(count, int(ready), dtype=np.int64),
                some.sum(axis=1),
                carried[some],
            )
        )

    def embed(self, inner: Schedule, ranks: NDArray[np.int64], chunks: NDArray[np.int64], step: int, channel: int = 0) -> int:
        """Add another schedule's transfers, once per row of `ranks`; returns the step after its last.

        ranks: [g, inner.ranks], the rank here of each of its ranks, for g copies of it.
        chunks: [g, inner.chunks, k], the k chunks here that stand for each of its chunks.
        """
        copies, carried = len(ranks), chunks.shape[2]
        counts = np.diff(inner.chunk_ptr)
        order = np.tile(inner.channel, copies)
        self._batches.append(
            (
                ranks[:, inner.source].ravel(),
                ranks[:, inner.destination].ravel(),
                np.tile(inner.operation.astype(np.int64), copies),
                np.tile(inner.step.astype(np.int64), copies) + step,
                np.where(order < 0, -1, order + channel),
                np.zeros(len(order), dtype=np.int64) if inner.ready is None else np.tile(inner.ready.astype(np.int64), copies),
                np.tile(counts * carried, copies),
                chunks[:, inner.chunk_ids].ravel(),
            )
        )
        return step + inner.steps

    def build(self, note: str = "", **options: object) -> Schedule:
        """The schedule of all that was added; `options` are the algorithm's resolved parameters."""
        none = np.empty(0, dtype=np.int64)
        columns = [np.concatenate(column) for column in zip(*self._batches)] if self._batches else [none] * 8
        source, destination, operation, step, channel, ready, chunk_count, chunk_ids = columns
        schedule = Schedule(
            collective=self.collective,
            algorithm=self.algorithm,
            ranks=self.ranks,
            blocks=np.asarray(self.blocks, dtype=np.float64),
            parts=np.asarray(self.parts, dtype=np.float64),
            source=source.astype(np.int32),
            destination=destination.astype(np.int32),
            operation=operation.astype(np.uint8),
            step=step.astype(np.int32),
            channel=channel.astype(np.int32),
            chunk_ptr=pointers(chunk_count),
            chunk_ids=chunk_ids.astype(np.int32),
            wait_ptr=np.zeros(len(source) + 1, dtype=np.int64),
            wait_ids=np.empty(0, dtype=np.int32),
            ready=ready.astype(np.bool_) if ready.any() else None,
            root=self.root,
            note=note,
            options=options,
        )
        wait_ptr, wait_ids = derive_waits(schedule)
        return replace(schedule, wait_ptr=wait_ptr, wait_ids=wait_ids)
