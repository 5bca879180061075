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

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

Symmetry = tuple[tuple[str, int], ...]
"""Of each dimension of the rank numbers, the first running fastest, a kind of permutations and its size."""

COPY = 0
REDUCE = 1

OWN, NEAR, FAR = 0, 1, 2
"""Where a transfer of a folded cluster ends: in the same unit of machines, in another one of its pod, in another pod."""

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
    symmetry: Symmetry = ()  # permutations of the ranks that keep it, see `collectives.orbits`; () = none
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
