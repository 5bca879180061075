"""All-to-all: every rank has a block for every rank. Direct: all are sent at once, one step, S(n-1)/n bytes per rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..layout import Layout
from ..schedule import COPY, Builder, Schedule
from .lines import check_count
from .mesh import pairs


def direct(layout: Layout) -> Schedule:
    """All-to-all of equal blocks, directly. S is the whole send buffer of a rank, its block for itself included."""
    n = layout.ranks
    check_count("direct", n, n * (n - 1))
    builder = Builder("all_to_all", "direct", n, blocks=np.full(n * n, 1 / n))
    source, destination = pairs(n)
    builder.add(source, destination, source * n + destination, COPY, 0)
    return builder.build()


def direct_v(layout: Layout, matrix: ArrayLike) -> Schedule:
    """All-to-all of unequal blocks, directly.

    matrix: [n, n] bytes, from rank (row) to rank (column). A zero sends nothing; the diagonal stays where it is and counts
        in the size, which is the largest row sum.
    The schedule has the bytes of the matrix; `scaled` gives other sizes. Raises InputError for a matrix that has the wrong
    shape, is negative or not finite, or holds nothing.
    """
    n = layout.ranks
    sizes = np.asarray(matrix, dtype=np.float64)
    if sizes.shape != (n, n):
        raise InputError(f"all_to_all_v on {n} ranks needs a matrix of {n} x {n}, not {' x '.join(map(str, sizes.shape))}")
    wrong = np.argwhere(~((sizes >= 0) & np.isfinite(sizes)))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(f"all_to_all_v: bytes from rank {row} to rank {column} are {sizes[row, column]}, not 0 or more")
    if not sizes.any():
        raise InputError("all_to_all_v: the matrix holds no bytes")
    builder = Builder("all_to_all_v", "direct", n, blocks=sizes.ravel())
    source, destination = pairs(n)
    sent = sizes[source, destination] > 0
    check_count("direct", n, int(sent.sum()))
    builder.add(source[sent], destination[sent], (source * n + destination)[sent], COPY, 0)
    return builder.build()
