"""The links of a fabric as a collective of some of its ranks sees them, and the symmetries that they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .network import Network

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


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
