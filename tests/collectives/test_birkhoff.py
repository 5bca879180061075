"""All-to-all in stages of one-to-one matchings: all bytes once, one peer at a time, and the bound of the busiest port."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import topologies
from fabric import simulate
from fabric.collectives.all_to_all import direct_v
from fabric.collectives.birkhoff import all_to_all_v
from fabric.collectives.conditions import ProofError, prove
from fabric.collectives.slices import sliced
from fabric.errors import InputError
from fabric.layout import Layout

from .checker import waits_of

MATRICES = arrays(np.float64, (5, 5), elements=st.sampled_from([0.0, 0.0, 1.0, 1000.0, 2.5, 1 / 3])).filter(lambda m: m.any())


@settings(max_examples=60, deadline=None)
@given(MATRICES, st.integers(1, 30))
def test_a_matrix_arrives_in_matchings(matrix: np.ndarray, stages: int) -> None:
    schedule = all_to_all_v(Layout(5), matrix, stages=stages)
    prove(schedule)
    moved = np.zeros((5, 5))
    np.add.at(moved, (schedule.source, schedule.destination), schedule.bytes)
    assert moved == pytest.approx(matrix - np.diag(np.diag(matrix)), rel=1e-12)
    assert schedule.matrix.tolist() == matrix.tolist()
    for step in range(min(schedule.steps, stages)):
        now = schedule.step == step
        assert max(Counter(schedule.source[now].tolist()).values()) == 1
        assert max(Counter(schedule.destination[now].tolist()).values()) == 1


def test_matchings_worked_out() -> None:
    """Rows and columns of at most 4: in 3 units of time 0 -> 1 -> 2 -> 0, in 1 more 0 -> 2 and 1 -> 0."""
    matrix = [[0, 3, 1], [1, 0, 3], [3, 0, 0]]
    schedule = all_to_all_v(Layout(3), matrix)
    found = list(zip(schedule.step.tolist(), schedule.source.tolist(), schedule.destination.tolist(), schedule.bytes.tolist()))
    assert found == [(0, 0, 1, 3), (0, 1, 2, 3), (0, 2, 0, 3), (1, 0, 2, 1), (1, 1, 0, 1)]
    assert waits_of(schedule) == [[], [], [], [0, 1], [1, 2]]


@pytest.mark.parametrize("seed", range(3))
def test_meets_the_bound_of_the_busiest_port(seed: int) -> None:
    """Small integers need no more stages than the sum of the busiest port: all of them fit, and a switch is full."""
    matrix = np.random.default_rng(seed).integers(0, 3, (8, 8)).astype(float)
    np.fill_diagonal(matrix, 0)
    busiest = max(matrix.sum(axis=0).max(), matrix.sum(axis=1).max())
    schedule = all_to_all_v(Layout(8), matrix)
    assert simulate(topologies.switch(8, 1.0), schedule).time == pytest.approx(busiest, rel=1e-9)


def test_does_better_than_direct_where_receivers_hold_up_a_sender() -> None:
    """0 owes 2 to each of 5 and 6, which two others each owe 1 as well: 4 in stages. Directly 5 and 6 take a third from
    each, so 0 sends at 2/3 for 3 and has 2 left, at full rate: 5."""
    matrix = np.zeros((7, 7))
    matrix[0, [5, 6]] = 2
    matrix[[1, 2], 5] = matrix[[3, 4], 6] = 1
    fabric = topologies.switch(7, 1.0)
    assert simulate(fabric, all_to_all_v(Layout(7), matrix)).time == pytest.approx(4, rel=1e-9)
    assert simulate(fabric, direct_v(Layout(7), matrix)).time == pytest.approx(5, rel=1e-9)


def test_what_is_left_goes_directly() -> None:
    matrix = [[0, 3, 1], [1, 0, 3], [3, 0, 0]]
    schedule = all_to_all_v(Layout(3), matrix, stages=1)
    assert schedule.step.tolist() == [0, 0, 0, 1, 1]
    assert schedule.note == "1 stage, 18.2% of the bytes after them"
    assert schedule.options == {"stages": 1}
    assert all_to_all_v(Layout(3), matrix).options == {"stages": 12}


def test_uniform_blocks_take_as_many_stages_as_there_are_others() -> None:
    schedule = all_to_all_v(Layout(9), np.ones((9, 9)))
    assert (schedule.steps, schedule.transfers) == (8, 72)
    assert schedule.size == 9


def test_pieces_of_a_block_are_cut_into_slices() -> None:
    schedule = sliced(all_to_all_v(Layout(3), [[0, 3, 1], [1, 0, 3], [1, 2, 0]]), 2)
    prove(schedule)
    assert schedule.matrix.tolist() == [[0, 3, 1], [1, 0, 3], [1, 2, 0]]


def test_a_lost_piece_is_found() -> None:
    schedule = all_to_all_v(Layout(3), [[0, 4, 1], [1, 0, 4], [2, 1, 0]])
    lost = replace(schedule, parts=schedule.parts * 0.5)
    with pytest.raises(ProofError, match=r"fractions that add up to 1, not to 0\.5"):
        prove(lost)
    with pytest.raises(ProofError, match="parts are for all blocks or for each of 9, not for 8"):
        prove(replace(schedule, parts=schedule.parts[:8]))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="stages has to be at least 1, not 0"):
        all_to_all_v(Layout(2), np.ones((2, 2)), stages=0)
    with pytest.raises(InputError, match="bytes from rank 1 to rank 0 are -3"):
        all_to_all_v(Layout(2), [[1, 2], [-3, 4]])


def test_all_compares_the_algorithms_of_a_matrix() -> None:
    """On links of 10 GB/s the largest block, 3 MiB, goes at once; stage by stage it waits for the larger of each stage."""
    from fabric.runner import run_scenario
    from fabric.scenario import read_scenario

    text = """
    name: matrix
    cases:
      - name: matrix
        topology: {builder: ring, n: 3, bandwidth: 10 GB/s}
        collective: all_to_all_v
        algorithm: all
        matrix: [[0 B, 1 MiB, 2 MiB], [3 MiB, 0 B, 1 MiB], [1 MiB, 1 MiB, 0 B]]
    overheads: none
    """
    rows = run_scenario(read_scenario(text, name="matrix"), lambda said: None).results
    assert [row.algorithm for row in rows] == ["direct", "birkhoff"]
    assert rows[0].time == pytest.approx(3 * 2**20 / 10e9, rel=1e-12)
    assert rows[1].time >= rows[0].time
