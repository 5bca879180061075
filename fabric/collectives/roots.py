"""How many bytes/s of an all_reduce every rank should be the root of.

Every rank alike is best on a fabric that is alike everywhere. In general an all_reduce is free to choose: trees of rates
w_r, from roots r, fit if and only if the rates of the roots outside any set of nodes X that holds a rank do not exceed what
leads into X, for every link in its own direction (to spread the sums) and in the other (to collect them). The most that fits
is a linear program with one row for each X; rows are added as maximum flows find that they are violated. A rank with fewer
links than others is then the root of more.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor, lcm

import numpy as np
from numpy.typing import NDArray

from ..bounds.allgather import in_units, reach
from ..wires import Wires

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROUNDS = 60
LARGEST_DENOMINATOR = 10_000
BETTER = 1 + 1e-6
"""Rates of their own have to be this much better than equal ones: equal ones keep the fabric's symmetries."""


def best_rates(wires: Wires, equal: Fraction, part: float = 1.0) -> list[Fraction]:
    """Bytes/s from each rank; `equal` for every rank, which fits, where no others are better in all.

    part: of the largest sum that fits, for rates that leave something to spare.
    """
    ranks = len(wires.ranks)
    found = _freely(wires, None)
    if found is not None and part < 1:
        found = _freely(wires, part * float(sum(found)))
    return found if found is not None and sum(found) > equal * ranks * Fraction(BETTER) else [equal] * ranks


def whole_rates(sides: tuple[Wires, Wires], most: int) -> list[Fraction] | None:
    """Rates in whole units of the capacities, so that few trees carry them, with the largest sum that fits; None where that is
    more than `most` units.

    A rank into or out of which lead c units is the root of t - c of t units at least; the others have the rest, evenly.
    """
    unit, units = in_units(sides[0].capacity)
    ranks = len(sides[0].ranks)
    into = np.array([np.bincount(side.destination, units.astype(np.int64), side.nodes)[side.ranks] for side in sides])
    least = into.min(axis=0).astype(np.int64)
    largest = int(least.sum()) // (ranks - 1)
    for total in range(largest, 0, -1) if largest <= most else ():
        roots = np.maximum(total - least, 0)
        free = np.flatnonzero(roots == 0)
        if (rest := total - int(roots.sum())) < 0 or not len(free):
            continue
        np.add.at(roots, free[np.arange(rest) * len(free) // rest], 1)
        rates = [unit * root for root in roots.tolist()]
        if _violated(sides, rates) == []:
            return rates
    return None


def _freely(wires: Wires, most: float | None) -> list[Fraction] | None:
    """The rates with the largest sum, or with a sum of `most` and the least largest rate; None where they cannot be found in
    few rounds and small fractions."""
    from scipy.optimize import linprog

    scale = float(wires.capacity.max())
    sides = (wires, wires.turn())
    inside = [np.arange(wires.nodes) == node for node in wires.ranks]
    rows = [(side, one) for side in sides for one in inside]
    matrix = [~one[wires.ranks] for _, one in rows]
    right = [_into(side, one) / scale for side, one in rows]
    ranks = len(wires.ranks)
    for _ in range(ROUNDS):
        # Of equal sums one whose largest rate is small: the last variable, at a price that does not change the sum.
        bounded = np.hstack((np.eye(ranks), -np.ones((ranks, 1))))
        upper = np.vstack((np.hstack((np.array(matrix, dtype=float), np.zeros((len(matrix), 1)))), bounded))
        price = np.append(-np.ones(ranks), 1e-6) if most is None else np.append(np.zeros(ranks), 1.0)
        total = None if most is None else np.append(np.ones(ranks), 0.0)[np.newaxis]
        equals = None if most is None else np.array([most / scale])
        solution = linprog(price, A_ub=upper, b_ub=np.concatenate((right, np.zeros(ranks))), A_eq=total, b_eq=equals)
        if solution.x is None:
            return None
        rates = [_rounded(float(x) * scale, wires, exact=most is None) for x in solution.x[:ranks]]
        violated = _violated(sides, rates)
        if violated is None:
            return None
        if not violated:
            return rates
        for side, one in violated:
            matrix.append(~one[wires.ranks])
            right.append(_into(side, one) / scale)
    return None


def _rounded(rate: float, wires: Wires, *, exact: bool) -> Fraction:
    """A rate as a small fraction of the least capacity; downwards to a multiple of 1/128 of it where it need not be exact."""
    least = Fraction(float(wires.capacity[wires.capacity > 0].min()))
    share = rate / float(least)
    return least * (Fraction(share).limit_denominator(LARGEST_DENOMINATOR) if exact else Fraction(floor(share * 128), 128))


def _into(wires: Wires, inside: Bools) -> float:
    return float(wires.capacity[inside[wires.destination] & ~inside[wires.source]].sum())


def _violated(sides: tuple[Wires, Wires], rates: list[Fraction]) -> list[tuple[Wires, Bools]] | None:
    """Sets of nodes that the roots outside cannot serve; empty where the rates fit; None where numbers get too large."""
    found: list[tuple[Wires, Bools]] = []
    for side in sides:
        capacity = [Fraction(value) for value in side.capacity.tolist()]
        over = lcm(*(value.denominator for value in {*capacity, *rates}))
        whole = np.array([int(value * over) for value in capacity], dtype=object)
        roots = np.array([int(value * over) for value in rates], dtype=object)
        cuts = reach(side.nodes, side.source, side.destination, whole, side.ranks, roots)
        if cuts is None:
            return None
        found += [(side, ~cut) for cut in cuts]
    return found
