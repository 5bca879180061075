"""Spanning trees that use every link up to what it can carry: the best all_gather and reduce_scatter there can be.

x bytes/s from every rank to all others at the same time are possible if and only if no cut is in the way (see
`bounds.allgather`). Take a unit of which x and all capacities are whole multiples: then trees of one unit each, k = x / unit
from every rank, can be packed so that no link is in more trees than it has units (Edmonds; ForestColl, arXiv 2402.06787).

They are found by growing all trees at the same time, round by round, so that they stay shallow: in a round every link takes
at most the same fraction of its units. Where growth is stuck, exchanges make room: another tree reaches one of its ranks by
another hop and gives up the units that are needed. What counts is the end: every tree spans all ranks and no link is
overloaded, in whole numbers (`Forest.check`). Symmetries of the fabric leave fewer trees to grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import floor, gcd, lcm

import numpy as np
from numpy.typing import NDArray

from ..bounds.allgather import reach
from ..errors import InternalError
from ..layout import NotApplicable
from ..wires import Wires, symmetries
from .edmonds import pack_exactly
from .growth import Growth
from .hops import Hops, find_hops

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Progress = Callable[[str], None]

ATTEMPTS = ((0.1, 0), (0.2, 1), (0.05, 2), (0.1, 3), (0.2, 4), (0.1, 5), (0.05, 6), (0.3, 7))
"""Least fraction of the units in a round, and the seed of the choice among equals."""

WORK = 20_000_000
"""Trees times hops of all attempts together."""

LARGEST = 100_000_000
"""Trees times hops."""

BISECTIONS = 1024
"""Steps in which a unit that is too small for the trees there may be is enlarged."""


@dataclass(frozen=True, eq=False)
class Demand:
    """What is to be packed, in units. roots: [n] trees from each rank. capacity: [L] trees that each link may be in.

    unit: bytes/s of a tree.
    """

    unit: Fraction
    roots: I64
    capacity: I64

    @property
    def rate(self) -> Fraction:
        """Bytes/s of all trees together."""
        return self.unit * int(self.roots.sum())


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees that meet a demand; stored are the trees of one rank of each class of the symmetries.

    root: [T] rank. hop: [T, n] the hop by which a tree reaches each rank, -1 at its root. group: [G, nodes].
    """

    wires: Wires
    demand: Demand
    hops: Hops
    group: I64
    root: I64
    hop: I64

    @cached_property
    def parent(self) -> I64:
        """[T, n] the rank from which a tree reaches each rank, -1 at its root."""
        return np.where(self.hop >= 0, self.hops.source[self.hop], -1)

    @cached_property
    def depth(self) -> I64:
        """[T, n] hops from the root."""
        depth = np.where(self.hop >= 0, -1, 0)
        while (depth < 0).any():
            above = np.take_along_axis(depth, np.maximum(self.parent, 0), axis=1)
            ready = (depth < 0) & (above >= 0)
            if not ready.any():
                raise InternalError("a tree of the packing is not connected")
            depth[ready] = above[ready] + 1
        return depth

    @cached_property
    def orbits(self) -> tuple[I64, I64]:
        """([L] the class of every link, [classes] on how many trees of the whole forest one stored hop counts for a link)."""
        return link_classes(self.wires, self.group)

    def whole(self) -> Forest:
        """All trees, by root."""
        if len(self.group) == 1:
            return self
        row = {tuple(way): hop for hop, way in enumerate(self.hops.links.tolist())}
        images = []
        for symmetry in self.group:
            links = np.append(self.wires.image(symmetry), -1)
            image = np.array([row[tuple(way)] for way in links[self.hops.links].tolist()] + [-1])
            images.append(image[self.hop])
        root, hop = self._moved([self.root] * len(self.group), images)
        return replace(self, group=self.group[:1], root=root, hop=hop)

    def spread(self, values: I64) -> I64:
        """What is said of the hops of the stored trees, [T, n, ...], for those of all trees."""
        count = len(self.group)
        return values if count == 1 else self._moved([self.root] * count, [values] * count)[1]

    def _moved(self, roots: list[I64], values: list[I64]) -> tuple[I64, I64]:
        """Roots, and values of each rank, taken to where each symmetry moves the ranks; trees by root."""
        moved = [self.wires.place[symmetry[self.wires.ranks]] for symmetry in self.group]
        root = np.concatenate([place[one] for place, one in zip(moved, roots)])
        found = np.concatenate([one[:, np.argsort(place)] for place, one in zip(moved, values)])
        order = np.argsort(root, kind="stable")
        return root[order], found[order]

    def load(self) -> I64:
        """[L] the trees that each link is in."""
        whole = self.whole()
        links = self.hops.links[whole.hop[whole.hop >= 0]]
        return np.bincount(links[links >= 0], minlength=len(self.wires.capacity))

    def check(self) -> None:
        """The certificate, in whole numbers: hops are ways, every tree spans, roots are as demanded, no link is overloaded."""
        if not self.hops.fit(self.wires):
            raise InternalError("a hop of the packing is no way between its ranks")
        whole, ranks = self.whole(), np.arange(self.hop.shape[1])
        reached = self.hops.destination[whole.hop]
        spans = ((whole.hop >= 0) == (ranks != whole.root[:, np.newaxis])).all()
        spans &= bool((reached == ranks)[whole.hop >= 0].all()) and bool((whole.depth >= 0).all())
        if not spans or (np.bincount(whole.root, minlength=len(ranks)) != self.demand.roots).any():
            raise InternalError("a tree of the packing does not span all ranks")
        if (self.load() > self.demand.capacity).any():
            raise InternalError("the trees overload a link")


