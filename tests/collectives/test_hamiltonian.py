"""Hamiltonian cycles: each visits all ranks over links of the torus, no link twice, all links together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.collectives.hamiltonian import cycles, decomposable

from .checker import hops, torus

SIZES = st.lists(st.integers(3, 8), min_size=1, max_size=4).filter(lambda dims: torus(*dims).ranks <= 200)


def check_cycles(dims: tuple[int, ...]) -> None:
    n, found, used = torus(*dims).ranks, cycles(dims), set()
    assert len(found) == len(dims)
    for cycle in found:
        order = cycle.tolist()
        assert sorted(order) == list(range(n))
        for a, b in zip(order, order[1:] + order[:1]):
            assert hops(a, b, dims) == 1
            used.add(frozenset((a, b)))
    assert len(used) == n * len(dims)  # every link, and none twice, since the cycles have as many


@pytest.mark.parametrize(
    "dims", [(5,), (3, 3), (4, 4), (3, 4), (4, 8), (8, 8), (16, 16), (3, 3, 3), (4, 4, 4), (4, 6, 8)], ids=str
)
def test_cycles(dims: tuple[int, ...]) -> None:
    check_cycles(dims)


@settings(max_examples=30, deadline=None)
@given(SIZES)
def test_cycles_of_any_torus(dims: list[int]) -> None:
    check_cycles(tuple(dims))


def test_the_same_every_time() -> None:
    assert [cycle.tolist() for cycle in cycles((4, 4, 4))] == [cycle.tolist() for cycle in cycles((4, 4, 4))]


@pytest.mark.parametrize("dims", [(), (2,), (2, 4), (4, 1), (32, 33)], ids=str)
def test_not_decomposable(dims: tuple[int, ...]) -> None:
    assert not decomposable(dims)
