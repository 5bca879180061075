"""Recursive halving and doubling: partners, order of the axes, closed forms."""

from __future__ import annotations

from fractions import Fraction
from math import log2

import pytest

import topologies
from fabric import simulate
from fabric.bind import Overheads
from fabric.collectives import rdh
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable

from .checker import check, chunks_of, coordinates, hops, step_loads, torus, transfer_bytes

PHASES = {"all_reduce": rdh.all_reduce, "all_gather": rdh.all_gather, "reduce_scatter": rdh.reduce_scatter}
LAYOUTS = [Layout(1), Layout(2), Layout(16), torus(8), torus(4, 4), torus(2, 4), torus(4, 8), torus(2, 2, 2), torus(4, 4, 4)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.dims or layout.ranks))
@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("order", [None, "plain", "far"])
@pytest.mark.parametrize("start", ["all", "one"])
def test_does_what_it_should(collective: str, layout: Layout, order: rdh.Order | None, start: rdh.Start) -> None:
    schedule = PHASES[collective](layout, order=order, start=start)
    check(schedule)
    n, phases = layout.ranks, 2 if collective == "all_reduce" else 1
    assert schedule.steps == phases * log2(n)
    assert schedule.sent() == pytest.approx([phases * (n - 1) / n] * n)


@pytest.mark.parametrize("dims", [(4, 4), (4, 4, 4), (2, 4)], ids=str)
def test_gray_order_is_the_default_of_hypercubes_and_exchanges_over_one_link(dims: tuple[int, ...]) -> None:
    schedule = rdh.all_reduce(torus(*dims))
    assert schedule.options == {"order": "gray", "start": "all"}
    assert {hops(a, b, dims) for a, b in zip(schedule.source.tolist(), schedule.destination.tolist())} == {1}


@pytest.mark.parametrize("dims", [(4, 4), (4, 4, 4)], ids=str)
def test_parts_on_different_axes_use_every_link_once_in_a_step(dims: tuple[int, ...]) -> None:
    """log2 n parts; in step t of the reduce-scatter S / (2^(t+1) log2 n) over each link, the bound of (n-1)/n in total."""
    axes = 2 * len(dims)
    loads = step_loads(rdh.reduce_scatter(torus(*dims)), dims)
    assert len(loads) == axes
    for step, load in enumerate(loads):
        assert len(load) == axes * 4 ** len(dims)
        assert set(load.values()) == {Fraction(1, 2 ** (step + 1) * axes)}


# torus: plain order, all parts; in units of the size.
ALL_DIMENSIONS = {(8,): "5/4", (16,): "7/4", (4, 4): "15/32", (8, 8): "39/64", (4, 4, 4): "21/64", (4, 8): "5/8"}


@pytest.mark.parametrize("dims", ALL_DIMENSIONS, ids=str)
def test_loads_of_plain_order_from_all_dimensions(dims: tuple[int, ...]) -> None:
    loads = step_loads(rdh.reduce_scatter(torus(*dims), order="plain", start="all"), dims)
    assert sum((max(load.values()) for load in loads), Fraction()) == Fraction(ALL_DIMENSIONS[dims])


def test_time_of_all_axes_on_a_torus() -> None:
    """2 (4 α + 15/16 S / 4c) for an all-reduce on 4x4."""
    result = simulate(topologies.trn2(), rdh.all_reduce(torus(4, 4)).scaled(2**24), overheads=Overheads(1e-6, 0, latency=False))
    assert result.time == pytest.approx(2 * (4e-6 + 15 / 16 * 2**24 / 512e9), rel=1e-9)


def test_messages_halve_and_then_double() -> None:
    schedule = rdh.all_reduce(torus(4, 4), start="one")
    by_step = {int(step): size for step, size in zip(schedule.step, transfer_bytes(schedule))}
    assert [by_step[t] for t in range(8)] == [Fraction(1, 2**i) for i in (1, 2, 3, 4, 4, 3, 2, 1)]


def test_plain_partners_without_coordinates_are_near_first() -> None:
    schedule = rdh.reduce_scatter(Layout(8))
    assert schedule.options == {"order": "plain", "start": "one"}
    for source, destination, step in zip(schedule.source, schedule.destination, schedule.step):
        assert source ^ destination == 2**step


def test_far_partners_first_keep_consecutive_blocks() -> None:
    schedule = rdh.reduce_scatter(Layout(16), order="far")
    for source, destination, step, blocks in zip(
        schedule.source.tolist(), schedule.destination.tolist(), schedule.step.tolist(), chunks_of(schedule)
    ):
        distance = 16 >> (step + 1)
        first = destination // distance * distance
        assert source ^ destination == distance
        assert sorted(blocks) == list(range(first, first + distance))


def test_plain_partners_on_a_torus_take_the_dimensions_in_turn() -> None:
    schedule = rdh.reduce_scatter(torus(8, 8))
    # coordinate xor 1, 2, 4: x before y; on a ring of 8, 4 away splits over both ways and is as cheap as 2
    expected = [(0, 1), (1, 1), (0, 2), (1, 2), (0, 4), (1, 4)]
    for source, destination, step in zip(schedule.source.tolist(), schedule.destination.tolist(), schedule.step):
        dim, mask = expected[step]
        there = coordinates(source, (8, 8))
        there[dim] ^= mask
        assert coordinates(destination, (8, 8)) == there


def test_a_thin_dimension_carries_the_small_messages() -> None:
    """Z of half the bandwidth comes last: 1/32 + 1/64 of the size go over it, from each of 64 ranks."""
    layout = torus(4, 4, 4, bandwidth=(128e9, 128e9, 64e9))
    schedule = rdh.reduce_scatter(layout, start="one")
    over_z = [
        size
        for a, b, size in zip(schedule.source, schedule.destination, transfer_bytes(schedule))
        if coordinates(int(a), layout.dims)[2] != coordinates(int(b), layout.dims)[2]
    ]
    assert sum(over_z) == 64 * (Fraction(1, 32) + Fraction(1, 64))


def test_a_tie_between_the_two_ways_round_costs_half() -> None:
    """On 4x4 with x twice as fast, x xor 2 (two hops, half each way) is as cheap as x xor 1, and y comes after both."""
    schedule = rdh.reduce_scatter(torus(4, 4, bandwidth=(2.0, 1.0)), order="plain")
    partners = [1, 2, 4, 8]
    for source, destination, step in zip(schedule.source, schedule.destination, schedule.step):
        assert source ^ destination == partners[step]


def test_a_dimension_without_links_is_no_reason_to_fail() -> None:
    check(rdh.all_reduce(torus(4, 4, bandwidth=(1.0, 0.0))))


def test_where_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="rdh needs a power of two, not 12"):
        rdh.all_reduce(Layout(12))
    with pytest.raises(NotApplicable, match="rdh in gray order needs a torus of 2s and 4s, not ranks without coordinates"):
        rdh.all_reduce(Layout(8), order="gray")
    with pytest.raises(NotApplicable, match=r"not \(8,\)"):
        rdh.all_reduce(torus(8), order="gray")
    with pytest.raises(InputError, match=r"unknown order of rdh 'grey' \(did you mean gray"):
        rdh.all_reduce(torus(4), order="grey")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"unknown start of rdh 'al' \(did you mean all"):
        rdh.all_reduce(torus(4), start="al")  # type: ignore[arg-type]
