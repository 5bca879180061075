"""Schedules of a folded cluster: the transfers of one machine, which stands for all (see docs/symmetry.md).

Machines are dealt to the pods in turn, so that symmetries of the cluster take any machine to any other. What a machine
sends to others is then told by how far it goes: to NEAR machines, of its own pod, or to FAR ones. What it receives is
what it sends: in the stored schedule a transfer to another machine ends at the rank of that place in the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..errors import InputError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import COPY, FAR, NEAR, OWN, REDUCE, Schedule
from .mesh import pairs
from .pat import hop_of, messages

OPERATIONS: Mapping[str, Sequence[int]] = {
    "all_reduce": (REDUCE, COPY),
    "all_gather": (COPY,),
    "reduce_scatter": (REDUCE,),
}
"""What the phases of a collective do with what they carry."""


class Round(NamedTuple):
    """Transfers of one machine that are alike: so many `at_once`, `repeat` times, each of `share` of the data of `parts`."""

    operation: int
    step: int
    image: int
    share: float
    parts: tuple[int, ...] = (0,)
    at_once: int = 1
    repeat: int = 1
    channel: int = -1


def between(collective: str, name: str, layout: Layout, directions: int = 1) -> Schedule:
    """What one of the machines of a folded cluster sends in an algorithm between equal machines, as a schedule of one rank.

    It does what the algorithm of that name does on as many ranks as there are machines. Raises InputError for a name that
    is none of these, NotApplicable where the algorithm does not serve so many machines.
    """
    if name not in TIERS:
        raise InputError(unknown("algorithm between the machines of a folded cluster", name, list(TIERS)))
    rounds, parts = TIERS[name](OPERATIONS[collective], layout.servers, layout.pods, directions)
    builder, one = Builder(collective, name, 1, blocks=np.ones(1), parts=np.array(parts)), np.zeros(1, dtype=np.int64)
    for each in rounds:
        builder.add(one, one, np.array([each.parts]), each.operation, each.step, each.channel)
    return replace(
        builder.build(),
        image=np.array([each.image for each in rounds], dtype=np.int32),
        share=np.array([each.share / sum(parts[part] for part in each.parts) for each in rounds]),
        multiplicity=np.array([each.at_once for each in rounds], dtype=np.float64),
        repeat=np.array([each.repeat for each in rounds], dtype=np.int64),
    )


def _ring(operations: Sequence[int], machines: int, pods: int, directions: int) -> tuple[list[Round], list[float]]:
    """Every machine sends to the next one and, with two directions, to the one before: m - 1 times in each phase."""
    image, turns = FAR if pods > 1 else NEAR, machines - 1
    rounds = [
        Round(operation, phase * turns, image, 1 / machines / directions, (way,), repeat=turns, channel=way)
        for way in range(directions)
        for phase, operation in enumerate(operations)
    ]
    return rounds, [1 / directions] * directions


def _mesh(operations: Sequence[int], machines: int, pods: int, directions: int) -> tuple[list[Round], list[float]]:
    """Every machine sends to all others at once. What comes from near and from far is two parts: a copy of one does not
    replace the other."""
    counts = {image: count for image, count in others(machines, pods).items() if count}
    everything = tuple(range(len(counts)))
    rounds = [
        Round(operation, phase, image, 1 / machines, everything if operation == REDUCE else (part,), count)
        for phase, operation in enumerate(operations)
        for part, (image, count) in enumerate(counts.items())
    ]
    return rounds, [count / (machines - 1) for count in counts.values()]


def _rdh(operations: Sequence[int], machines: int, pods: int, directions: int) -> tuple[list[Round], list[float]]:
    """Machine i exchanges with i xor 1, i xor 2, ...: a half of the data, a quarter, ...; doubling is the same in reverse."""
    if machines & (machines - 1):
        raise NotApplicable(f"rdh needs a power of two, not {machines}")
    bits = range(machines.bit_length() - 1)
    rounds: list[Round] = []
    for operation in operations:
        for bit in bits if operation == REDUCE else reversed(bits):
            rounds.append(Round(operation, len(rounds), FAR if 2**bit % pods else NEAR, 0.5 ** (bit + 1)))
    return rounds, [1.0]


def _pat(operations: Sequence[int], machines: int, pods: int, directions: int) -> tuple[list[Round], list[float]]:
    """Machine i sends to i - 2^d, the far ones first, all that this one and those behind it lack; to reduce, in reverse."""
    spread = messages(machines)
    rounds: list[Round] = []
    for operation in operations:
        for places in reversed(spread) if operation == REDUCE else spread:
            rounds.append(Round(operation, len(rounds), FAR if hop_of(places) % pods else NEAR, len(places) / machines))
    return rounds, [1.0]


def _bruck(operations: Sequence[int], machines: int, pods: int, directions: int) -> tuple[list[Round], list[float]]:
    """Machine i sends to i - 2^t all that it has, or in the last step all that is missing there."""
    if REDUCE in operations:
        raise NotApplicable("bruck gathers and does not reduce")
    hops = [1 << t for t in range((machines - 1).bit_length())]
    shares = [min(hop, machines - hop) / machines for hop in hops]
    return [Round(COPY, t, FAR if hop % pods else NEAR, shares[t]) for t, hop in enumerate(hops)], [1.0]


TIERS: Mapping[str, Callable[[Sequence[int], int, int, int], tuple[list[Round], list[float]]]] = {
    "ring": _ring,
    "mesh": _mesh,
    "rdh": _rdh,
    "pat": _pat,
    "bruck": _bruck,
}


def of_one_machine(schedule: Schedule, layout: Layout, stages: Sequence[tuple[Schedule, int]]) -> Schedule:
    """A schedule that one machine's stages were embedded in, each so many times, made to stand for all machines."""

    def column(name: str, default: int) -> NDArray[Any]:
        columns = [(getattr(stage, name), np.full(stage.transfers, default), copies) for stage, copies in stages]
        return np.concatenate([np.tile(usual if given is None else given, copies) for given, usual, copies in columns])

    return replace(
        schedule,
        image=column("image", OWN).astype(np.int32),
        share=column("share", 1).astype(np.float64),
        repeat=column("repeat", 1).astype(np.int64),
        multiplicity=layout.servers * column("multiplicity", 1).astype(np.float64),
        note=f"{schedule.note}; {stands_for(layout.servers, layout.pods)}",
    )


