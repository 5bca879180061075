"""Transfers that do not slow each other down: then finish times are maxima of sums, in which later never gives earlier.

Numbers only. A ring of m machines in which a machine sends its next transfer when it has sent the last one and has received
that of the machine before:

    end[step, machine] = max(end[step - 1, machine], end[step - 1, machine before]) + duration[machine]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .engine import Flows

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

FULL = 1e-9  # a capacity that lacks no more than this share is full


def ring_ends(start: F64, duration: F64, steps: int, special: Sequence[int]) -> F64:
    """[m] s, the end of the last of `steps` transfers of every machine.

    start, duration: [m] s. special: the machines in which these differ from those of the others, whose duration is the
    least. The end is the longest walk of `steps` transfers that stays or goes on to the next machine after each: it lingers
    where it has found the longest duration, and starts where it ends or at a special machine or the one before.

    >>> ring_ends(np.zeros(3), np.array([1.0, 4.0, 1.0]), 2, [1])  # one after another, or one's own and then the other's
    array([2., 8., 5.])
    """
    ends = start + steps * duration
    ahead = np.arange(steps)
    for origin in _origins(special, len(start)):
        passed = (origin + ahead) % len(start)
        walk = np.cumsum(duration[passed]) + (steps - 1 - ahead) * np.maximum.accumulate(duration[passed])
        np.maximum.at(ends, passed, start[origin] + walk)
    return np.asarray(ends)


def step_ends(start: F64, duration: F64, steps: int, special: Sequence[int], machine: int) -> F64:
    """[steps] s, the ends of all transfers of one machine; parameters as for `ring_ends`."""
    turn = np.arange(steps)
    ends = start[machine] + (turn + 1) * duration[machine]
    for origin in _origins(special, len(start)):
        for ahead in range((machine - origin) % len(start), steps, len(start)):
            passed = duration[(origin + np.arange(ahead + 1)) % len(start)]
            walk = start[origin] + passed.sum() + (turn[ahead:] - ahead) * passed.max()
            ends[ahead:] = np.maximum(ends[ahead:], walk)
    return np.asarray(ends)


def _origins(special: Sequence[int], machines: int) -> Iterator[int]:
    yield from sorted({one % machines for machine in special for one in (machine - 1, machine)})


def time_shares(ends: Sequence[F64], spans: F64, loads: F64) -> tuple[float, float]:
    """s for which a capacity is busy and s for which it is full.

    Each of its users sends again and again for a span (s) up to each of its `ends` (s), and takes a share of the capacity.
    """
    moments = np.concatenate([side for end, span in zip(ends, spans) for side in (end - span, end)])
    change = np.concatenate([np.repeat((load, -load), len(end)) for end, load in zip(ends, loads)])
    order = np.argsort(moments)
    length, level = np.diff(moments[order]), np.cumsum(change[order])[:-1]
    return float(length[level > FULL * min(loads)].sum()), float(length[level >= 1 - FULL].sum())


def longest_durations(flows: Flows, lane: I64) -> F64:
    """[F] s from when a flow is eligible to its end at most, whenever the others send.

    lane: [F] flows of one lane and different labels never send at the same time; -1 is no lane. A max-min fair rate is at
    least the share of each capacity among all that may send at once; and some capacity on the route is full as long as the
    flow sends, each for no longer than all that may pass then takes.
    """
    if not len(flows.route_ids):
        return flows.delay
    owner = np.repeat(np.arange(len(flows.bytes)), np.diff(flows.route_ptr))
    size = flows.bytes[owner]
    count, work = (_at_once(flows, lane, owner, weight) / flows.capacity[flows.route_ids] for weight in (1.0, size))
    sharing, passing = np.zeros(len(flows.bytes)), np.zeros(len(flows.bytes))
    np.maximum.at(sharing, owner, count * size)
    np.add.at(passing, owner, work)
    return flows.delay + np.minimum(sharing, passing)


def _at_once(flows: Flows, lane: I64, owner: I64, weight: F64 | float) -> F64:
    """For each use of a capacity: the coefficients, times a weight, of all uses of that capacity that may be at the same time.

    Of its own lane those of its own label, of each other lane those of the label with the most.
    """
    label = np.where(lane < 0, 0, flows.label)
    capacity, mine, step = flows.route_ids.astype(np.int64), lane[owner] + 1, label[owner]
    order = np.lexsort((step, mine, capacity))
    group = np.cumsum(_changes(capacity[order], mine[order], step[order])) - 1
    amount = np.bincount(group, (flows.route_coef * weight)[order])
    first = np.flatnonzero(_changes(group))
    which = np.cumsum(_changes(capacity[order][first], mine[order][first])) - 1
    most = np.zeros(which[-1] + 1)
    np.maximum.at(most, which, amount)
    total = np.zeros(len(flows.capacity))
    np.add.at(total, capacity[order][first][_changes(which)], most)
    out = np.empty(len(order))
    out[order] = total[capacity[order]] - most[which[group]] + amount[group]
    return out


def _changes(*columns: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a row of some sorted columns differs from the one before; true at the start."""
    different = np.ones(len(columns[0]), dtype=bool)
    different[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return different
