"""Mesh: every rank talks to every other directly. One step for each phase, S(n-1)/n bytes per rank and phase.

All-reduce is the two-step form: reduce-scatter, then all-gather. The other, of one step, sends n/2 times as many bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..layout import Layout
from ..schedule import COPY, REDUCE, Schedule
from .lines import check_count


def all_reduce(layout: Layout) -> Schedule:
    """All-reduce in two steps: each rank sums its own block for all, then sends the sum to all."""
    return _mesh("all_reduce", layout)


def one_shot(layout: Layout) -> Schedule:
    """All-reduce in one step: each rank sends its whole vector to all, S(n-1) bytes."""
    builder = Builder("all_reduce", "mesh_one_shot", layout.ranks, np.ones(1), symmetry=(("shift", layout.ranks),))
    check_count("mesh_one_shot", layout.ranks, layout.ranks * (layout.ranks - 1))
    source, destination = pairs(layout.ranks)
    builder.add(source, destination, np.zeros_like(source), REDUCE, 0, ready=True)
    return builder.build()


def all_gather(layout: Layout) -> Schedule:
    """All-gather in one step: each rank sends its block to all."""
    return _mesh("all_gather", layout)


def reduce_scatter(layout: Layout) -> Schedule:
    """Reduce-scatter in one step: each rank sends every block to its owner."""
    return _mesh("reduce_scatter", layout)


def _mesh(collective: str, layout: Layout) -> Schedule:
    n = layout.ranks
    phases = {"all_reduce": [REDUCE, COPY], "all_gather": [COPY], "reduce_scatter": [REDUCE]}[collective]
    # In an all-reduce each of the n - 1 transfers of a rank's second step waits for the n - 1 that reach it in the first.
    check_count("mesh", n, len(phases) * n * (n - 1), (len(phases) - 1) * n * (n - 1) ** 2)
    builder = Builder(collective, "mesh", n, blocks=np.full(n, 1 / n), symmetry=(("shift", n),))
    source, destination = pairs(n)
    for step, operation in enumerate(phases):
        builder.add(source, destination, destination if operation == REDUCE else source, operation, step)
    return builder.build()


def pairs(ranks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ordered pairs of different ranks: the sources and the destinations, sources in order."""
    source, offset = np.divmod(np.arange(ranks * (ranks - 1)), max(ranks - 1, 1))
    return source, offset + (offset >= source)
