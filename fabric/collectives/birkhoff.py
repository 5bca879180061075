"""All-to-all of unequal blocks in stages of one-to-one matchings: in a stage a rank sends to one rank and receives from one.

No two senders meet at a receiver. A matrix whose rows and columns all sum to T is a sum of permutations with weights that
add up to T (Birkhoff, 1946; von Neumann, 1953), so in as many stages as there are permutations a switch reaches the bound
of the busiest port. Any matrix becomes such a one when idle time is added to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..builder import Builder
from ..errors import InputError
from ..layout import Layout
from ..schedule import COPY, Schedule
from .all_to_all import read_matrix, received_in_order
from .lines import check_count

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NEGLIGIBLE = 1e-12  # of the largest entry: no stage is as short
ROUNDING = 1e-9  # of a block: what rounding leaves of it


def all_to_all_v(layout: Layout, matrix: ArrayLike, stages: int | None = None) -> Schedule:
    """All-to-all of unequal blocks in stages; a message waits until both ends are done with the stages before.

    matrix: [n, n] bytes, from rank (row) to rank (column), as for the direct algorithm.
    stages: how many at most; what they leave is sent directly after them. None = 4 n.
    Raises InputError for a matrix without meaning or less than one stage.
    """
    n = layout.ranks
    sizes = read_matrix(n, matrix)
    most = 4 * n if stages is None else stages
    if most < 1:
        raise InputError(f"birkhoff: stages has to be at least 1, not {stages}")
    check_count("birkhoff", n, n * most + n * (n - 1))
    source, destination, stage, moved, used = _matchings(np.where(np.eye(n, dtype=bool), 0.0, sizes), most)

    # A block's pieces are its parts, in the order of their stages; the diagonal is one piece that stays.
    block = source * n + destination
    order = np.argsort(block, kind="stable")
    count = np.bincount(block, minlength=n * n)
    part = np.empty(len(block), dtype=np.int64)
    part[order] = np.arange(len(block)) - np.repeat(np.cumsum(count) - count, count)
    parts = np.zeros((n * n, max(int(count.max()), 1)))
    parts[block, part] = moved
    parts[count == 0, 0] = 1.0
    parts /= parts.sum(axis=1, keepdims=True)
    builder = Builder("all_to_all_v", "birkhoff", n, blocks=sizes.ravel(), parts=parts)
    builder.add(source, destination, block * parts.shape[1] + part, COPY, stage, channel=0)
    rest = f", {moved[stage == used].sum() / moved.sum():.1%} of the bytes after them" if (stage == used).any() else ""
    return received_in_order(builder.build(f"{used} stage{'s' * (used != 1)}{rest}", stages=most))


def _matchings(matrix: F64, most: int) -> tuple[I64, I64, I64, F64, int]:
    """Source, destination, stage and bytes of each transfer, and the number of stages; the diagonal is zero.

    A stage is a perfect matching of the ranks in the matrix with idle time, among entries of at least a threshold, which
    is halved where there is no such matching; it lasts as long as its smallest entry. What is left comes after all stages.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    ranks, left = np.arange(len(matrix)), matrix.copy()
    padded = left + _idle(left)
    threshold = padded.max()
    least = NEGLIGIBLE * threshold
    stages: list[tuple[I64, F64]] = []
    while len(stages) < most and threshold > least and (left > ROUNDING * matrix).any():
        to = maximum_bipartite_matching(csr_matrix(padded >= threshold), perm_type="column").astype(np.int64)
        if (to < 0).any():
            threshold /= 2
            continue
        time = padded[ranks, to].min()
        padded[ranks, to] -= time
        moved = np.minimum(time, left[ranks, to])
        left[ranks, to] -= moved
        stages.append((to, moved))
    late = np.nonzero(left > ROUNDING * matrix)
    count, used = len(late[0]), len(stages)
    source = np.concatenate((np.tile(ranks, used), late[0]))
    destination = np.concatenate([to for to, _ in stages] + [late[1]])
    stage = np.concatenate((np.repeat(np.arange(used), len(ranks)), np.full(count, used)))
    bytes_ = np.concatenate([moved for _, moved in stages] + [left[late]])
    some = bytes_ > 0
    return source[some], destination[some], stage[some], bytes_[some], used


def _idle(matrix: F64) -> F64:
    """What fills every row and column of a matrix up to the largest of their sums."""
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    largest = max(rows.max(), columns.max())
    rows, columns = largest - rows, largest - columns
    idle, row, column = np.zeros_like(matrix), 0, 0
    while row < len(rows) and column < len(columns):
        time = min(rows[row], columns[column])
        idle[row, column] += time
        rows[row] -= time
        columns[column] -= time
        row, column = (row + 1, column) if rows[row] <= columns[column] else (row, column + 1)
    return idle
