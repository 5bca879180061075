"""Chain: the data goes from rank to rank, S bytes each. Worth it in slices only, of which each hop carries another.

P slices take n - 2 + P times α + S/(PB), near S/B where there are many (`slices`). On a torus there is a chain along every
directed ring (`ring`), with its share of the data, so that all links of the root work at the same time.
"""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..layout import Layout
from ..schedule import COPY, REDUCE, Schedule
from . import ring
from .tree import ranks_from


def broadcast(layout: Layout, root: int = 0, cycles: int | None = None, directions: ring.Directions = 2) -> Schedule:
    """Broadcast from `root` along the rings of the layout; `cycles` and `directions` as for ring.

    Raises InputError without such a rank, NotApplicable where there are fewer cycles.
    """
    return _chain("broadcast", layout, root, cycles, directions)


def reduce(layout: Layout, root: int = 0, cycles: int | None = None, directions: ring.Directions = 2) -> Schedule:
    """Reduce to `root`: the same chains in reverse; parameters as for `broadcast`."""
    return _chain("reduce", layout, root, cycles, directions)


def _chain(collective: str, layout: Layout, root: int, cycles: int | None, directions: ring.Directions) -> Schedule:
    ranks_from(layout, root)
    rings = ring.directed_rings(layout, cycles, directions)
    builder = Builder(collective, "chain", layout.ranks, np.ones(1), np.full(len(rings), 1 / len(rings)), root)
    step = np.arange(layout.ranks - 1)
    for part, order in enumerate(rings):
        way = np.roll(order, -int(np.flatnonzero(order == root)[0]))
        if collective == "reduce":
            way = way[::-1]
        builder.add(way[:-1], way[1:], np.full_like(step, part), COPY if collective == "broadcast" else REDUCE, step)
    return builder.build(root=root, cycles=len(rings) // directions, directions=directions)
