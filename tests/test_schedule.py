"""Schedules: what the builder derives from the data, and what scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.builder import Builder
from fabric.csr import ranges
from fabric.schedule import COPY, REDUCE, Schedule


def waits(schedule: Schedule) -> list[list[int]]:
    return [schedule.wait_ids[a:b].tolist() for a, b in zip(schedule.wait_ptr, schedule.wait_ptr[1:])]


def array(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_a_transfer_waits_for_what_it_forwards() -> None:
    builder = Builder("all_gather", "line", 3, np.full(3, 1 / 3))
    builder.add(array(0), array(1), array(0), COPY, 0)
    builder.add(array(1), array(2), array(0), COPY, 1)
    assert waits(builder.build()) == [[], [0]]


def test_a_sum_waits_for_all_its_terms() -> None:
    builder = Builder("all_reduce", "star", 3, np.ones(1))
    builder.add(array(1, 2), array(0, 0), array(0, 0), REDUCE, 0)
    builder.add(array(0, 0), array(1, 2), array(0, 0), COPY, 1)
    builder.add(array(1), array(2), array(0), COPY, 2)
    # The last one forwards the copy, not what rank 1 held before.
    assert waits(builder.build()) == [[], [], [0, 1], [0, 1], [2]]


def test_a_channel_keeps_the_order_of_one_source() -> None:
    builder = Builder("all_gather", "direct", 3, np.ones(3))
    builder.add(array(0, 1), array(1, 2), array(0, 1), COPY, 0, channel=7)
    builder.add(array(0, 1), array(2, 0), array(0, 1), COPY, 1, channel=7)
    assert waits(builder.build()) == [[], [], [0], [1]]


def test_transfers_of_one_step_do_not_see_each_other() -> None:
    builder = Builder("all_gather", "swap", 2, np.ones(2))
    builder.add(array(0, 1), array(1, 0), array(0, 1), COPY, 0)
    assert waits(builder.build()) == [[], []]


def test_embedding_renames_ranks_and_chunks() -> None:
    inner = Builder("all_gather", "swap", 2, np.ones(2))
    inner.add(array(0, 1), array(1, 0), array(0, 1), COPY, 0)
    outer = Builder("all_gather", "pairs", 4, np.ones(4))
    chunks = np.array([[[0], [1]], [[2], [3]]])
    assert outer.embed(inner.build(), np.array([[0, 1], [2, 3]]), chunks, step=5) == 6
    schedule = outer.build()
    assert schedule.source.tolist() == [0, 1, 2, 3]
    assert schedule.destination.tolist() == [1, 0, 3, 2]
    assert schedule.chunk_ids.tolist() == [0, 1, 2, 3]
    assert set(schedule.step.tolist()) == {5}


@given(size=st.floats(1, 1e15), parts=st.lists(st.floats(0.1, 1), min_size=1, max_size=4))
def test_bytes_scale_with_the_size(size: float, parts: list[float]) -> None:
    fractions = np.array(parts) / sum(parts)
    builder = Builder("all_gather", "swap", 2, np.full(2, 0.5), fractions)
    everything = np.arange(2 * len(parts)).reshape(2, -1)
    builder.add(array(0, 1), array(1, 0), everything, COPY, 0)
    schedule = builder.build().scaled(size)
    assert schedule.size == pytest.approx(size, rel=1e-12)
    assert schedule.bytes == pytest.approx([size / 2] * 2, rel=1e-12)
    assert schedule.sent() == pytest.approx([size / 2] * 2, rel=1e-12)


def test_size_of_an_all_to_all_is_the_largest_row() -> None:
    builder = Builder("all_to_all_v", "direct", 2, np.array([1.0, 5.0, 2.0, 7.0]))
    builder.add(array(0, 1), array(1, 0), array(1, 2), COPY, 0)
    assert builder.build().size == 9.0
    assert builder.build().matrix.tolist() == [[1, 5], [2, 7]]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=20))
def test_ranges(pairs: list[tuple[int, int]]) -> None:
    first, last = array(*(a for a, _ in pairs)), array(*(a + n for a, n in pairs))
    assert ranges(first, last).tolist() == [k for a, b in zip(first, last) for k in range(a, b)]