def all_to_all(layout: Layout) -> Schedule:
    """All-to-all of equal blocks, directly."""
    return replace(_direct("all_to_all", layout, np.full(1, 1 / layout.ranks)), stated_size=1.0)


def all_to_all_v(layout: Layout, matrix: NDArray[np.float64]) -> Schedule:
    """All-to-all of blocks that are alike for all pairs of machines, directly.

    matrix: [g, g] bytes from each place of a machine to each place of any machine.
    """
    size = layout.servers * float(matrix.sum(axis=1).max())
    return replace(_direct("all_to_all_v", layout, matrix.ravel()), stated_size=size)


def _direct(collective: str, layout: Layout, blocks: NDArray[np.float64]) -> Schedule:
    """One transfer to each place in near machines, and one in far ones, stands for those to all of them.

    blocks: [g * g] bytes between places; one for all.
    """
    assert layout.inner is not None
    g = layout.inner.ranks
    builder = Builder(collective, "direct", layout.ranks, blocks=blocks)
    everywhere = tuple(place.ravel() for place in np.divmod(np.arange(g * g), g))
    multiplicity, image = [], []
    for where, count in {OWN: 1, **others(layout.servers, layout.pods)}.items():
        source, destination = pairs(g) if where == OWN else everywhere
        chunks = (source * g + destination) % len(blocks)
        sent = blocks[chunks] > 0
        if count and sent.any():
            builder.add(source[sent], destination[sent], chunks[sent], COPY, 0)
            multiplicity.append(np.full(int(sent.sum()), float(layout.servers * count)))
            image.append(np.full(int(sent.sum()), where, dtype=np.int32))
    return replace(
        builder.build(stands_for(layout.servers, layout.pods)),
        multiplicity=np.concatenate(multiplicity),
        image=np.concatenate(image),
    )


def stands_for(machines: int, pods: int, unit: int = 1) -> str:
    """What is folded, in words; unit: how many machines stand for all."""
    stand = "one machine stands" if unit == 1 else f"{unit} machines stand"
    return f"{stand} for {machines:,}" + (f", dealt to {pods} pods in turn" if pods > 1 else "")


def others(machines: int, pods: int) -> dict[int, int]:
    """How many NEAR and FAR machines a machine has."""
    return {NEAR: machines // pods - 1, FAR: machines - machines // pods}