def demand_for(sides: Sequence[Wires], rates: list[Fraction], most: int) -> Demand:
    """The demand of trees that carry `rates` bytes/s from each rank, which fit; the largest unit of which all are multiples.

    sides: the ways round in which the trees are to be packed. most: trees; where more were needed, roots and links lose the
    fraction of a larger unit that is over, and the rates shrink by as little as makes them fit again.
    """
    capacity = [Fraction(value) for value in sides[0].capacity.tolist()]
    values = {*capacity, *rates} - {Fraction(0)}
    over = lcm(*(value.denominator for value in values))
    unit = Fraction(gcd(*(int(value * over) for value in values)), over)
    total = sum(rates, Fraction(0))
    if total / unit <= most:
        return Demand(unit, *(_in_units(those, unit) for those in (rates, capacity)))
    roots = np.maximum(_in_units(rates, total / most), np.array([rate > 0 for rate in rates], dtype=np.int64))
    largest = total / int(roots.sum())
    low, high = 0, BISECTIONS  # the unit is a whole number of largest / BISECTIONS
    while high - low > 1:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(sides, roots, _in_units(capacity, largest * middle / BISECTIONS)) else (low, middle)
    if not low:
        raise NotApplicable(f"optimal: {most} trees are too few for these capacities")
    return Demand(largest * low / BISECTIONS, roots, _in_units(capacity, largest * low / BISECTIONS))


def demand_from(wires: Wires, root: int, rate: Fraction, most: int) -> Demand:
    """The demand of as few trees as carry `rate` bytes/s from one root, a place in `wires.ranks`; nearly as many bytes/s where
    more than `most` were needed."""
    rates = [rate if place == root else Fraction(0) for place in range(len(wires.ranks))]
    capacity = [Fraction(value) for value in wires.capacity.tolist()]
    for count in range(1, most + 1):
        demand = Demand(rate / count, *(_in_units(those, rate / count) for those in (rates, capacity)))
        if _fits((wires,), demand.roots, demand.capacity):
            return demand
    return demand_for((wires,), rates, most)


def _in_units(values: Sequence[Fraction], unit: Fraction) -> I64:
    return np.array([floor(value / unit) for value in values], dtype=np.int64)


def _fits(sides: Sequence[Wires], roots: I64, capacity: I64) -> bool:
    """Whether no cut is in the way of trees from these roots."""
    return all(reach(one.nodes, one.source, one.destination, capacity, one.ranks, roots) == [] for one in sides)


def link_classes(wires: Wires, group: I64) -> tuple[I64, I64]:
    """See `Forest.orbits`."""
    least = np.arange(len(wires.capacity))
    for symmetry in group[1:]:
        least = np.minimum(least, wires.image(symmetry))
    _, classes, sizes = np.unique(least, return_inverse=True, return_counts=True)
    return classes.astype(np.int64), np.asarray(len(group) // sizes, dtype=np.int64)


def pack(wires: Wires, demand: Demand, dims: tuple[int, ...], progress: Progress, *, exactly: bool = True) -> Forest:
    """Trees that meet a demand. NotApplicable where none are found; `exactly` searches on hop by hop where growth is stuck."""
    hops, group = find_hops(wires), symmetries(wires, dims)
    ranks = len(wires.ranks)
    if ranks > 1 and len(np.unique(hops.destination)) + len(np.unique(hops.source)) < 2 * ranks:
        raise NotApplicable("optimal: a rank cannot be reached from the others, or reach none")
    if (demand.roots[wires.place[group[:, wires.ranks]]] != demand.roots).any():
        group = group[:1]
    first = np.unique(wires.place[group[:, wires.ranks]].min(axis=0))
    root = np.repeat(first, demand.roots[first])
    if len(root) * len(hops.source) > LARGEST:
        raise NotApplicable(f"optimal: {len(root)} trees over {len(hops.source)} hops are too many to pack")
    classes, weight = link_classes(wires, group)
    units, tight = np.zeros_like(weight), _tight(wires, demand, classes)
    units[classes] = demand.capacity
    attempts = ATTEMPTS[: max(1, WORK // (len(root) * len(hops.source)))]
    for number, (least, seed) in enumerate(attempts):
        progress(f"optimal: packing {int(demand.roots.sum())} trees" + f", attempt {number + 1}" * (number > 0))
        growth = Growth(hops, classes, units, weight, root, tight, np.random.default_rng(seed))
        if growth.run(least, progress):
            forest = Forest(wires, demand, hops, group, root, growth.hop)
            forest.check()
            return forest
    if not exactly:
        raise NotApplicable(f"optimal: no packing of {int(demand.roots.sum())} trees was found")
    progress(f"optimal: packing {int(demand.roots.sum())} trees, hop by hop")
    exact, every, hop = pack_exactly(wires, demand.roots, demand.capacity)
    forest = Forest(wires, demand, exact, group[:1], every, hop)
    forest.check()
    return forest


def _tight(wires: Wires, demand: Demand, classes: I64) -> Bools:
    """[classes] the links that have to be used in full: those into ranks without a unit to spare; all where none are found."""
    into = np.bincount(wires.destination, demand.capacity, wires.nodes)[wires.ranks]
    short = into <= demand.roots.sum() - demand.roots
    tight = np.zeros(int(classes.max()) + 1, dtype=np.bool_)
    place = wires.place[wires.destination]
    tight[classes[(place >= 0) & short[place]]] = True
    return np.ones_like(tight) if short.all() or not tight.any() else tight
