"""The hops of a packing: the ways from one rank to another that meet no third rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..layout import NotApplicable
from ..wires import Wires

I64 = NDArray[np.int64]

HOPS = 400_000
"""More hops than this are refused: memory is trees times hops."""


@dataclass(frozen=True, eq=False)
class Hops:
    """H hops, by source, then destination. source, destination: [H] ranks. links: [H, R] in order, -1 after the last."""

    source: I64
    destination: I64
    links: I64

    @cached_property
    def last(self) -> I64:
        """[H] the last link."""
        count = (self.links >= 0).sum(axis=1, keepdims=True)
        return np.take_along_axis(self.links, count - 1, axis=1)[:, 0]

    def fit(self, wires: Wires) -> bool:
        """Whether the links of every hop lead from its source to its destination, and there only."""
        here = wires.ranks[self.source]
        for links in self.links.T:
            there = links >= 0
            if (wires.source[links[there]] != here[there]).any():
                return False
            here = np.where(there, wires.destination[links], here)
        gap = (self.links[:, 1:] >= 0) & (self.links[:, :-1] < 0)
        return not gap.any() and bool((here == wires.ranks[self.destination]).all())


def find_hops(wires: Wires) -> Hops:
    """All shortest ways between ranks over nodes that only pass on. NotApplicable where there are too many."""
    ahead: list[list[tuple[int, int]]] = [[] for _ in range(wires.nodes)]
    for link, (u, v) in enumerate(zip(wires.source.tolist(), wires.destination.tolist())):
        ahead[u].append((v, link))
    place = wires.place.tolist()
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for rank, node in enumerate(wires.ranks.tolist()):
        found += ((rank, place[end], way) for end, way in _ways(node, ahead, place))
        if len(found) > HOPS:
            raise NotApplicable(f"optimal: more than {HOPS} ways between neighbouring ranks")
    found.sort()
    longest = max((len(way) for _, _, way in found), default=1)
    links = np.array([(*way, *[-1] * (longest - len(way))) for _, _, way in found], dtype=np.int64).reshape(-1, longest)
    source, destination = (np.array([hop[end] for hop in found], dtype=np.int64) for end in (0, 1))
    return Hops(source, destination, links)


def _ways(start: int, ahead: Sequence[Sequence[tuple[int, int]]], place: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """(rank's node, links) of the shortest ways from a rank, level by level; a node that passes on is met once per level."""
    reached, level = {start: 0}, 0
    found: list[tuple[int, tuple[int, ...]]] = []
    edge: list[tuple[int, tuple[int, ...]]] = [(start, ())]
    while edge and len(found) + len(edge) <= HOPS:
        level += 1
        further: list[tuple[int, tuple[int, ...]]] = []
        for node, way in edge:
            for after, link in ahead[node]:
                if reached.setdefault(after, level) == level:
                    (found if place[after] >= 0 else further).append((after, (*way, link)))
        edge = further
    return found
