"""All-to-all on machines: what is for another machine is gathered inside first, so that NICs send few and large messages.

With g ranks in each of m machines, rank i of machine a is (a, i), and j the place of the destination in its machine:

two_level    (a, i) hands (a, j) all that is for place j of any machine; then (a, j) sends each (b, j) the blocks of the
             whole machine. S(g-1)/g bytes per rank inside, S(m-1)/m between, in (g-1) + (m-1) messages.
rail         the same way for every block (NCCL's PXN), one machine after another: the message to (b, j) leaves as soon as
             the g blocks for it are there, while those for the next machine are handed over.
three_step   one rank of a gathers all that is for machine b and sends it to one rank of b, which hands it out: m - 1
             messages per machine, each of g² blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..layout import Layout, NotApplicable
from ..schedule import COPY, Schedule
from .lines import check_count
from .mesh import pairs

I64 = NDArray[np.int64]


class _Machines(NamedTuple):
    """m machines of g ranks: the ranks [m, g], and the ordered pairs of different machines and of different places."""

    ranks: I64
    machine_pairs: tuple[I64, I64]
    place_pairs: tuple[I64, I64]


def two_level(layout: Layout) -> Schedule:
    """All-to-all in two steps: inside the machines by place of the destination, then between ranks of equal place."""
    builder, (ranks, (a, b), (i, j)) = _start("two_level", layout, lambda m, g: m * g * (g + m - 2), 2)
    # [machine, pair of places, machine of the destination]
    blocks = ranks[:, i, None] * builder.ranks + ranks[:, j].T[None]
    builder.add(ranks[:, i].ravel(), ranks[:, j].ravel(), blocks.reshape(-1, len(ranks)), COPY, 0)
    _between(builder, ranks, a, b, np.ones(len(a), dtype=np.int64))
    return builder.build()


def rail(layout: Layout) -> Schedule:
    """All-to-all along the rails: each block moves inside to the rank of its destination's place, then on with the others
    for the same rank. Every rank hands over first what is for the next machine, then for the one after, and so on."""
    builder, (ranks, (a, b), (i, j)) = _start("rail", layout, lambda m, g: m * g * (m * (g - 1) + m - 1), 2)
    m = len(ranks)
    for away in range(1, m + 1):
        target = np.roll(ranks, -away, axis=0)
        blocks = ranks[:, i] * builder.ranks + target[:, j]
        builder.add(ranks[:, i].ravel(), ranks[:, j].ravel(), blocks.ravel(), COPY, away - 1, channel=0)
    _between(builder, ranks, a, b, (b - a) % m)
    return builder.build()


def three_step(layout: Layout) -> Schedule:
    """All-to-all in three steps: to the rank that talks to the other machine, between the machines, to the destination.

    For machine b that is the rank at place b or, below its own machine, b - 1 (modulo the ranks of a machine). Blocks that
    stay in their machine go directly.
    """
    builder, (ranks, (a, b), (i, j)) = _start("three_step", layout, lambda m, g: m * g * (g - 1) + m * (m - 1) * (2 * g - 1), 3)
    n, g = builder.ranks, ranks.shape[1]
    builder.add(ranks[:, i].ravel(), ranks[:, j].ravel(), (ranks[:, i] * n + ranks[:, j]).ravel(), COPY, 0)
    # [pair of machines, place of the origin, place of the destination]
    blocks = ranks[a][:, :, None] * n + ranks[b][:, None, :]
    out, into = ranks[a, (b - (b > a)) % g], ranks[b, (a - (a > b)) % g]
    everyone = np.repeat(np.arange(len(a)), g)
    for who, port, carried, step in ((a, out, blocks, 0), (b, into, blocks.transpose(0, 2, 1), 2)):
        inside, at = ranks[who].ravel(), port[everyone]
        others = inside != at
        source, destination = (inside, at) if step == 0 else (at, inside)
        builder.add(source[others], destination[others], carried.reshape(-1, g)[others], COPY, step)
    builder.add(out, into, blocks.reshape(len(a), g * g), COPY, 1)
    return builder.build()


def _start(name: str, layout: Layout, transfers: Callable[[int, int], int], moves: int) -> tuple[Builder, _Machines]:
    """An empty schedule on machines; `transfers` of m and g, and `moves` of every block at most."""
    if layout.servers < 2 or layout.inner is None:
        raise NotApplicable(f"{name} needs more than one machine")
    n, m, g = layout.ranks, layout.servers, layout.inner.ranks
    check_count(name, n, transfers(m, g), carried=moves * n * n)
    # In three steps the ports differ from machine to machine.
    symmetry = (("shift", g), ("shift", m)) if name != "three_step" else ()
    builder = Builder("all_to_all", name, n, blocks=np.full(n * n, 1 / n), symmetry=symmetry)
    return builder, _Machines(np.arange(n).reshape(m, g), pairs(m), pairs(g))


def _between(builder: Builder, ranks: I64, a: I64, b: I64, step: I64) -> None:
    """Add the transfers of machines a to machines b on all rails: the blocks of all of a for a rank of b."""
    blocks = ranks[a][:, None] * builder.ranks + ranks[b][:, :, None]  # [pair, place of the destination, origin]
    g = ranks.shape[1]
    builder.add(ranks[a].ravel(), ranks[b].ravel(), blocks.reshape(-1, g), COPY, np.repeat(step, g))
