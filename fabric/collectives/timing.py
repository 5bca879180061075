"""In which step every hop of packed trees goes, so that links which must never idle never do.

In step t every link gives at most the fraction h_t of its units; a step in which some link gives all of that takes h_t of the
optimum's time. So the whole takes Σ h_t of it, 1 at best. A hop goes after the one that reaches its source; first those over
links that are used in full, then those below which a tree is tallest; the ends of the trees, which nothing waits for, fill up.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, gcd

import numpy as np
from numpy.typing import NDArray

from .packing import Forest

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

SHORTEST = (0.03, 0.06, 0.12, 0.25)
"""Least fraction of the units in a step: shorter steps cost more in delays than they save. Where some link has little to do
for a while, longer ones waste less of all the others."""
GOOD = 1.004
"""A time at which no further slices are tried."""
SLICES = (1, 2, 3, 4, 6, 8, 16, 32, 64)
MOVES = 300_000
"""Hops of all trees times slices, beyond which none are tried."""
FEW, MOST, PIPELINED = 16, 512, 900_000
"""Trees so few that steps cannot be filled with them: slices in a pipeline do it, so many at most, and hops times slices."""


@dataclass(frozen=True, eq=False)
class Timing:
    """step: [T, n, slices] when each slice of a tree (stored ones) is sent to each rank; -1 at the root.

    time: the sum of the steps' times, over the optimum's.
    """

    step: I64
    time: float

    @property
    def slices(self) -> int:
        return int(self.step.shape[2])

    @property
    def steps(self) -> int:
        return int(self.step.max(initial=-1)) + 1


def choose_timing(forest: Forest, slices: int | None) -> Timing:
    """The timing with the fewest slices that keeps the links busy, or with as many as are asked for."""
    if slices is not None:
        return time_hops(forest, slices)
    trees = int(forest.demand.roots.sum())
    hops = trees * (forest.hop.shape[1] - 1)
    best = time_hops(forest, 1)
    for count in SLICES[1:4] if trees <= FEW else SLICES[1:]:
        if best.time <= GOOD or hops * count > MOVES:
            break
        other = time_hops(forest, count)
        best = other if other.time < best.time - 1e-3 else best
    if trees <= FEW and best.time > GOOD:
        best = min(best, pipeline(forest, max(1, min(MOST, PIPELINED // hops))), key=lambda one: one.time)
    return best


def time_hops(forest: Forest, slices: int) -> Timing:
    """The best timing with a number of slices."""
    best = _timing(forest, slices, SHORTEST[0])
    for shortest in SHORTEST[1:]:
        if best.time <= GOOD:
            break
        other = _timing(forest, slices, shortest)
        best = other if other.time < best.time else best
    return min(best, pipeline(forest, slices), key=lambda one: one.time) if slices > 1 else best


def pipeline(forest: Forest, slices: int) -> Timing:
    """Slice after slice, each a hop further in every step: for few trees, and those that no steps of their own fit."""
    classes, weight = forest.orbits
    tree, rank = np.nonzero(forest.hop >= 0)
    level = forest.depth[tree, rank] - 1
    links = forest.hops.links[forest.hop[tree, rank]]
    load = np.zeros((int(level.max()) + 1, len(weight) + 1))
    np.add.at(load, (level[:, np.newaxis], np.where(links >= 0, classes[links], len(weight))), 1.0)
    units = np.zeros(len(weight))
    units[classes] = forest.demand.capacity
    used = units > 0
    share = np.cumsum(load[:, :-1][:, used] * weight[used] / units[used] / slices, axis=0)
    begun = np.vstack((share, np.tile(share[-1], (slices - 1, 1))))
    ended = np.vstack((np.zeros((slices, used.sum())), share[:-1]))
    step = np.where(forest.hop >= 0, forest.depth - 1, -slices)[..., np.newaxis] + np.arange(slices)
    return Timing(np.maximum(step, -1), float((begun - ended).max(axis=1).sum()))


def _timing(forest: Forest, slices: int, shortest: float) -> Timing:
    classes, weight = forest.orbits
    none = len(weight)
    links = forest.hops.links
    uses = np.where(links >= 0, classes[links], none)
    units = np.zeros(none + 1, dtype=np.int64)
    units[classes] = forest.demand.capacity * slices
    weight = np.append(weight, 0)

    tree, rank, hop, above, height, size = _items(forest, slices)
    left = _load(uses[hop], weight, none)
    tight = (left == units[:-1]) & (left > 0)
    if not tight.any():
        tight = left > 0
    order = np.lexsort((-size, -height, ~np.append(tight, False)[uses[hop]].any(axis=1)))
    quantum = gcd(*units[:-1][tight].tolist()) if tight.any() else 1
    step = np.full(len(hop), -1, dtype=np.int64)
    used = units[:-1] > 0
    time, number = 0.0, 0
    while (waiting := step < 0).any():
        ready = order[(waiting & ((above < 0) | (step[above] >= 0)))[order]]
        part = _part(_load(uses[hop[ready]], weight, none), left, units[:-1], tight, quantum, shortest)
        _fill(ready, uses[hop], weight, np.ceil(part * units - 1e-9), step, number)
        moved = _load(uses[hop[step == number]], weight, none)
        left = left - moved
        time += float((moved[used] / units[:-1][used]).max())
        number += 1
    found = np.full((*forest.hop.shape, slices), -1, dtype=np.int64)
    found[tree, rank] = step.reshape(slices, -1).T
    return Timing(found, time)


def _items(forest: Forest, slices: int) -> tuple[I64, I64, I64, I64, I64, I64]:
    """The hops of all stored trees: their tree and rank; then for every slice of them, one slice after another: the hop,
    which item reaches its source (-1 at the root), how tall and how large the tree is below it."""
    tree, rank = np.nonzero(forest.hop >= 0)
    count = len(tree)
    number = np.full(forest.hop.shape, -1, dtype=np.int64)
    number[tree, rank] = np.arange(count)
    above = number[tree, forest.parent[tree, rank]]
    height, size = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.int64)
    depth = forest.depth[tree, rank]
    for level in range(int(depth.max(initial=0)), 1, -1):
        some = np.flatnonzero(depth == level)
        np.maximum.at(height, above[some], height[some] + 1)
        np.add.at(size, above[some], size[some])
    shifts = np.arange(slices)[:, np.newaxis] * count
    every = np.where(above >= 0, above + shifts, -1).ravel()
    hop, height, size = (np.tile(column, slices) for column in (forest.hop[tree, rank], height, size))
    return tree, rank, hop, every, height, size


def _load(uses: I64, weight: I64, none: int) -> I64:
    """[classes] units that hops take."""
    return np.asarray(np.bincount(uses.ravel(), minlength=none + 1)[:none] * weight[:none])


def _part(could: I64, left: I64, units: I64, tight: NDArray[np.bool_], quantum: int, shortest: float) -> float:
    """h: what the link that has least to do can use, in whole units of all links."""
    needed = tight & (left > 0)
    part = float((could[needed] / units[needed]).min()) if needed.any() else 1.0
    some = units > 0
    part = min(max(part, shortest), float((left[some] / units[some]).max()))
    return max(floor(part * quantum + 1e-9), 1) / quantum


def _fill(ready: I64, uses: I64, weight: I64, quota: F64, step: I64, number: int) -> None:
    """Put as many of the ready items as fit into a step, in their order."""
    room, weights = quota.tolist(), weight.tolist()
    room[-1] = float("inf")
    chosen = []
    for item, links in zip(ready.tolist(), uses[ready].tolist()):
        if all(room[link] >= weights[link] for link in links):
            for link in links:
                room[link] -= weights[link]
            chosen.append(item)
    step[chosen] = number
