"""Bruck: all-gather among any number of ranks in ⌈log2 n⌉ steps, S(n-1)/n bytes per rank.

In step t a rank r sends what it has, its own block and the 2^t - 1 after it, to r - 2^t; in the last step only what is
missing there. The steps go one after another, through one port. Bruck, Ho, Kipnis, Upfal and Weathersby, "Efficient
algorithms for all-to-all communications in multiport message-passing systems", 1997.
"""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..layout import Layout
from ..schedule import COPY, Schedule


def all_gather(layout: Layout) -> Schedule:
    """All-gather with messages that double in size and distance."""
    n = layout.ranks
    ranks = np.arange(n)
    builder = Builder("all_gather", "bruck", n, np.full(n, 1 / n), symmetry=(("shift", n),))
    for step in range((n - 1).bit_length()):
        far = 1 << step
        blocks = (ranks[:, np.newaxis] + np.arange(min(far, n - far))) % n
        builder.add(ranks, (ranks - far) % n, blocks, COPY, step, 0)
    return builder.build()
