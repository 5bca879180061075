"""A schedule: the transfers of a collective, what each carries and what each waits for.

Data. The buffer of a collective is cut into *blocks*, and every block into the same *parts*; a chunk is one part of one
block, numbered `block * len(parts) + part`. What a block means follows from the collective's name alone, so a schedule
cannot redefine what it is meant to achieve:

    all_gather, reduce_scatter   as many blocks as ranks; block b belongs to rank b
    all_to_all, all_to_all_v     ranks² blocks; block s * ranks + d goes from rank s to rank d
    all_reduce                   any number of blocks; every rank holds them all

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

COPY = 0
REDUCE = 1


@dataclass(frozen=True, eq=False)
class Schedule:
    """T transfers between `ranks` ranks, each of at least one chunk. Arrays only; see the module for what they mean.

    A stored transfer may stand for several: `multiplicity` of them at once, at places that a symmetry of the fabric maps
    onto each other (a folded cluster), and `repeat` of them one after another.
    """

    collective: str
    algorithm: str
    ranks: int
    blocks: F64  # [B] bytes
    parts: F64  # [P] fraction of a block, sums to 1
    source: I32  # [T] rank
    destination: I32  # [T] rank
    operation: U8  # [T] COPY or REDUCE
    step: I32  # [T] label for reports; no meaning for the timing
    channel: I32  # [T] transfers of one source and channel go one after another (the waits say so); -1 = no order
    chunk_ptr: I64  # [T + 1] CSR: the chunks of a transfer
    chunk_ids: I32
    wait_ptr: I64  # [T + 1] CSR: the transfers that must finish first
    wait_ids: I32
    multiplicity: F64 | None = None  # [T], None = 1 each
    repeat: I64 | None = None  # [T], None = 1 each
    pause: F64 | None = None  # [T] s that it takes besides its bytes (compute), None = 0 each; not scaled with the size
    stated_size: float | None = None  # bytes, where the blocks only add up to it but for rounding
    note: str = ""  # what a report should say of it, e.g. the parts' weights
    options: dict[str, object] = field(default_factory=dict)  # the algorithm's resolved parameters

    @property
    def transfers(self) -> int:
        return len(self.source)

    @property
    def chunks(self) -> int:
        return len(self.blocks) * len(self.parts)

    @property
    def steps(self) -> int:
        return int(self.step.max()) + 1 if self.transfers else 0

    @cached_property
    def chunk_bytes(self) -> F64:
        """[C] bytes of each chunk."""
        return np.outer(self.blocks, self.parts).ravel()

    @cached_property
    def bytes(self) -> F64:
        """[T] bytes of each transfer."""
        if not self.transfers:
            return np.empty(0)
        return np.add.reduceat(self.chunk_bytes[self.chunk_ids], self.chunk_ptr[:-1])

    @property
    def size(self) -> float:
        """S of nccl-tests, bytes: for the all-to-alls the largest row sum (one rank's whole send buffer)."""
        if self.stated_size is not None:
            return self.stated_size
        if self.collective in ("all_to_all", "all_to_all_v"):
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
    """

    collective: str
    algorithm: str
    ranks: int
    blocks: F64
    parts: F64 = field(default_factory=lambda: np.ones(1))
    _batches: list[tuple[NDArray[np.int64], ...]] = field(default_factory=list)

    def add(
        self,
        source: NDArray[np.int64],
        destination: NDArray[np.int64],
        chunks: NDArray[np.int64],
        operation: int,
        step: int | NDArray[np.int64],
        channel: int | NDArray[np.int64] = -1,
    ) -> None:
        """Add m transfers: `source`, `destination` [m], `chunks` [m] or [m, k], `step` and `channel` one or [m].

        A transfer reads what was written in earlier steps. Channel -1 sets no order.
        """
        count = len(source)
        if not count:
            return
        carried = np.asarray(chunks, dtype=np.int64).reshape(count, -1)
        self._batches.append(
            (
                np.asarray(source, dtype=np.int64),
                np.asarray(destination, dtype=np.int64),
                np.full(count, operation, dtype=np.int64),
                np.broadcast_to(np.asarray(step, dtype=np.int64), count),
                np.broadcast_to(np.asarray(channel, dtype=np.int64), count),
                np.full(count, carried.shape[1], dtype=np.int64),
                carried.ravel(),
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
                np.tile(counts * carried, copies),
                chunks[:, inner.chunk_ids].ravel(),
            )
        )
        return step + inner.steps

    def build(self, note: str = "", **options: object) -> Schedule:
        """The schedule of all that was added; `options` are the algorithm's resolved parameters."""
        none = np.empty(0, dtype=np.int64)
        columns = [np.concatenate(column) for column in zip(*self._batches)] if self._batches else [none] * 7
        source, destination, operation, step, channel, chunk_count, chunk_ids = columns
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
            note=note,
            options=options,
        )
        wait_ptr, wait_ids = derive_waits(schedule)
        return replace(schedule, wait_ptr=wait_ptr, wait_ids=wait_ids)
