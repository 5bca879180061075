"""Edge-disjoint Hamiltonian cycles of a torus: as many as it has dimensions, together all of its links.

The lines of one dimension are cycles that meet every rank once. Where a square has two opposite sides in cycles of one
such family and the other two in cycles of another, the families may exchange them; that joins or splits their cycles. A
few exchanges turn every dimension's lines into one cycle. That a decomposition exists is known for two dimensions (Kotzig,
1973) and three (Foregger, 1978); which squares to take is our own, and the tests check the cycles that come out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ..errors import InternalError

I64 = NDArray[np.int64]
Links = list[set[int]]  # the neighbours of each rank in one family of cycles, two each


def decomposable(dims: tuple[int, ...]) -> bool:
    """Whether `cycles` serves this torus: at most two dimensions, or all even; all even or all odd, and none below 3."""
    return bool(dims) and min(dims) >= 3 and len({k % 2 for k in dims}) == 1 and (len(dims) < 3 or dims[0] % 2 == 0)


def cycles(dims: tuple[int, ...]) -> list[I64]:
    """One Hamiltonian cycle per dimension, pairwise edge-disjoint; each [n], the ranks in their order on the cycle.

    Ranks run fastest along the first dimension. The torus has to be `decomposable`.
    """
    found = [np.arange(dims[0])]
    for k in dims[1:]:
        layer = len(found[0])
        first, *others = (cycle + layer * np.arange(k)[:, None] for cycle in found)  # [k, layer]
        families = _two(first)
        for other in others:
            families.append(_joined(_links(other), families, layer, k))
        found = [np.array(_walk(family, 0)) for family in families]
    return found


def _links(cycles: I64) -> Links:
    """The neighbours of each rank in some cycles [count, length]."""
    links: Links = [set() for _ in range(cycles.size)]
    for u, v in zip(cycles.ravel().tolist(), np.roll(cycles, -1, axis=1).ravel().tolist()):
        links[u].add(v)
        links[v].add(u)
    return links


def _walk(links: Links, start: int) -> list[int]:
    """The cycle through `start`."""
    order, back, here = [start], start, min(links[start])
    while here != start:
        order.append(here)
        back, here = here, next(rank for rank in links[here] if rank != back)
    return order


def _exchange(a: Links, b: Links, u: int, v: int, u2: int, v2: int) -> None:
    """Exchange the sides u-v, u2-v2 of a square with u-u2, v-v2 between two families; its own inverse."""
    for x, y in ((u, v), (u2, v2), (u, u2), (v, v2)):
        for family in (a, b):
            family[x] ^= {y}
            family[y] ^= {x}


def _two(ranks: I64) -> list[Links]:
    """The two cycles of a torus of two dimensions, `ranks` [m, n] by coordinates, m and n both even or both odd."""
    if ranks.shape[0] > ranks.shape[1]:
        ranks = ranks.T
    m, n = ranks.shape
    along, across = _links(ranks.T), _links(ranks)
    for y in range(n - 1):
        # A staircase of squares joins all lines of the second axis and m of the first. The squares above it join the other
        # lines of the first axis in pairs: one cuts the cycle of the second axis in two, the next closes it again.
        x = y if y < m - 1 else (y - m + 1) % 2
        _exchange(along, across, *ranks[x : x + 2, y : y + 2].T.ravel().tolist())
    return [along, across]


def _joined(links: Links, hosts: list[Links], layer: int, layers: int) -> Links:
    """One cycle out of a cycle's copies in all layers, by exchanging squares with `hosts`, which remain cycles."""
    for bottom in range(0, layer * (layers - 1), layer):
        if not any(_join(links, a, b, bottom, layer) for a, b in permutations(hosts, 2)):
            raise InternalError(f"no squares join the copies of a Hamiltonian cycle of {layer} ranks")
    return links


def _join(links: Links, a: Links, b: Links, bottom: int, layer: int) -> bool:
    """Join the copy in the layer from rank `bottom` to the next one, through links of `a`; False where it cannot be.

    In a cycle, all steps up from ranks of one colour of the chessboard go in one direction, so taking two of them out
    would cut it. Two exchanges of `a` with `b` first bring steps of the other direction into `a`.
    """
    for u in range(bottom, bottom + layer):
        for v in sorted(links[u] - {u - layer, u + layer}):
            for h in _sides(a, b, u, layer):
                _exchange(a, b, u, h, u + layer, h + layer)
                for g in _sides(a, b, v, layer):
                    _exchange(a, b, v, g, v + layer, g + layer)
                    _exchange(links, a, u, v, u + layer, v + layer)
                    if len(_walk(a, 0)) == len(_walk(b, 0)) == len(a):
                        return True
                    _exchange(links, a, u, v, u + layer, v + layer)
                    _exchange(a, b, v, g, v + layer, g + layer)
                _exchange(a, b, u, h, u + layer, h + layer)
    return False


def _sides(a: Links, b: Links, u: int, layer: int) -> Iterator[int]:
    """The v for which u-v in this layer and the next are in `a` and the steps up from u and from v in `b`."""
    if u + layer in b[u]:
        for v in sorted(a[u]):
            if v + layer in b[v] and v + layer in a[u + layer]:
                yield v
