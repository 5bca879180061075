"""All-to-all: every block once and directly; sizes and faults of a matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fabric.collectives.all_to_all import direct, direct_v
from fabric.errors import InputError
from fabric.layout import Layout

from .checker import check, chunks_of


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_equal_blocks(n: int) -> None:
    schedule = direct(Layout(n))
    check(schedule)
    assert schedule.size == pytest.approx(1)
    assert schedule.steps == min(n - 1, 1)
    assert schedule.transfers == n * (n - 1)
    assert schedule.sent() == pytest.approx([(n - 1) / n] * n)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (4, 4), elements=st.sampled_from([0.0, 1.0, 1000.0, 2.5])).filter(lambda matrix: matrix.any()))
def test_a_matrix_arrives(matrix: np.ndarray) -> None:
    schedule = direct_v(Layout(4), matrix)
    moved = np.zeros((4, 4))
    for source, destination, size, chunks in zip(schedule.source, schedule.destination, schedule.bytes, chunks_of(schedule)):
        assert chunks == [source * 4 + destination]
        assert size > 0
        moved[source, destination] += size
    assert moved.tolist() == (matrix - np.diag(np.diag(matrix))).tolist()
    assert schedule.size == matrix.sum(axis=1).max()


def test_the_diagonal_counts_in_the_size_and_does_not_move() -> None:
    schedule = direct_v(Layout(2), [[5, 1], [0, 3]])
    assert schedule.size == 6
    assert schedule.transfers == 1
    assert schedule.scaled(12).bytes.tolist() == [2]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2, 3]], "all_to_all_v on 2 ranks needs a matrix of 2 x 2, not 1 x 3"),
        ([[1, 2], [-3, 4]], "bytes from rank 1 to rank 0 are -3"),
        ([[1, float("nan")], [3, 4]], "bytes from rank 0 to rank 1 are nan"),
        ([[1, float("inf")], [3, 4]], "bytes from rank 0 to rank 1 are inf"),
        ([[0, 0], [0, 0]], "the matrix holds no bytes"),
    ],
)
def test_bad_matrices(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        direct_v(Layout(2), matrix)
