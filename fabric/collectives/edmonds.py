"""Spanning trees by the book: slower than growth by rounds, and never stuck.

First all nodes that only pass on are taken out, one after another: a link into such a node and one out of it are joined to one
that goes past it, for as many units as leave every rank as well connected as before, which maximum flows tell (edge splitting:
Mader; Bang-Jensen, Frank, Jackson). Where as much leads into the node as out of it that always ends with none left.

Then trees grow hop by hop. A hop from x to y may be taken by as many units of a tree as do not block the others: for no set of
ranks with y and without x may less lead into it than there are trees that have yet to get there (Edmonds; Bérczi and Frank).
Alike trees are kept as one with a multiplicity until they part.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from ..bounds.allgather import reach
from ..layout import NotApplicable
from ..wires import Wires
from .hops import Hops

I64 = NDArray[np.int64]
Way = tuple[int, ...]

WORK = 60_000
"""Pairs of links of nodes that pass on, times ranks, and hops of trees of one kind: more would take minutes."""


@dataclass
class Tree:
    """`count` trees from one root that have been alike so far. hops: the rank from which each rank is reached, in order."""

    root: int
    count: int
    hops: dict[int, int]

    def has(self, rank: int) -> bool:
        return rank == self.root or rank in self.hops


def pack_exactly(wires: Wires, roots: I64, capacity: I64) -> tuple[Hops, I64, I64]:
    """(hops, the root of each tree, [T, n] the hop by which it reaches each rank). roots: [n] trees from each rank; they fit.

    NotApplicable where that would take too long, or where a node that passes on has more units in than out, or out than in,
    that none of the trees can do without.
    """
    ranks = len(wires.ranks)
    degree = np.bincount(wires.source, minlength=wires.nodes) * np.bincount(wires.destination, minlength=wires.nodes)
    if int(degree[wires.place < 0].sum()) * ranks > WORK or ranks * (ranks - 1) * min(int(roots.max()), 8) > WORK:
        raise NotApplicable(f"optimal: no packing of {int(roots.sum())} trees was found")
    ways = _Splitting(wires, roots, capacity).ways()
    trees = _Packing(roots, {ends: sum(units for _, units in found) for ends, found in ways.items()}).trees()
    return _by_ways(trees, ways, ranks)


class _Splitting:
    """Links between any nodes, each with the ways along which its units go."""

    def __init__(self, wires: Wires, roots: I64, capacity: I64) -> None:
        self.wires, self.roots = wires, roots.astype(object)
        self.units: dict[tuple[int, int], int] = {}
        self.along: dict[tuple[int, int], list[tuple[Way, int]]] = {}
        for link, (u, v, units) in enumerate(zip(wires.source.tolist(), wires.destination.tolist(), capacity.tolist())):
            if units:
                self.units[u, v] = units
                self.along[u, v] = [((link,), units)]

    def ways(self) -> dict[tuple[int, int], list[tuple[Way, int]]]:
        """The ways between each two ranks and their units, when no other nodes are left."""
        place = self.wires.place.tolist()
        for node in range(self.wires.nodes):
            if place[node] < 0:
                self._balance(node)
                self._take_out(node)
        return {(place[u], place[v]): found for (u, v), found in self.along.items() if found}

    def _fits(self) -> bool:
        ends = np.array(list(self.units), dtype=np.int64).reshape(-1, 2)
        units = np.array(list(self.units.values()), dtype=object)
        return reach(self.wires.nodes, ends[:, 0], ends[:, 1], units, self.wires.ranks, self.roots) == []

    def _into(self, node: int) -> list[int]:
        return [u for (u, v), units in self.units.items() if v == node and units]

    def _out_of(self, node: int) -> list[int]:
        return [v for (u, v), units in self.units.items() if u == node and units]

    def _balance(self, node: int) -> None:
        """Drop what leads into a node and not out of it, or the other way."""
        into, out = ([(u, node) for u in self._into(node)], [(node, v) for v in self._out_of(node)])
        over = sum(self.units[one] for one in into) - sum(self.units[one] for one in out)
        for link in into if over > 0 else out:
            dropped = self._most(min(abs(over), self.units[link]), [(link, -1)])
            self._cut(link, dropped)
            over -= dropped if over > 0 else -dropped
            if not over:
                return

    def _take_out(self, node: int) -> None:
        for u in self._into(node):
            # Those that are far from full first, so that the units of a switch spread over its ranks.
            for v in sorted(self._out_of(node), key=lambda v: (u == v, self.units.get((u, v), 0), (v - u) % self.wires.nodes)):
                most = min(self.units[u, node], self.units[node, v])
                change = [((u, node), -1), ((node, v), -1)] + [((u, v), 1)] * (u != v)
                joined = self._most(most, change) if most else 0
                if joined:
                    self._join(u, node, v, joined)
        if self._into(node) and not self._fits_without(node):
            raise NotApplicable("optimal: a switch with more units in than out, or out than in, cannot be taken out")
        for link in [link for link in self.units if node in link]:
            self._cut(link, self.units[link])

    def _fits_without(self, node: int) -> bool:
        kept, self.units = self.units, {link: units for link, units in self.units.items() if node not in link}
        fits = self._fits()
        self.units = kept
        return fits

    def _most(self, most: int, change: list[tuple[tuple[int, int], int]]) -> int:
        """The largest count, up to `most`, by which links may change so that the trees still fit."""
        low, high, probe = 0, most + 1, most
        while high - low > 1:
            for link, sign in change:
                self.units[link] = self.units.get(link, 0) + sign * probe
            low, high = (probe, high) if self._fits() else (low, probe)
            for link, sign in change:
                self.units[link] -= sign * probe
            probe = (low + high) // 2
        return low

    def _cut(self, link: tuple[int, int], count: int) -> list[tuple[Way, int]]:
        """Take units off a link; the ways along which they went."""
        taken: list[tuple[Way, int]] = []
        self.units[link] -= count
        while count:
            way, units = self.along[link].pop()
            used = min(units, count)
            taken.append((way, used))
            count -= used
            if units > used:
                self.along[link].append((way, units - used))
        return taken

    def _join(self, u: int, node: int, v: int, count: int) -> None:
        first, second = self._cut((u, node), count), self._cut((node, v), count)
        if u == v:
            return
        self.units[u, v] = self.units.get((u, v), 0) + count
        joined = self.along.setdefault((u, v), [])
        while first:
            (way, a), (on, b) = first.pop(), second.pop()
            used = min(a, b)
            joined.append((way + on, used))
            first += [(way, a - used)] * (a > used)
            second += [(on, b - used)] * (b > used)


class _Packing:
    """Trees over ranks alone. units: of each link that no tree has taken."""

    def __init__(self, roots: I64, units: dict[tuple[int, int], int]) -> None:
        self.ranks, self.units = len(roots), units
        self.open = deque(Tree(root, count, {}) for root, count in enumerate(roots.tolist()) if count)
        self.done: list[Tree] = []

    def trees(self) -> list[Tree]:
        """All of them; each takes a hop in turn, so that none falls behind."""
        while self.open:
            tree = self.open.popleft()
            if len(tree.hops) == self.ranks - 1:
                self.done.append(tree)
                continue
            self._step(tree)
            self.open.append(tree)
        return self.done

    def _step(self, tree: Tree) -> None:
        depth = {tree.root: 0}
        for rank, above in tree.hops.items():
            depth[rank] = depth[above] + 1
        choices = [(x, y) for (x, y), units in self.units.items() if units and tree.has(x) and not tree.has(y)]
        for x, y in sorted(choices, key=lambda ends: (depth[ends[0]], -self.units[ends])):
            most = min(self.units[x, y], tree.count)
            count = min(most, self._spare(tree, x, y))
            if count > 0:
                if count < tree.count:
                    self.open.append(Tree(tree.root, tree.count - count, dict(tree.hops)))
                    tree.count = count
                tree.hops[y] = x
                self.units[x, y] -= count
                return
        raise NotApplicable("optimal: these trees cannot be packed")

    def _spare(self, tree: Tree, x: int, y: int) -> int:
        """What can flow from x to y beyond what the other trees need that have yet to reach y."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_flow

        others = [other for other in self.open if other is not tree and not other.has(y)]
        needed = sum(other.count for other in others)
        entries: dict[tuple[int, int], int] = {ends: units for ends, units in self.units.items() if units}
        for number, other in enumerate(others, start=self.ranks):
            entries[x, number] = other.count
            entries |= {(number, rank): other.count for rank in (other.root, *other.hops)}
        common = gcd(*entries.values())
        rows, columns = zip(*entries)
        size = self.ranks + len(others)
        values = np.array([units // common for units in entries.values()], dtype=np.int32)
        flow = maximum_flow(csr_array((values, (rows, columns)), shape=(size, size)), x, y).flow_value
        return int(flow) * common - needed


def _by_ways(trees: list[Tree], ways: dict[tuple[int, int], list[tuple[Way, int]]], ranks: int) -> tuple[Hops, I64, I64]:
    """Single trees, with a way for each of their hops."""
    table = sorted((u, v, way) for (u, v), found in ways.items() for way, _ in found)
    table = list(dict.fromkeys(table))
    number = {row: index for index, row in enumerate(table)}
    free = {ends: [[way, units] for way, units in found] for ends, found in ways.items()}
    roots, hops = [], []
    for tree in sorted(trees, key=lambda tree: tree.root):
        for _ in range(tree.count):
            row = [-1] * ranks
            for rank, above in tree.hops.items():
                choice = free[above, rank]
                row[rank] = number[above, rank, choice[-1][0]]  # type: ignore[index]
                choice[-1][1] -= 1  # type: ignore[operator]
                if not choice[-1][1]:
                    choice.pop()
            roots.append(tree.root)
            hops.append(row)
    longest = max(len(way) for _, _, way in table)
    links = np.array([(*way, *[-1] * (longest - len(way))) for _, _, way in table], dtype=np.int64).reshape(-1, longest)
    ends = np.array([(u, v) for u, v, _ in table], dtype=np.int64)
    return Hops(ends[:, 0], ends[:, 1], links), np.array(roots, dtype=np.int64), np.array(hops, dtype=np.int64)
