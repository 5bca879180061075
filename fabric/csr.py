"""Compressed rows: pointers into one array instead of a list of lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


def pointers(counts: NDArray[np.int64]) -> I64:
    """CSR pointers from the row lengths."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def ranges(first: NDArray[np.int64], last: NDArray[np.int64]) -> I64:
    """The integers of the half-open ranges [first, last), one after another.

    >>> ranges(np.array([3, 8]), np.array([5, 9]))
    array([3, 4, 8])
    """
    count = last - first
    return np.asarray(np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count), dtype=np.int64)
