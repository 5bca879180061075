"""KangaRing, of AWS Neuron: a ring over pairs of the cores of a chip, of which one does the moving for both.

The pairs of all chips are the members of a ring, those of one chip side by side, so a ring over n cores has n/2 members
and half the steps. In an all-gather the primary of a pair sends what it received on to the next primary and hands it to its
partner; a reduce-scatter is the same in reverse. One step in each phase is on the chip alone. Every Hamiltonian cycle of
the torus of chips carries two such rings, one each way, and the role of the primary alternates between the cycles.

aws-neuron-sdk, neuron-runtime/explore/intranode-collective-comm. That the primary reads once for its two writes is not
modelled: it counts in the memory of a chip, not on links.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..layout import Layout, NotApplicable
from ..schedule import COPY, REDUCE, Schedule
from . import hamiltonian
from .lines import check_count

I64 = NDArray[np.int64]


def all_reduce(layout: Layout) -> Schedule:
    """All-reduce: reduce-scatter, then all-gather; n - 2 steps on the rings of n cores, and two on the chips.

    Raises NotApplicable where the ranks are not an even number of cores on each chip of a torus.
    """
    return _kangaring("all_reduce", layout)


def all_gather(layout: Layout) -> Schedule:
    """All-gather in n/2 - 1 steps on the rings, and one on the chips."""
    return _kangaring("all_gather", layout)


def reduce_scatter(layout: Layout) -> Schedule:
    """Reduce-scatter in n/2 - 1 steps on the rings, and one on the chips."""
    return _kangaring("reduce_scatter", layout)


class _Ring(NamedTuple):
    """The primaries and their partners [M] in the order of a ring.

    part: of the data, which is also the channel of what goes round; local: the channel of what stays on a chip. Without
    one, all that a partner has to add would start at once and be in the way.
    """

    primary: I64
    partner: I64
    part: int
    local: int


def _kangaring(collective: str, layout: Layout) -> Schedule:
    chips, cores = layout.between, layout.inner
    if chips is None or cores is None or cores.ranks % 2 or chips.ranks < 2:
        raise NotApplicable("kangaring needs an even number of cores on each chip of a torus")
    n = layout.ranks
    rings = _rings(chips, cores.ranks)
    phases = [phase for phase in ("reduce_scatter", "all_gather") if collective in (phase, "all_reduce")]
    check_count("kangaring", n, len(phases) * len(rings) * n * n)
    builder = Builder(collective, "kangaring", n, blocks=np.full(n, 1 / n), parts=np.full(len(rings), 1 / len(rings)))
    step = 0
    for phase in phases:
        for ring in rings:
            (_scatter if phase == "reduce_scatter" else _gather)(builder, ring, step)
        step += n // 2
    return builder.build(f"{len(rings) // 2} cycles x 2 directions of {n // 2} pairs")


def _rings(chips: Layout, cores: int) -> list[_Ring]:
    dims = tuple(k for k in chips.dims if k > 1)
    cycles = hamiltonian.cycles(dims) if hamiltonian.decomposable(dims) else [np.arange(chips.ranks)]
    found = []
    for which, cycle in enumerate(cycles):
        pairs = (cycle[:, np.newaxis] * cores + np.arange(0, cores, 2)).ravel()
        primary, partner = pairs + which % 2, pairs + 1 - which % 2
        for way, turn in enumerate((1, -1)):
            part = 2 * which + way
            found.append(_Ring(primary[::turn], partner[::turn], part, 2 * len(cycles) + part))
    return found


def _scatter(builder: Builder, ring: _Ring, start: int) -> None:
    """Sums go round; before a primary sends one on, its partner adds to it. The last hop ends at the owner itself.

    In step t (from 0) member j sends what it has of the share of member j - 1 - t.
    """
    primary, partner, part, local = ring
    count = len(primary)
    member, ahead = np.arange(count), np.roll(primary, -1)
    for t in range(count - 1):
        share = (member - 1 - t) % count
        both = _chunks(builder, ring, share)
        builder.add(partner, primary, both, REDUCE, start + t, local)
        if t < count - 2:
            builder.add(primary, ahead, both, REDUCE, start + t + 1, part)
    builder.add(primary, ahead, both[:, 0], REDUCE, start + count - 1, part)
    builder.add(primary, np.roll(partner, -1), both[:, 1], REDUCE, start + count - 1, part)
    mine = _chunks(builder, ring, member)
    builder.add(partner, primary, mine[:, 0], REDUCE, start + count - 1, local)
    builder.add(primary, partner, mine[:, 1], REDUCE, start + count - 1, local)


def _gather(builder: Builder, ring: _Ring, start: int) -> None:
    """Blocks go round from their owners; a primary hands each to its partner while it sends it on."""
    primary, partner, part, local = ring
    count = len(primary)
    member, ahead = np.arange(count), np.roll(primary, -1)
    mine = _chunks(builder, ring, member)
    builder.add(primary, ahead, mine[:, 0], COPY, start, part)
    builder.add(partner, ahead, mine[:, 1], COPY, start, part)
    builder.add(primary, partner, mine[:, 0], COPY, start, local)
    builder.add(partner, primary, mine[:, 1], COPY, start, local)
    for t in range(1, count):
        both = _chunks(builder, ring, (member - t) % count)
        builder.add(primary, partner, both, COPY, start + t, local)
        if t < count - 1:
            builder.add(primary, ahead, both, COPY, start + t, part)


def _chunks(builder: Builder, ring: _Ring, share: I64) -> I64:
    """[M, 2] the chunks of the primaries and of their partners in these shares."""
    owners = np.stack((ring.primary[share], ring.partner[share]), axis=1)
    return np.asarray(owners * len(builder.parts) + ring.part, dtype=np.int64)
