"""Trees that grow at the same time until all of them span: the search behind `packing`.

It knows hops and classes of links with their units; that what it finds is right is checked there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .hops import Hops

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

CROWDED = 6
"""A root with less than so many units out of it for each of its trees is crowded."""

HOPELESS = (500, 0.01)
"""More ranks than this, and than this fraction of all, are too many to be reached by exchanges."""

FAILURES = 100
"""Exchanges in vain after which an attempt is given up."""

TRIES = 400
"""Hops of other trees that are looked at to make room for one."""


class Growth:
    """T trees over n ranks.

    classes: [L] of each link. units: [classes] what each link of a class has. weight: [classes] units that a hop takes of
    every link of the class, as it stands for its images too. root: [T]. tight: [classes] those that have to be used in full.

    reached: [T, n] the round in which a tree reached a rank, -1 = not yet. hop: [T, n] by which hop. left: [classes + 1]
    units; the last stands for no link.
    """

    def __init__(
        self, hops: Hops, classes: I64, units: I64, weight: I64, root: I64, tight: Bools, choice: np.random.Generator
    ) -> None:
        none = len(units)
        self.hops, self.root, self.tight, self.choice = hops, root, tight, choice
        self.units, self.weight = np.append(units, np.iinfo(np.int64).max // 2), np.append(weight, 0)
        self.left = self.units.copy()
        self.uses = np.where(hops.links >= 0, classes[hops.links], none)
        ranks = int(max(hops.source.max(initial=0), hops.destination.max(initial=0), root.max())) + 1
        self.by_end = np.argsort(hops.destination, kind="stable")
        self.into = np.split(self.by_end, np.cumsum(np.bincount(hops.destination, minlength=ranks))[:-1])
        self.reached = np.full((len(root), ranks), -1, dtype=np.int64)
        self.hop = np.full((len(root), ranks), -1, dtype=np.int64)
        self.reached[np.arange(len(root)), root] = 0
        self.failures = 0  # exchanges that were tried in vain

    def run(self, least: float, say: Callable[[str], None]) -> bool:
        """Grow until every tree spans; False where that fails. least: of the units, in a round."""
        number, spent = 0, 0.0
        self._start()
        while missing := int((self.reached < 0).sum()):
            number += 1
            say(f"optimal: packing trees, {missing} hops to go")
            part = self._part(least, spent)
            spent += part
            if self._round(number, part):
                continue
            hopeless = missing > max(HOPELESS[0], HOPELESS[1] * self.hop.size)
            if hopeless or self.failures > FAILURES or not self._exchange(number):
                return False
        return True

    def _start(self) -> None:
        """Let the trees of crowded roots, which have hardly a unit for each, out first: others would wall them in."""
        first = np.unique(self.hops.links[:, 0], return_index=True)[1]
        ranks = self.reached.shape[1]
        out = np.bincount(self.hops.source[first], self.units[self.uses[first, 0]], ranks)
        crowded = np.flatnonzero((np.bincount(self.root, minlength=ranks) > out / CROWDED)[self.root])
        for number in range(1, max(ranks // 8, 2)):
            for tree in self.choice.permutation(crowded).tolist():
                there = self.reached[tree] >= 0
                hops = np.flatnonzero(there[self.hops.source] & ~there[self.hops.destination])
                share = self._share(self.left, hops)
                best = np.flatnonzero(share == share.max())
                hop = int(hops[best[self.choice.integers(len(best))]])
                if share.max() > 0:
                    self._take(tree, int(self.hops.destination[hop]), hop, number)

    def _open(self) -> Bools:
        """[T, H] hops from a rank that a tree has reached to one that it has not."""
        there = self.reached >= 0
        return there[:, self.hops.source] & ~there[:, self.hops.destination]

    def _part(self, least: float, spent: float) -> float:
        """Which part of their units all links may give in this round: as much as the one that must not idle can use."""
        hops = self._open().sum(axis=0)
        could = np.zeros(len(self.units))
        np.add.at(could, self.uses, (hops[:, np.newaxis] * self.weight[self.uses]).astype(np.float64))
        needed = self.tight & (self.left[:-1] > 0)
        most = float((could[:-1][needed] / self.units[:-1][needed]).min(initial=1.0))
        return max(min(most, 1 - spent), least)

    def _round(self, number: int, part: float) -> int:
        """Reach further ranks from those of earlier rounds; how many were."""
        ways, gain = self._ways_and_gain()
        quota = np.minimum(self.left, np.maximum(np.ceil(part * self.units - 1e-9), 1)).astype(np.int64)
        quota[-1] = self.left[-1]
        there = self.reached >= 0
        tree, rank = np.nonzero(ways)
        # First trees that fall behind, then ranks that open scarce links to their tree, then ranks with few ways.
        size = there.sum(axis=1)
        ahead = (size > np.median(size) / 2)[tree]
        order = np.lexsort((self.choice.random(len(tree)), ways[tree, rank], -gain[tree, rank], ahead))
        count = 0
        for one, goal in zip(tree[order].tolist(), rank[order].tolist()):
            hop = self._best(there[one], goal, quota)
            if hop >= 0:
                np.subtract.at(quota, self.uses[hop], self.weight[self.uses[hop]])
                self._take(one, goal, hop, number)
                count += 1
        return count

    def _ways_and_gain(self) -> tuple[I64, I64]:
        """[T, n] open hops to a rank; hops from it over links that no open hop of the tree ends with yet."""
        hops, opened = self.hops, self._open()
        trees = len(opened)
        ends = np.zeros((trees, int(hops.links.max()) + 1), dtype=np.bool_)
        tree, hop = np.nonzero(opened)
        ends[tree, hops.last[hop]] = True
        new = ~ends[:, hops.last] & (self.reached < 0)[:, hops.destination]
        starts = np.flatnonzero(np.diff(hops.source, prepend=-1))
        goals = np.flatnonzero(np.diff(hops.destination[self.by_end], prepend=-1))
        ways, gain = np.zeros_like(self.reached), np.zeros_like(self.reached)
        gain[:, hops.source[starts]] = np.add.reduceat(new, starts, axis=1, dtype=np.int64)
        ways[:, hops.destination[self.by_end[goals]]] = np.add.reduceat(opened[:, self.by_end], goals, axis=1, dtype=np.int64)
        return ways, gain

    def _best(self, there: Bools, goal: int, quota: I64) -> int:
        """The hop to a rank whose links have the most of their units left; -1 where none has enough."""
        hops = self.into[goal]
        hops = hops[there[self.hops.source[hops]]]
        share = self._share(quota, hops)
        best = np.flatnonzero(share == share.max())
        return -1 if share[best[0]] < 0 else int(hops[best[self.choice.integers(len(best))]])

    def _share(self, left: I64, hops: I64) -> F64:
        """[h] the least part of its units that a link of the hop has left; -1 where one has too few for it, or none at all."""
        uses = self.uses[hops]
        part = np.where(left[uses] >= self.weight[uses], left[uses] / np.maximum(self.units[uses], 1), -1.0)
        return np.asarray(part.min(axis=1))

    def _take(self, tree: int, rank: int, hop: int, number: int) -> None:
        np.subtract.at(self.left, self.uses[hop], self.weight[self.uses[hop]])
        self.hop[tree, rank], self.reached[tree, rank] = hop, number

    def _give(self, hop: int) -> None:
        np.add.at(self.left, self.uses[hop], self.weight[self.uses[hop]])

    def _exchange(self, number: int) -> int:
        """Reach ranks by units that another tree can do without; how many were."""
        count = 0
        for tree, rank in zip(*(ends.tolist() for ends in np.nonzero(self.reached < 0))):
            hops = self.into[rank]
            rounds = self.reached[tree, self.hops.source[hops]]
            hops = hops[np.argsort(rounds, kind="stable")][(rounds < 0).sum() :]
            done = any(self._make_room(tree, rank, hop, number) for hop in hops.tolist())
            count, self.failures = count + done, self.failures + (not done)
            if self.failures > FAILURES:
                break
        return count

    def _make_room(self, tree: int, rank: int, hop: int, number: int) -> bool:
        """Take a hop, after one other tree has moved out of the way where that is needed."""
        self._take(tree, rank, hop, number)
        lacking = self.uses[hop][self.left[self.uses[hop]] < 0]
        if not len(lacking):
            return True
        free = (self.left[self.uses] >= self.weight[self.uses]) | (self.hops.links == self.hops.last[:, np.newaxis])
        free = free.all(axis=1)  # but for the last link, which a hop may share with the one whose place it takes
        open_to = np.bincount(self.hops.destination[free], minlength=self.hop.shape[1]) > 0
        near = np.append((self.uses == lacking[0]).any(axis=1) & open_to[self.hops.destination], False)
        places = np.flatnonzero(near[self.hop.ravel()])
        for place in places[self.choice.permutation(len(places))[:TRIES]].tolist():
            other, goal = divmod(place, self.hop.shape[1])
            if (other, goal) != (tree, rank) and self._move(other, goal, free):
                return True
        self._give(hop)
        self.hop[tree, rank] = self.reached[tree, rank] = -1
        return False

    def _move(self, tree: int, rank: int, free: Bools) -> bool:
        """Reach a rank by another hop, one of the free ones, such that no class lacks units then."""
        known, number = int(self.hop[tree, rank]), int(self.reached[tree, rank])
        hops = self.into[rank]
        hops = hops[free[hops]]
        rounds = self.reached[tree, self.hops.source[hops]]
        self._give(known)
        for hop in hops[np.argsort(rounds, kind="stable")][(rounds < 0).sum() :].tolist():
            if hop != known and not self._below(tree, rank, int(self.hops.source[hop])):
                self._take(tree, rank, hop, number)
                if (self.left >= 0).all():
                    return True
                self._give(hop)
        self._take(tree, rank, known, number)
        return False

    def _below(self, tree: int, rank: int, other: int) -> bool:
        """Whether a tree reaches `other` by way of `rank`."""
        while other != rank:
            hop = int(self.hop[tree, other])
            if hop < 0:
                return False
            other = int(self.hops.source[hop])
        return True
