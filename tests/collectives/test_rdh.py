"""Recursive halving and doubling: partners, order of the axes, closed forms."""

from __future__ import annotations

from fractions import Fraction
from math import log2

import pytest

from fabric.collectives import rdh
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable

from .checker import check, coordinates, hops, torus, transfer_bytes

PHASES = {"all_reduce": rdh.all_reduce, "all_gather": rdh.all_gather, "reduce_scatter": rdh.reduce_scatter}
LAYOUTS = [Layout(1), Layout(2), Layout(16), torus(8), torus(4, 4), torus(2, 4), torus(4, 8), torus(2, 2, 2), torus(4, 4, 4)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.dims or layout.ranks))
@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("order", [None, "plain"])
def test_does_what_it_should(collective: str, layout: Layout, order: rdh.Order | None) -> None:
    schedule = PHASES[collective](layout, order=order)
    check(schedule)
    n, phases = layout.ranks, 2 if collective == "all_reduce" else 1
    assert schedule.steps == phases * log2(n)
    assert schedule.sent() == pytest.approx([phases * (n - 1) / n] * n)


@pytest.mark.parametrize("dims", [(4, 4), (4, 4, 4), (2, 4)], ids=str)
def test_gray_order_is_the_default_of_hypercubes_and_exchanges_over_one_link(dims: tuple[int, ...]) -> None:
    schedule = rdh.all_reduce(torus(*dims))
    assert schedule.options == {"order": "gray"}
    assert {hops(a, b, dims) for a, b in zip(schedule.source.tolist(), schedule.destination.tolist())} == {1}


def test_messages_halve_and_then_double() -> None:
    schedule = rdh.all_reduce(torus(4, 4))
    by_step = {int(step): size for step, size in zip(schedule.step, transfer_bytes(schedule))}
    assert [by_step[t] for t in range(8)] == [Fraction(1, 2**i) for i in (1, 2, 3, 4, 4, 3, 2, 1)]


def test_plain_partners_without_coordinates_are_near_first() -> None:
    schedule = rdh.reduce_scatter(Layout(8))
    assert schedule.options == {"order": "plain"}
    for source, destination, step in zip(schedule.source, schedule.destination, schedule.step):
        assert source ^ destination == 2**step


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
    schedule = rdh.reduce_scatter(layout)
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
