"""Recursive doubling: partners, folding, closed forms on a switch and a hypercube."""

from __future__ import annotations

from math import floor, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric.builder import Builder
from fabric.collectives import doubling
from fabric.collectives.conditions import ProofError, prove
from fabric.errors import InputError
from fabric.layout import Layout
from fabric.schedule import REDUCE

from .checker import ALPHA, BANDWIDTH, SIZE, check, chunks_of, time_of, torus

BOTH = {"all_reduce": doubling.all_reduce, "all_gather": doubling.all_gather}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.sampled_from(sorted(BOTH)))
def test_any_number_of_ranks(n: int, collective: str) -> None:
    schedule = BOTH[collective](Layout(n))
    check(schedule)
    prove(schedule)
    folds = n & (n - 1) > 0
    assert schedule.steps == floor(log2(n)) + 2 * folds


@pytest.mark.parametrize("dims", [(4, 4), (2, 8), (4, 4, 4), (4, 1, 2), (3, 4)], ids=str)
@pytest.mark.parametrize("collective", BOTH)
@pytest.mark.parametrize("ports", ["all", "one"])
def test_on_a_torus(dims: tuple[int, ...], collective: str, ports: doubling.Ports) -> None:
    schedule = BOTH[collective](torus(*dims), ports=ports)
    check(schedule)
    prove(schedule)
    several = ports == "all" and 3 not in dims
    assert len(schedule.parts) == (sum(k > 1 for k in dims) if several else 1)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12, 16])
def test_every_step_of_an_all_reduce_takes_the_whole_vector(n: int) -> None:
    steps = {2: 1, 3: 3, 5: 4, 8: 3, 12: 5, 16: 4}[n]
    schedule = doubling.all_reduce(Layout(n))
    assert time_of(topologies.switch(n, BANDWIDTH), schedule) == pytest.approx(steps * (ALPHA + SIZE / BANDWIDTH), rel=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_all_reduce_on_a_hypercube(dim: int) -> None:
    """Partners are neighbours, whatever the numbering of the dimensions; with all ports each has 1/dim on every link."""
    graph, layout = topologies.hypercube(dim, BANDWIDTH), torus(*[2] * dim)
    for ports, share in (("one", 1), ("all", dim)):
        schedule = doubling.all_reduce(layout, ports=ports)  # type: ignore[arg-type]
        expected = dim * (ALPHA + SIZE / (share * BANDWIDTH))
        assert time_of(graph, schedule) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_all_gather_of_a_power_of_two(n: int) -> None:
    schedule = doubling.all_gather(Layout(n))
    assert schedule.sent() == pytest.approx([(n - 1) / n] * n)
    expected = log2(n) * ALPHA + SIZE * (n - 1) / n / BANDWIDTH
    assert time_of(topologies.switch(n, BANDWIDTH), schedule) == pytest.approx(expected, rel=1e-9)


def test_near_partners_come_first_and_blocks_double() -> None:
    schedule = doubling.all_gather(Layout(8))
    for source, destination, step, blocks in zip(
        schedule.source.tolist(), schedule.destination.tolist(), schedule.step.tolist(), chunks_of(schedule)
    ):
        assert source ^ destination == 1 << step
        assert sorted(blocks) == list(range(source >> step << step, (source >> step << step) + (1 << step)))


def test_ranks_stand_back() -> None:
    """Of six, 1 and 3 hand over to 0 and 2; 0, 2, 4 and 5 exchange."""
    schedule = doubling.all_reduce(Layout(6))
    rows = list(zip(schedule.step.tolist(), schedule.source.tolist(), schedule.destination.tolist()))
    assert [row[1:] for row in rows if row[0] == 0] == [(1, 0), (3, 2)]
    assert {row[1:] for row in rows if row[0] == 1} == {(0, 2), (2, 0), (4, 5), (5, 4)}
    assert {row[1:] for row in rows if row[0] == 2} == {(0, 4), (4, 0), (2, 5), (5, 2)}
    assert [row[1:] for row in rows if row[0] == 3] == [(0, 1), (2, 3)]


def test_partners_wait_for_each_other() -> None:
    """A sum that came early would be sent back to where it is from: without the rendezvous there is a race."""
    builder, ranks = Builder("all_reduce", "doubling", 4, [1.0]), torus(2, 2)
    for step in (0, 1):
        source = doubling._folded(ranks.ranks)[0]
        builder.add(source, source ^ (1 << step), 0 * source, REDUCE, step)
    with pytest.raises(ProofError, match="race"):
        prove(builder.build())
    prove(doubling.all_reduce(ranks, ports="one"))


def test_bad_options() -> None:
    with pytest.raises(InputError, match=r"unknown ports of doubling 'al' \(did you mean all"):
        doubling.all_reduce(Layout(4), ports="al")  # type: ignore[arg-type]
