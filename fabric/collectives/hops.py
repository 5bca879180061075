"""The hops of a packing: the ways from one rank to another that meet no third rank, and what maps them onto each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..layout import NotApplicable

if TYPE_CHECKING:
    from ..network import Network

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

HOPS = 400_000
"""More hops than this are refused: memory is trees times hops."""


@dataclass(frozen=True, eq=False)
class Wires:
    """The links as a collective of some ranks sees them: all other nodes only pass on.

    source, destination: [L] nodes, turned round where `turned`. capacity: [L] bytes/s. ranks: [n] the node of each rank.
    """

    nodes: int
    source: I64
    destination: I64
    capacity: F64
    ranks: I64
    turned: bool = False

    @classmethod
    def of(cls, network: Network, ranks: I64) -> Wires:
        links = slice(network.links)
        return cls(network.nodes, network.source, network.destination, network.capacity[links], np.asarray(ranks))

    def turn(self) -> Wires:
        """The same with every link in the opposite direction: a tree that spreads becomes one that collects."""
        return Wires(self.nodes, self.destination, self.source, self.capacity, self.ranks, not self.turned)

    @cached_property
    def place(self) -> I64:
        """[nodes] which rank a node is; -1 for none."""
        place = np.full(self.nodes, -1, dtype=np.int64)
        place[self.ranks] = np.arange(len(self.ranks))
        return place

    @cached_property
    def keys(self) -> tuple[I64, I64]:
        """(sorted source * nodes + destination, the link of each)."""
        keys = self.source * self.nodes + self.destination
        order = np.argsort(keys)
        return keys[order], order

    def image(self, symmetry: I64) -> I64:
        """[L] the link onto which a permutation of the nodes maps each link; -1 where there is none."""
        keys, order = self.keys
        wanted = symmetry[self.source] * self.nodes + symmetry[self.destination]
        position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.asarray(np.where(keys[position] == wanted, order[position], -1), dtype=np.int64)


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


def symmetries(wires: Wires, dims: Sequence[int]) -> I64:
    """[G, nodes] permutations of the nodes that keep every link's capacity and move every rank, and the identity.

    They are the shifts along the dimensions of the ranks' coordinates (rank numbers run fastest along the first), as far as
    the fabric allows them: a lost cable allows none across it. Without symmetry there is the identity alone.
    """
    generators = [found for shift in _shifts(len(wires.ranks), dims) if (found := _extend(wires, shift)) is not None]
    group = [np.arange(wires.nodes)]
    seen = {group[0].tobytes()}
    for element in group:
        for generator in generators:
            image = generator[element]
            if image.tobytes() not in seen:
                seen.add(image.tobytes())
                group.append(image)
    whole = np.array(group)
    fixed = (whole[1:, wires.ranks] == wires.ranks).any() or len(np.unique(whole[:, wires.ranks[0]])) != len(whole)
    return whole[:1] if fixed else whole


def _shifts(ranks: int, dims: Sequence[int]) -> list[I64]:
    """The shift by one along each dimension, of rank numbers."""
    shifts, stride, numbers = [], 1, np.arange(ranks)
    for size in dims:
        along = numbers // stride % size
        shifts.append(numbers + ((along + 1) % size - along) * stride)
        stride *= size
    return shifts if stride == ranks else []


def _extend(wires: Wires, shift: I64) -> I64 | None:
    """A permutation of the ranks as one of all nodes that keeps the capacities; None where that is not found.

    Every other node is told apart by the nodes around it whose image is known.
    """
    image = np.full(wires.nodes, -1, dtype=np.int64)
    image[wires.ranks] = wires.ranks[shift]
    around: list[list[tuple[int, float, bool]]] = [[] for _ in range(wires.nodes)]
    for u, v, capacity in zip(wires.source.tolist(), wires.destination.tolist(), wires.capacity.tolist()):
        around[u].append((v, capacity, True))
        around[v].append((u, capacity, False))
    while (unknown := np.flatnonzero(image < 0)).size:
        known, taken = image >= 0, set(image.tolist())
        looks: dict[frozenset[tuple[int, float, bool]], list[int]] = {}
        free = [node for node in range(wires.nodes) if node not in taken]
        domain = set(image[known].tolist())
        for node in free:
            looks.setdefault(frozenset(one for one in around[node] if one[0] in domain), []).append(node)
        for node in unknown.tolist():
            wanted = frozenset((int(image[v]), capacity, out) for v, capacity, out in around[node] if known[v])
            if wanted and looks.get(wanted):
                image[node] = looks[wanted].pop(0)
        if (image < 0).sum() == len(unknown):
            return None
    onto = wires.image(image)
    return image if (onto >= 0).all() and (wires.capacity[onto] == wires.capacity).all() else None
