"""Edge-disjoint Hamiltonian cycles of a torus: as many as it has dimensions, together all of its links.

The lines of one dimension are a family of cycles that meets every rank once. Where a square has two opposite sides in one
family and the other two in another, the families may exchange them; that joins or splits their cycles. A seeded random
walk over such exchanges, which mostly goes where the cycles become fewer, ends with one cycle in each family. That there
are such cycles is known for two dimensions (Kotzig, 1973) and three (Foregger, 1978).
"""

from __future__ import annotations

from math import exp, prod
from random import Random

import numpy as np
from numpy.typing import NDArray

from ..errors import InternalError

I64 = NDArray[np.int64]
Family = list[set[int]]  # the two neighbours of each rank in one family of cycles

MOST_RANKS = 1024  # the search takes 10 ms on 64 ranks, 4 s on 1,024


def decomposable(dims: tuple[int, ...]) -> bool:
    """Whether `cycles` serves this torus: no dimension below 3, at most 1,024 ranks."""
    return bool(dims) and min(dims) >= 3 and prod(dims) <= MOST_RANKS


def cycles(dims: tuple[int, ...]) -> list[I64]:
    """One Hamiltonian cycle per dimension, pairwise edge-disjoint; each [n], the ranks in their order on the cycle.

    Ranks run fastest along the first dimension. The torus has to be `decomposable`. The same for every call.
    """
    ranks = np.arange(prod(dims)).reshape(dims, order="F")
    ahead = [np.roll(ranks, -1, axis).ravel(order="F").tolist() for axis in range(len(dims))]
    behind = [np.roll(ranks, 1, axis).ravel(order="F").tolist() for axis in range(len(dims))]
    families = [[set(pair) for pair in zip(*both)] for both in zip(ahead, behind)]
    if len(dims) > 1:
        _search(families, ahead)
    return [np.array(_cycle(family, 0)) for family in families]


def _search(families: list[Family], ahead: list[list[int]]) -> None:
    """Exchange squares until every family is one cycle."""
    random = Random(1)
    n = len(ahead[0])
    counts = [_count(family) for family in families]
    for _ in range(10_000 * n):
        u, (i, j) = random.randrange(n), random.sample(range(len(ahead)), 2)
        v, w = ahead[i][u], ahead[j][u]
        square = (u, v, w, ahead[i][w])
        a = next(which for which, family in enumerate(families) if v in family[u])
        b = next(which for which, family in enumerate(families) if w in family[u])
        if a == b or square[3] not in families[a][w] or square[3] not in families[b][v]:
            continue
        _exchange(families[a], families[b], *square)
        found = _count(families[a]), _count(families[b])
        more = sum(found) - counts[a] - counts[b]
        # A step up now and then, with 0.1 % to 4 % chance, leaves dead ends.
        if more <= 0 or random.random() < exp(-more / 0.3):
            counts[a], counts[b] = found
            if sum(counts) == len(families):
                return
        else:
            _exchange(families[a], families[b], *square)
    raise InternalError(f"no Hamiltonian cycles found on a torus of {n} ranks")


def _exchange(a: Family, b: Family, u: int, v: int, w: int, x: int) -> None:
    """Exchange the sides u-v and w-x of a square with u-w and v-x; its own inverse."""
    for one, other in ((u, v), (w, x), (u, w), (v, x)):
        for family in (a, b):
            family[one] ^= {other}
            family[other] ^= {one}


def _cycle(family: Family, start: int) -> list[int]:
    """The ranks of the cycle through `start`."""
    order, back, here = [start], start, min(family[start])
    while here != start:
        order.append(here)
        one, other = family[here]
        back, here = here, other if one == back else one
    return order


def _count(family: Family) -> int:
    """The number of cycles."""
    left, count = set(range(len(family))), 0
    while left:
        left.difference_update(_cycle(family, next(iter(left))))
        count += 1
    return count
