"""Themis: proved on any tiers, the orders even them out, and chunks follow one another up to the bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric import simulate
from fabric.collectives import themis
from fabric.collectives.conditions import prove
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable, Tier
from fabric.network import Network

from .checker import check, machines, torus

PHASES = {"all_reduce": themis.all_reduce, "all_gather": themis.all_gather, "reduce_scatter": themis.reduce_scatter}
LAYOUTS = [
    torus(3, 4),
    torus(2, 3, 2, bandwidth=(1.0, 2.0, 3.0)),
    Layout(12, servers=3, inner=Layout(4, injection=9.0), injection=1.0),
    machines(2, torus(2, 3)),
    machines(2, machines(3, Layout(2))),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.tiers))
@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("shares", ["balanced", "greedy"])
@pytest.mark.parametrize("depth", [1, 3])
def test_does_what_it_should(collective: str, layout: Layout, shares: themis.Shares, depth: int) -> None:
    schedule = PHASES[collective](layout, chunks=5, depth=depth, shares=shares)
    check(schedule)
    prove(schedule)
    phases, n = 2 if collective == "all_reduce" else 1, layout.ranks
    assert schedule.sent() == pytest.approx([phases * (n - 1) / n] * n)


def busy(tiers: tuple[Tier, ...], orders: list[themis.Order], weights: list[float]) -> list[float]:
    """Seconds per byte of each tier: (p - 1) / (product of the sizes up to it) / B, over all chunks."""
    found = [0.0] * len(tiers)
    for order, weight in zip(orders, weights):
        ranks = 1
        for which in order:
            ranks *= tiers[which].size
            found[which] += weight * (tiers[which].size - 1) / ranks / tiers[which].bandwidth
    return found


TIER = st.builds(Tier, st.integers(2, 16), st.floats(1e9, 1e12), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(TIER, min_size=2, max_size=4), st.integers(1, 40))
def test_balanced_is_at_most_as_busy_as_greedy(tiers: list[Tier], chunks: int) -> None:
    orders, weights = themis._balanced(tiers, chunks)
    assert sum(weights) == pytest.approx(1)
    assert max(busy(tiers, orders, weights)) <= max(busy(tiers, *themis._greedy(tiers, chunks))) * (1 + 1e-2)
    assert all(sorted(order) == list(range(len(tiers))) for order in orders)


def test_greedy_orders() -> None:
    """Two equal tiers of 2: the first chunk goes through them as they are, 1/2 and 1/4; the second the other way round."""
    tiers = (Tier(2, 1.0, ring=False), Tier(2, 1.0, ring=False))
    assert themis._greedy(tiers, 4)[0] == [(0, 1), (1, 0), (0, 1), (1, 0)]


def test_balanced_orders_even_out_the_tiers() -> None:
    """Trn3 Gen2: with 143/144 bytes of each rank over 704 GB/s all tiers are equally busy."""
    tiers = (Tier(4, 256.0, ring=False), Tier(18, 320.0, ring=False), Tier(2, 128.0, ring=False))
    assert busy(tiers, *themis._balanced(tiers, 24)) == pytest.approx([143 / 144 / 704] * 3, rel=1e-6)


@pytest.mark.parametrize(
    ("builder", "collective", "gap"),
    [
        (topologies.trn3_gen2, "all_gather", 1.001),
        (topologies.trn3_gen2, "reduce_scatter", 1.001),
        (topologies.trn3_gen1, "all_reduce", 1.05),
        (topologies.trn2_ultraserver, "all_reduce", 1.001),
    ],
)
def test_comes_close_to_all_bandwidth_of_a_chip(builder: topologies.Builder, collective: str, gap: float) -> None:
    """S (n - 1) / n over 704 GB/s (Trn3, aws-docs) or 640 GB/s (Trn2 UltraServer) per chip, twice in an all-reduce."""
    network = Network(builder())
    n = network.ranks
    schedule = PHASES[collective](network.layout(np.arange(n)), depth=1)
    result = simulate(network, schedule.scaled(2.0**30))
    rate = 640e9 if builder is topologies.trn2_ultraserver else 704e9
    bound = 2.0**30 * (n - 1) / n / rate * (2 if collective == "all_reduce" else 1)
    assert bound * (1 - 1e-9) <= result.time <= gap * bound


def test_a_tier_works_on_one_chunk_at_a_time() -> None:
    schedule = themis.all_reduce(Layout(24, servers=3, inner=Layout(8, injection=4.0), injection=1.0), chunks=6, depth=1)
    inside = schedule.source // 8 == schedule.destination // 8
    assert set(schedule.channel[inside].tolist()) == {0}
    assert set(schedule.channel[~inside].tolist()) == {2}
    for lane in (0, 2):
        steps = schedule.step[schedule.channel == lane]
        parts = schedule.chunk_ids[schedule.chunk_ptr[:-1]][schedule.channel == lane] % len(schedule.parts)
        assert all(len(set(parts[steps == step].tolist())) == 1 for step in set(steps.tolist()))


def test_depth_hides_the_delays() -> None:
    """Each of the two tiers has a stage of every one of 8 chunks: 8 steps one at a time, 4 two at a time."""
    layout = Layout(4, servers=2, inner=Layout(2, injection=1.0), injection=1.0)
    one, two = (themis.reduce_scatter(layout, chunks=8, depth=depth) for depth in (1, 2))
    assert (one.steps, two.steps) == (8, 4)
    assert len(set(two.channel.tolist())) == 2 * len(set(one.channel.tolist())) == 4


def test_where_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="themis needs 2 to 6 tiers, these ranks have 1"):
        themis.all_reduce(Layout(16))
    with pytest.raises(NotApplicable, match="these ranks have 1"):
        themis.all_reduce(torus(1, 8))
    with pytest.raises(InputError, match="chunks has to be 1 to 256, not 0"):
        themis.all_reduce(torus(4, 4), chunks=0)
    with pytest.raises(InputError, match="depth has to be 1 to 8, the number of chunks, not 9"):
        themis.all_reduce(torus(4, 4), chunks=8, depth=9)
    with pytest.raises(InputError, match=r"unknown shares of themis 'gredy' \(did you mean greedy"):
        themis.all_reduce(torus(4, 4), shares="gredy")  # type: ignore[arg-type]
