"""Themis: the data is cut into chunks, and every chunk goes through the tiers of the fabric in an order of its own.

A tier is a dimension of a torus, the chips of a sled, the sleds of a rack, the machines of a cluster. The first tier of an
order carries most, so with one order for all (BlueConnect, the hierarchical algorithm) one tier works while the others
wait. Orders that share the bytes out in proportion to the bandwidths, and chunks that follow one another through the
tiers, keep all of them busy: close to S(n-1)/n over the bandwidth of all tiers together. Per rank S(n-1)/n bytes.

Rashidi, Won, Srinivasan, Srinivasan and Krishna, "Themis: a network bandwidth-aware collective scheduling policy for
distributed training of DL models", 2022.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..errors import InputError, InternalError, unknown
from ..layout import Layout, NotApplicable, Tier
from ..schedule import COPY, REDUCE, Schedule
from . import lines
from .mesh import pairs

Shares = Literal["balanced", "greedy"]
Order = tuple[int, ...]  # of the tiers, as a reduce-scatter goes through them
Stage = tuple[int, int]  # which chunk, and the place in its order

MOST_CHUNKS = 256
MOST_TIERS = 6  # 720 orders


def all_reduce(layout: Layout, chunks: int = 24, depth: int = 2, shares: Shares = "balanced") -> Schedule:
    """All-reduce through the tiers in several orders: reduce-scatter, then all-gather in the reverse order.

    chunks: how many, about. More of them overlap better, but each costs one delay per tier.
    depth: how many chunks may be in one tier at the same time. One's delay is hidden by another's bytes; without delays 1
        is best.
    shares: "balanced": the share of each order is the solution of a linear program that evens out the tiers; "greedy": as
        Themis does, equal chunks, each through the least busy tier first.
    Tiers without a known bandwidth count as equal. Raises NotApplicable where there are fewer than two tiers.
    """
    return _themis("all_reduce", layout, chunks, depth, shares)


def all_gather(layout: Layout, chunks: int = 24, depth: int = 2, shares: Shares = "balanced") -> Schedule:
    """All-gather through the tiers in several orders; parameters as for `all_reduce`."""
    return _themis("all_gather", layout, chunks, depth, shares)


def reduce_scatter(layout: Layout, chunks: int = 24, depth: int = 2, shares: Shares = "balanced") -> Schedule:
    """Reduce-scatter through the tiers in several orders; parameters as for `all_reduce`."""
    return _themis("reduce_scatter", layout, chunks, depth, shares)


def _themis(collective: str, layout: Layout, chunks: int, depth: int, shares: Shares) -> Schedule:
    tiers = tuple(tier for tier in layout.tiers if tier.size > 1)
    if not 2 <= len(tiers) <= MOST_TIERS:
        raise NotApplicable(f"themis needs 2 to {MOST_TIERS} tiers, these ranks have {len(tiers)}")
    if not 1 <= chunks <= MOST_CHUNKS:
        raise InputError(f"themis: chunks has to be 1 to {MOST_CHUNKS}, not {chunks}")
    if not 1 <= depth <= chunks:
        raise InputError(f"themis: depth has to be 1 to {chunks}, the number of chunks, not {depth}")
    if shares not in ("balanced", "greedy"):
        raise InputError(unknown("shares of themis", shares, ["balanced", "greedy"]))
    if min(tier.bandwidth for tier in tiers) <= 0:
        tiers = tuple(tier._replace(bandwidth=1.0) for tier in tiers)
    orders, weights = _greedy(tiers, chunks) if shares == "greedy" else _balanced(tiers, chunks)
    ways = 2 if any(tier.ring for tier in tiers) else 1
    n, phases = layout.ranks, 2 if collective == "all_reduce" else 1
    steps = sum(ways * (tier.size - 1) if tier.ring else tier.size - 1 for tier in tiers)
    passes = n * phases * len(orders)
    waits = passes * sum((tier.size - 1) ** 2 for tier in tiers if not tier.ring)
    lines.check_count("themis", n, passes * steps, waits, carried=passes * ways * (n - 1))
    parts, symmetry = np.repeat(weights, ways) / ways, tuple(("shift", tier.size) for tier in tiers)
    builder = Builder(collective, "themis", n, blocks=np.full(n, 1 / n), parts=parts, symmetry=symmetry)
    stages = _timetable(tiers, orders, weights)
    scatter, gather = [(stage, REDUCE) for stage in reversed(stages)], [(stage, COPY) for stage in stages]
    _add(builder, tiers, orders, depth, {"reduce_scatter": scatter, "all_gather": gather}.get(collective, scatter + gather))
    counts = Counter("-".join(str(which + 1) for which in order) for order in orders)
    note = ", ".join(f"{count} by {order}" for order, count in counts.most_common())
    return builder.build(f"{len(orders)} chunks, tiers from the inside: {note}", chunks=chunks, depth=depth, shares=shares)


def _add(builder: Builder, tiers: Sequence[Tier], orders: list[Order], depth: int, stages: list[tuple[Stage, int]]) -> None:
    """Add the transfers of stages and their operations. A stage starts after that of its chunk before it and after the one
    `depth` before it in its tier."""
    ways = len(builder.parts) // len(orders)
    grid = np.arange(builder.ranks).reshape([tier.size for tier in tiers], order="F")
    done, free = [0] * len(orders), [[0] * depth for _ in tiers]
    passed = [0] * len(tiers)
    for (chunk, place), operation in stages:
        which = orders[chunk][place]
        ranks, parts = grid.transpose(orders[chunk]), range(ways * chunk, ways * (chunk + 1))
        lane = passed[which] % depth
        passed[which] += 1
        channel, step = 2 * (depth * which + lane), max(done[chunk], free[which][lane])
        if tiers[which].ring:
            for way, part in enumerate(parts):
                ring = np.flip(ranks) if way else ranks
                end = lines.along(builder, ring, place, part, operation, step, channel + way)
        else:
            end = _across(builder, ranks, place, parts, operation, step, channel)
        done[chunk] = free[which][lane] = end


def _across(
    builder: Builder, grid: NDArray[np.int64], axis: int, parts: Sequence[int], operation: int, step: int, channel: int
) -> int:
    """Do in one step what `lines.along` does in k - 1: every rank of a line sends to every other."""
    k = grid.shape[axis]
    blocks = grid.reshape(int(np.prod(grid.shape[:axis])), k, -1)
    source, destination = pairs(k)
    share = destination if operation == REDUCE else source
    moved = blocks[:, share, :, None] * len(builder.parts) + np.asarray(parts)  # [line, pair, block, part]
    width = blocks.shape[2]  # each rank of `width` lines side by side sends the blocks of them all
    chunks = np.repeat(moved.reshape(-1, 1, moved[0, 0].size), width, axis=1)
    builder.add(
        blocks[:, source].ravel(),
        blocks[:, destination].ravel(),
        chunks.reshape(-1, moved[0, 0].size),
        operation,
        step,
        channel,
    )
    return step + 1


def _loads(tiers: Sequence[Tier], order: Order) -> list[float]:
    """Seconds per byte of data in each stage of an order."""
    found: list[float] = []
    ranks = 1
    for which in order:
        tier = tiers[which]
        ranks *= tier.size
        found.append((tier.size - 1) / ranks / tier.bandwidth)
    return found


def _greedy(tiers: Sequence[Tier], chunks: int) -> tuple[list[Order], list[float]]:
    """The order of each of equal chunks: in the reduce-scatter the tier that is least busy so far comes first."""
    busy, orders = [0.0] * len(tiers), []
    for _ in range(chunks):
        order = tuple(sorted(range(len(tiers)), key=lambda which: busy[which]))
        for which, load in zip(order, _loads(tiers, order)):
            busy[which] += load
        orders.append(order)
    return orders, [1 / chunks] * chunks


def _balanced(tiers: Sequence[Tier], chunks: int) -> tuple[list[Order], list[float]]:
    """The order and the weight of each chunk; the orders that a linear program finds, each cut into nearly equal chunks."""
    orders = list(permutations(range(len(tiers))))
    pieces = []
    for order, share in zip(orders, _least_busy(tiers, orders)):
        count = max(1, round(share * chunks)) if share > 1e-9 else 0
        pieces += [((i + 0.5) / count, order, share / count) for i in range(count)]
    pieces.sort()  # mixed, so that all orders advance together
    return [order for _, order, _ in pieces], [share for _, _, share in pieces]


def _least_busy(tiers: Sequence[Tier], orders: list[Order]) -> list[float]:
    """The share of each order that minimises the time of the busiest tier; among such, the sum over the places in the
    orders of the time of the tier that is busiest there, so that chunks find the next tier free.

    On equal tiers that is every rotation alike: each tier is then as often in each place, so none is busier than another.
    """
    if len(set(tiers)) == 1:
        rotations = {tuple(np.roll(orders[0], shift).tolist()) for shift in range(len(tiers))}
        return [(order in rotations) / len(tiers) for order in orders]
    from scipy.optimize import linprog

    count = len(tiers)
    load = np.zeros((count, count, len(orders)))  # [place, tier, order]
    for which, order in enumerate(orders):
        load[range(count), order, which] = _loads(tiers, order)
    load *= min(tier.bandwidth for tier in tiers)  # comparable to 1, whatever the unit
    in_place = np.hstack((load.reshape(count**2, -1), -np.repeat(np.eye(count), count, axis=0), np.zeros((count**2, 1))))
    in_all = np.hstack((load.sum(axis=0), np.zeros((count, count)), -np.ones((count, 1))))
    one = np.concatenate((np.ones(len(orders)), np.zeros(count + 1)))
    cost = np.concatenate((np.zeros(len(orders)), np.full(count, 0.01), [1.0]))
    found = linprog(cost, A_ub=np.vstack((in_place, in_all)), b_ub=np.zeros(count**2 + count), A_eq=[one], b_eq=[1])
    if found.x is None:
        raise InternalError(f"no shares of the orders of the tiers found: {found.message}")
    shares = found.x[: len(orders)]
    return [float(share) for share in shares / shares.sum()]


def _timetable(tiers: Sequence[Tier], orders: list[Order], weights: list[float]) -> list[Stage]:
    """The stages of all chunks of an all-gather, which goes through each order backwards, in the order of their starts.

    A tier works on one chunk at a time. Of the stages that can start first, the earliest in its chunk goes first. The
    reduce-scatter does the same backwards.
    """
    loads = [_loads(tiers, order) for order in orders]
    ready, free = [0.0] * len(orders), [0.0] * len(tiers)
    places = [len(tiers) - 1] * len(orders)  # of the next stage of each chunk
    found: list[Stage] = []
    while True:
        starts = [
            (max(ready[chunk], free[orders[chunk][place]]), -place, chunk) for chunk, place in enumerate(places) if place >= 0
        ]
        if not starts:
            return found
        start, _, chunk = min(starts)
        place = places[chunk]
        ready[chunk] = free[orders[chunk][place]] = start + loads[chunk][place] * weights[chunk]
        places[chunk] -= 1
        found.append((chunk, place))
