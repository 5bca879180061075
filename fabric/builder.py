"""How algorithms make schedules: they say which chunks go where in which step, and the waits follow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .csr import pointers
from .schedule import F64, Schedule, Symmetry
from .waits import derive_waits


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
    symmetry: Symmetry = ()
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
            symmetry=self.symmetry,
            note=note,
            options=options,
        )
        wait_ptr, wait_ids = derive_waits(schedule)
        return replace(schedule, wait_ptr=wait_ptr, wait_ids=wait_ids)
