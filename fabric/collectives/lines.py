"""Reduce-scatter and all-gather by rings along the lines of a grid of ranks: what ring, bucket and rdh have in common.

A ring is a grid of one dimension, a torus has a dimension for each of its own, a hypercube has dimensions of two ranks.
Block r belongs to rank r. The reduce-scatter goes through the dimensions from first to last: in each, the ranks of a line
split what they still hold by the coordinate in that dimension, and each ends with the sum of its own share. The all-gather
goes from last to first and is the same in reverse. Several parts of the data may use several grids at the same time.

In a ring of k, the share of position q starts at q + 1 in a reduce-scatter and ends at q after k - 1 steps; in an
all-gather it starts at q (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..layout import NotApplicable
from ..schedule import COPY, REDUCE, Schedule, Symmetry

I64 = NDArray[np.int64]

MOST_TRANSFERS = 1 << 22  # a flat ring on 1,024 ranks in both directions; some gigabytes with its flows
MOST_WAITS = 1 << 25
MOST_CARRIED = 1 << 25


def build(
    collective: str,
    algorithm: str,
    grids: Sequence[I64],
    weights: Sequence[float],
    lanes: Sequence[Sequence[int]],
    *,
    symmetry: Symmetry = (),
    note: str = "",
    options: Mapping[str, object] | None = None,
) -> Schedule:
    """The schedule of all_reduce, all_gather or reduce_scatter in which part p of the data goes over `grids[p]`.

    grids: each holds all ranks; its axes are the dimensions in the order of the reduce-scatter.
    weights: the parts' shares of the data, in any unit.
    lanes: for each axis of each grid the channel on which a rank sends, or -1.
    All parts start their i-th axis at the same step, so grids have equally many axes.
    symmetry: permutations of the ranks that keep the schedule, see `orbits`. options: the algorithm's resolved parameters.
    """
    ranks = grids[0].size
    phases = 2 if collective == "all_reduce" else 1
    check_count(algorithm, ranks, phases * ranks * sum(k - 1 for grid in grids for k in grid.shape))
    shares = np.asarray(weights, dtype=np.float64)
    blocks = np.full(ranks, 1 / ranks)
    builder = Builder(collective, algorithm, ranks, blocks, parts=shares / shares.sum(), symmetry=symmetry)
    axes, step = range(grids[0].ndim), 0
    if collective != "all_gather":
        for axis in axes:
            step = max(along(builder, grid, axis, p, REDUCE, step, lanes[p][axis]) for p, grid in enumerate(grids))
    if collective != "reduce_scatter":
        for axis in reversed(axes):
            step = max(along(builder, grid, axis, p, COPY, step, lanes[p][axis]) for p, grid in enumerate(grids))
    return builder.build(note, **(options or {}))


def check_count(algorithm: str, ranks: int, transfers: int, waits: int = 0, carried: int = 0) -> None:
    """Refuse a schedule of too many transfers, waits between them or chunks in them before it is built."""
    limits = ((transfers, MOST_TRANSFERS, "transfers"), (waits, MOST_WAITS, "waits"), (carried, MOST_CARRIED, "chunks"))
    for count, most, what in limits:
        if count > most:
            raise NotApplicable(f"{algorithm} on {ranks:,} ranks takes {count:,} {what}, more than {most:,}")


def along(builder: Builder, grid: I64, axis: int, part: int, operation: int, step: int, channel: int) -> int:
    """Add the k - 1 steps of rings in all lines of one axis; returns the step after them.

    Lines differ in the coordinates before the axis (`held`: by these the blocks have been split already) and after it
    (`rest`: a rank holds the blocks of all of these).
    """
    k = grid.shape[axis]
    blocks = grid.reshape(int(np.prod(grid.shape[:axis])), k, -1)
    held, _, rest = blocks.shape
    time, position = np.ogrid[: k - 1, :k]
    shape = (held, k - 1, k, rest)  # of the transfers
    share = (position - time - (operation == REDUCE)) % k  # whose share a position sends
    chunks = blocks[:, share, :] * len(builder.parts) + part
    builder.add(
        np.broadcast_to(blocks[:, None], shape).ravel(),
        np.broadcast_to(np.roll(blocks, -1, axis=1)[:, None], shape).ravel(),
        np.broadcast_to(chunks[..., None, :], (*shape, rest)).reshape(-1, rest),
        operation,
        np.broadcast_to(step + time[..., None], shape).ravel(),
        channel,
    )
    return int(step + k - 1)
