"""From a program to a schedule that can be timed: its transfers, and its compute, and what each waits for.

Local copies and sums take no time; what waits for one waits for what it waits for. Compute is a transfer of no bytes from
a rank to itself that takes its pause. The schedule's chunks are amounts and nothing else: what they hold, and that it is
right, is for the program to prove.
"""

from __future__ import annotations

import numpy as np

from ..csr import pointers
from ..errors import InputError
from ..schedule import COPY, REDUCE, Schedule
from .program import Program
from .verdict import in_order


def timed(program: Program, *, compute: bool = True) -> Schedule:
    """The schedule of a program at size 1, or at its own size where the file states bytes.

    compute: False sets every pause to 0. Raises InputError where actions wait for each other in a circle.
    """
    order = in_order(program.actions)
    if len(order) < len(program.actions):
        raise InputError(f"{program.name}: actions wait for each other in a circle: it has no time")
    kept, waits = _transfers(program, order, compute)
    actions = [program.actions[number] for number in kept]
    moves = np.array([action.receiver >= 0 for action in actions], dtype=bool)
    source = np.array([action.rank for action in actions], dtype=np.int32)
    blocks, chunk = np.unique([action.amount for action in actions], return_inverse=True)
    pause = np.array([action.pause for action in actions], dtype=np.float64)
    return Schedule(
        collective=program.collective,
        algorithm=program.name,
        ranks=program.ranks,
        blocks=blocks.astype(np.float64),
        parts=np.ones(1),
        source=source,
        destination=np.where(moves, [action.receiver for action in actions], source).astype(np.int32),
        operation=np.array([REDUCE if action.reduces else COPY for action in actions], dtype=np.uint8),
        step=_depths(waits),
        channel=np.array([action.worker if program.loops else -1 for action in actions], dtype=np.int32),
        chunk_ptr=np.arange(len(kept) + 1, dtype=np.int64),
        chunk_ids=chunk.astype(np.int32),
        wait_ptr=pointers(np.array([len(some) for some in waits], dtype=np.int64)),
        wait_ids=np.array([wait for some in waits for wait in some], dtype=np.int32),
        pause=pause if pause.any() else None,
        stated_size=1.0 if program.size is None else program.size,
    )


def _transfers(program: Program, order: list[int], compute: bool) -> tuple[list[int], list[list[int]]]:
    """The actions that take time, and which of them, by position, each waits for."""
    kept: list[int] = []
    waits: list[list[int]] = []
    ends: list[frozenset[int]] = [frozenset()] * len(program.actions)  # what must have finished for an action to have
    for number in order:
        action = program.actions[number]
        needs = frozenset().union(*(ends[earlier] for earlier in action.after))
        if action.receiver < 0 and not (compute and action.pause):
            ends[number] = needs
            continue
        if len(needs) > 1:
            needs -= frozenset().union(*(waits[wait] for wait in needs))
        ends[number] = frozenset((len(kept),))
        kept.append(number)
        waits.append(sorted(needs))
    return kept, waits


def _depths(waits: list[list[int]]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """How many others each must follow."""
    depths: list[int] = []
    for some in waits:  # only earlier ones
        depths.append(1 + max((depths[wait] for wait in some), default=-1))
    return np.array(depths, dtype=np.int32)
