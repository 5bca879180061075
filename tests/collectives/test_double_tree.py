"""The double binary tree: parents as NCCL has them, who is inner where, bytes and time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import topologies
from fabric import simulate
from fabric.collectives import double_tree
from fabric.collectives.slices import sliced
from fabric.layout import Layout

from .checker import check, machines, torus

# Parents of both trees, from the table of NCCL's trees.
PARENTS = {
    4: ([-1, 2, 0, 2], [1, 3, 1, -1]),
    5: ([-1, 2, 4, 2, 0], [1, -1, 3, 0, 3]),
    8: ([-1, 2, 4, 2, 0, 6, 4, 6], [1, 3, 1, 7, 5, 3, 5, -1]),
}


@pytest.mark.parametrize("count", PARENTS)
def test_parents(count: int) -> None:
    assert tuple(tree.tolist() for tree in double_tree.trees(count)) == PARENTS[count]


@given(st.integers(1, 200))
def test_two_trees_of_little_depth(count: int) -> None:
    for parent in double_tree.trees(count):
        assert np.bincount(parent + 1, minlength=count + 1)[0] == 1  # one root
        assert np.bincount(parent + 1).tolist()[1:] == [] or np.bincount(parent + 1)[1:].max() <= 2
        depth, here = 0, np.arange(count)
        while (here >= 0).any():
            here, depth = np.where(here < 0, -1, parent[here]), depth + 1
        assert depth <= count.bit_length() + 1  # places on the longest way, the root counted


@given(st.integers(2, 100))
def test_a_machine_with_children_in_one_tree_has_none_in_the_other(pairs: int) -> None:
    """For an even number; an odd one has an exception."""
    inner = [set(parent.tolist()) - {-1} for parent in double_tree.trees(2 * pairs)]
    assert len(inner[0] & inner[1]) == 0


LAYOUTS = [
    *(Layout(n) for n in (1, 2, 3, 4, 5, 8, 11)),
    machines(2, Layout(3)),
    machines(3, Layout(2)),
    machines(4, torus(2, 2)),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.servers}x{layout.ranks // layout.servers}")
def test_does_what_it_should(layout: Layout) -> None:
    schedule = double_tree.all_reduce(layout)
    check(schedule)
    assert (schedule.sent() <= 2 + 1e-12).all()


def test_every_rank_of_a_machine_speaks_for_it_once_in_each_tree() -> None:
    schedule = double_tree.all_reduce(machines(4, Layout(3)))
    between = schedule.source // 3 != schedule.destination // 3
    # 6 pairs of (rank, tree), each with 3 ways up and 3 down; a rank talks to those of its own place only
    assert between.sum() == 6 * 2 * 3
    assert (schedule.source[between] % 3 == schedule.destination[between] % 3).all()
    assert np.bincount(schedule.source[between] % 3).tolist() == [12, 12, 12]


@pytest.mark.parametrize("n", [4, 5, 8, 16])
def test_slices_bring_it_near_twice_the_bytes_at_full_rate(n: int) -> None:
    """The fill of the pipeline is at most 2 log2 n + 2 slices of half a byte."""
    whole = double_tree.all_reduce(Layout(n))
    for slices in (16, 64):
        time = simulate(topologies.switch(n, 1.0), sliced(whole, slices)).time
        assert 2 * (n - 1) / n <= time <= 2 + (n.bit_length() + 1) / slices
