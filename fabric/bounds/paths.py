"""Shortest paths and connected components on arrays of links. Small, so that a short run need not import scipy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


def components(nodes: int, source: I64, destination: I64) -> I64:
    """[nodes] number of the component of each node, links taken both ways; numbered by their smallest node.

    >>> components(5, np.array([0, 3]), np.array([2, 4]))
    array([0, 1, 0, 2, 2])
    """
    label = np.arange(nodes)
    while True:
        # Hang the larger of two joined roots below the smaller, then shorten all ways to the root.
        low = np.minimum(label[source], label[destination])
        high = np.maximum(label[source], label[destination])
        if (low == high).all():
            return np.unique(label, return_inverse=True)[1].astype(np.int64)
        np.minimum.at(label, high, low)
        while (label[label] != label).any():
            label = label[label]


def distances(nodes: int, source: I64, destination: I64, length: F64, starts: I64) -> F64:
    """[starts, nodes] least sum of lengths along links from each start; infinite where there is no path.

    >>> distances(3, np.array([0, 1]), np.array([1, 2]), np.array([1.0, 0.5]), np.array([0]))
    array([[0. , 1. , 1.5]])
    """
    distance = np.full((len(starts), nodes), np.inf)
    distance[np.arange(len(starts)), starts] = 0.0
    order = np.argsort(destination, kind="stable")
    source, length = source[order], length[order]
    ends, first = np.unique(destination[order], return_index=True)
    while len(ends):
        nearer = np.minimum.reduceat(distance[:, source] + length, first, axis=1)
        if (nearer >= distance[:, ends]).all():
            break
        distance[:, ends] = np.minimum(distance[:, ends], nearer)
    return distance
