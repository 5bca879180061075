"""All-to-all: every rank has a block for every rank.

direct     all blocks at once: one step, S(n-1)/n bytes per rank
pairwise   to one rank after another: n - 1 steps, S(n-1)/n bytes
bruck      ⌈log2 n⌉ steps; in each a rank passes on about half of what it holds, S/2 bytes
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..builder import Builder
from ..csr import pointers, ranges
from ..errors import InputError
from ..layout import Layout, NotApplicable
from ..schedule import COPY, Schedule
from . import folded
from .lines import check_count
from .mesh import pairs


def direct(layout: Layout) -> Schedule:
    """All-to-all of equal blocks, directly. S is the whole send buffer of a rank, its block for itself included."""
    if layout.pods:
        return folded.all_to_all(layout)
    n = layout.ranks
    check_count("direct", n, n * (n - 1))
    builder = Builder("all_to_all", "direct", n, blocks=np.full(n * n, 1 / n), symmetry=(("shift", n),))
    source, destination = pairs(n)
    builder.add(source, destination, source * n + destination, COPY, 0)
    return builder.build()


def pairwise(layout: Layout) -> Schedule:
    """All-to-all of equal blocks with one peer at a time: in step t rank r sends to r xor t where the ranks are a power of
    two, so that it receives from the same; else to r + t. A message waits until both ends are done with those before."""
    n = layout.ranks
    check_count("pairwise", n, n * (n - 1))
    kind = "shift" if n & (n - 1) else "xor"
    builder = Builder("all_to_all", "pairwise", n, blocks=np.full(n * n, 1 / n), symmetry=((kind, n),))
    step, source = np.divmod(np.arange(n * (n - 1)), n)
    destination = (source + step + 1) % n if n & (n - 1) else source ^ (step + 1)
    builder.add(source, destination, source * n + destination, COPY, step, channel=0)
    return received_in_order(builder.build())


def bruck(layout: Layout, radix: int = 2) -> Schedule:
    """All-to-all of equal blocks in few steps: step t moves the blocks whose distance to go has a digit at place t.

    radix: base of the digits: ⌈log_radix n⌉ steps, in each of which a rank sends to radix - 1 others about S/radix bytes.
    Bruck, Ho, Kipnis, Upfal and Weathersby, "Efficient algorithms for all-to-all communications in multiport
    message-passing systems", 1997. Raises NotApplicable where the radix is more than the number of ranks.
    """
    n = layout.ranks
    if radix < 2:
        raise InputError(f"bruck: radix has to be at least 2, not {radix}")
    if radix > max(n, 2):
        raise NotApplicable(f"bruck: radix {radix} is more than the {n} ranks")
    places = [radix**i for i in range(n.bit_length()) if radix**i < n]
    check_count("bruck", n, n * (radix - 1) * len(places), carried=n * n * len(places))
    builder = Builder("all_to_all", "bruck", n, blocks=np.full(n * n, 1 / n), symmetry=(("shift", n),))
    rank, distance = np.arange(n)[:, None], np.arange(n)
    for step, place in enumerate(places):
        for digit in range(1, radix):
            moved = distance[distance // place % radix == digit]
            origin = (rank - moved % place) % n  # they have come as far as their lower digits say
            if len(moved):
                blocks = origin * n + (origin + moved) % n
                builder.add(rank[:, 0], (rank[:, 0] + digit * place) % n, blocks, COPY, step)
    return builder.build(radix=radix)


def direct_v(layout: Layout, matrix: ArrayLike) -> Schedule:
    """All-to-all of unequal blocks, directly.

    matrix: [n, n] bytes, from rank (row) to rank (column). A zero sends nothing; the diagonal stays where it is and counts
        in the size, which is the largest row sum. Of a folded cluster [g, g], from place to place of any two machines.
    The schedule has the bytes of the matrix; `scaled` gives other sizes. Raises InputError for a matrix that has the wrong
    shape, is negative or not finite, or holds nothing.
    """
    if layout.pods and layout.inner is not None:
        return folded.all_to_all_v(layout, read_matrix(layout.inner.ranks, matrix))
    n = layout.ranks
    sizes = read_matrix(n, matrix)
    builder = Builder("all_to_all_v", "direct", n, blocks=sizes.ravel())
    source, destination = pairs(n)
    sent = sizes[source, destination] > 0
    check_count("direct", n, int(sent.sum()))
    builder.add(source[sent], destination[sent], (source * n + destination)[sent], COPY, 0)
    return builder.build()


def read_matrix(n: int, matrix: ArrayLike) -> NDArray[np.float64]:
    """The matrix of an all_to_all_v on n ranks, checked."""
    sizes = np.asarray(matrix, dtype=np.float64)
    if sizes.shape != (n, n):
        raise InputError(f"all_to_all_v on {n} ranks needs a matrix of {n} x {n}, not {' x '.join(map(str, sizes.shape))}")
    wrong = np.argwhere(~((sizes >= 0) & np.isfinite(sizes)))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(f"all_to_all_v: bytes from rank {row} to rank {column} are {sizes[row, column]}, not 0 or more")
    if not sizes.any():
        raise InputError("all_to_all_v: the matrix holds no bytes")
    return sizes


def corner(blocks: NDArray[np.float64], ranks: int) -> NDArray[np.float64]:
    """[ranks, ranks] a matrix with the first bytes of one whose bytes are `blocks`, for the same algorithm on other ranks.

    A smaller matrix is repeated; where there are no bytes, all are 1.
    """
    side = isqrt(len(blocks))
    first = np.arange(ranks) % side
    found = blocks.reshape(side, side)[np.ix_(first, first)]
    return found if found.any() else np.ones((ranks, ranks))


def received_in_order(schedule: Schedule) -> Schedule:
    """The same schedule in which every transfer also waits for those that reach its destination in the step before there."""
    order = np.lexsort((schedule.step, schedule.destination))
    place = schedule.destination[order].astype(np.int64) * schedule.steps + schedule.step[order]
    starts = np.flatnonzero(np.diff(place, prepend=-1))  # of the runs of one destination and step
    run = np.searchsorted(starts, np.arange(len(order)), side="right") - 1
    first, last = starts[np.maximum(run - 1, 0)], starts[run]
    follows = schedule.destination[order[first]] == schedule.destination[order]
    late, first, last = order[follows], first[follows], last[follows]
    late, early = np.repeat(late, last - first), order[ranges(first, last)]
    late = np.concatenate((late, np.repeat(np.arange(schedule.transfers), np.diff(schedule.wait_ptr))))
    keys = np.unique(late * schedule.transfers + np.concatenate((early, schedule.wait_ids)))
    rows, ids = np.divmod(keys, max(schedule.transfers, 1))
    waits = pointers(np.bincount(rows, minlength=schedule.transfers))
    return replace(schedule, wait_ptr=waits, wait_ids=ids.astype(np.int32))
