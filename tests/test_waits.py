"""Derived waits: as strong as all waits that the data and the channels ask for, with fewer of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.builder import Builder
from fabric.collectives import bucket, doubling, hierarchical, mesh, rdh, ring, swing, tree
from fabric.layout import Layout
from fabric.schedule import COPY, REDUCE, Schedule

from .collectives.checker import chunks_of, machines, torus, waits_of

SCHEDULES = {
    "ring": lambda: ring.all_reduce(Layout(5)),
    "rings": lambda: ring.all_reduce(torus(3, 3)),
    "mesh": lambda: mesh.all_reduce(Layout(6)),
    "rdh": lambda: rdh.all_reduce(torus(4, 4)),
    "bucket": lambda: bucket.all_reduce(torus(4, 4)),
    "unequal bucket": lambda: bucket.all_reduce(torus(2, 4, bandwidth=(1.0, 3.0))),
    "mesh and ring": lambda: hierarchical.all_reduce(machines(3, Layout(4))),
    "bucket and mesh": lambda: hierarchical.all_reduce(machines(2, torus(2, 4)), outer="mesh"),
    "ring and rdh": lambda: hierarchical.all_reduce(machines(4, Layout(3)), inner="ring", outer="rdh"),
    "doubling": lambda: doubling.all_reduce(Layout(6)),
    "whole swing": lambda: swing.whole_all_reduce(torus(4, 2)),
    "doubling between": lambda: hierarchical.all_reduce(machines(4, Layout(3)), outer="doubling"),
    "reduce": lambda: tree.reduce(Layout(7)),
    "all-gather": lambda: hierarchical.all_gather(machines(4, Layout(3))),
}


def asked_for(schedule: Schedule) -> list[set[int]]:
    """For each transfer: the writers since the last copy of all that it reads, and the earlier ones of its channel.

    Where its destination has to be ready, also those of the same chunks there.
    """
    wanted: list[set[int]] = [set() for _ in range(schedule.transfers)]
    carried = chunks_of(schedule)
    for t in range(schedule.transfers):
        earlier = [w for w in range(schedule.transfers) if schedule.step[w] < schedule.step[t]]
        ready = schedule.ready is not None and schedule.ready[t]
        places = [schedule.source[t], schedule.destination[t]] if ready else [schedule.source[t]]
        for chunk, place in product(carried[t], places):
            writers = [w for w in earlier if schedule.destination[w] == place and chunk in carried[w]]
            writers.sort(key=lambda w: (schedule.step[w], schedule.operation[w] == COPY))
            copies = [i for i, w in enumerate(writers) if schedule.operation[w] == COPY]
            wanted[t].update(writers[copies[-1] :] if copies else writers)
        if schedule.channel[t] >= 0:
            same = (schedule.source == schedule.source[t]) & (schedule.channel == schedule.channel[t])
            wanted[t].update(w for w in earlier if same[w])
    return wanted


def ancestors(waits: list[list[int]], step: np.ndarray) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in waits]
    for t in np.argsort(step, kind="stable").tolist():
        for w in waits[t]:
            found[t] |= {w} | found[w]
    return found


@pytest.mark.parametrize("name", SCHEDULES)
def test_order_is_the_one_that_data_and_channels_ask_for(name: str) -> None:
    schedule = SCHEDULES[name]()
    wanted, waits = asked_for(schedule), waits_of(schedule)
    assert ancestors(waits, schedule.step) == ancestors([sorted(one) for one in wanted], schedule.step)
    assert all(set(given) <= one for given, one in zip(waits, wanted))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_order_of_any_sums(data: st.DataObject) -> None:
    """Transfers at random, on channels and off, several of one channel in one step."""
    ranks, transfers = 4, data.draw(st.integers(1, 14))
    builder = Builder("all_reduce", "random", ranks, np.ones(2))
    for _ in range(transfers):
        source, offset = data.draw(st.integers(0, ranks - 1)), data.draw(st.integers(1, ranks - 1))
        chunks = data.draw(st.sampled_from([[0], [1], [0, 1]]))
        step, channel = data.draw(st.integers(0, 4)), data.draw(st.integers(-1, 1))
        ready, there = data.draw(st.booleans()), np.array([(source + offset) % ranks])
        builder.add(np.array([source]), there, np.array([chunks]), REDUCE, step, channel, ready=ready)
    schedule = builder.build()
    wanted = [sorted(one) for one in asked_for(schedule)]
    assert ancestors(waits_of(schedule), schedule.step) == ancestors(wanted, schedule.step)


def test_a_copy_stands_for_what_came_before_it() -> None:
    builder = Builder("all_reduce", "line", 3, np.ones(2))
    one = np.array([0])
    builder.add(one, one + 1, np.array([[0, 1]]), REDUCE, 0)  # 0: into both chunks of rank 1
    builder.add(one + 1, one + 2, np.array([[0]]), REDUCE, 1)  # 1: on to rank 2
    builder.add(one + 2, one + 1, np.array([[0]]), COPY, 2)  # 2: and back
    builder.add(one + 1, one, np.array([[0, 1]]), COPY, 3)  # 3: needs 0 for chunk 1 and 2 for chunk 0; 2 comes after 0
    assert waits_of(builder.build()) == [[], [0], [1], [2]]


def test_a_destination_has_to_be_ready() -> None:
    """Two ranks exchange after others brought something to both: each waits for what the other waits for."""
    builder = Builder("all_reduce", "exchange", 4, np.ones(1))
    builder.add(np.array([2, 3]), np.array([0, 1]), np.array([0, 0]), REDUCE, 0)
    builder.add(np.array([0, 1]), np.array([1, 0]), np.array([0, 0]), REDUCE, 1, ready=True)
    schedule = builder.build()
    assert waits_of(schedule) == [[], [], [0, 1], [0, 1]]
    assert schedule.ready is not None
    assert schedule.ready.tolist() == [False, False, True, True]


def test_alike_transfers_share_their_waits() -> None:
    schedule = mesh.all_reduce(Layout(5))
    waits = waits_of(schedule)
    second = [t for t in range(schedule.transfers) if schedule.step[t] == 1]
    assert all(len(waits[t]) == 4 for t in second)
    assert len({tuple(waits[t]) for t in second}) == 5
