"""Bytes of mixture-of-experts layers: published figures, conservation, and expectation against a large draw."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.workloads.moe import Gating, hit, placement, uniform_hit

# DeepSeek-V3: FP8 dispatch with 4 bytes of scale per 128 elements, BF16 combine.
DEEPSEEK = Gating(4096, 7168, 8, 256, dispatch_bytes=1, combine_bytes=2, scale_block=128, scale_bytes=4)


def test_bytes_of_a_copy() -> None:
    assert DEEPSEEK.dispatch_copy == 7168 + 4 * 7168 / 128 == 7392
    assert DEEPSEEK.combine_copy == 2 * 7168
    assert replace(DEEPSEEK, hidden=129).dispatch_copy == 129 + 2 * 4  # a block begun is a block


@pytest.mark.parametrize(
    ("groups", "distinct"), [(2, 1.993), (4, 3.614), (8, 5.295), (16, 6.523), (32, 7.267), (64, 7.676), (256, 8.0)]
)
def test_distinct_groups_of_a_balanced_router(groups: int, distinct: float) -> None:
    assert groups * uniform_hit(256, 256 // groups, 8) == pytest.approx(distinct, abs=5e-4)
    per_rank = replace(DEEPSEEK, tokens=1, deduplicate="rank").copies(groups)
    assert per_rank.sum(axis=1) == pytest.approx(np.full(groups, distinct), abs=5e-4)


@pytest.mark.parametrize(
    # Time times bandwidth as measured: UCCL on p5en (8 ranks per node), 4,096 tokens, one copy per node.
    ("nodes", "dispatch", "combine"),
    [(2, 1196e-6 * 50e9, 114.8e6), (3, 1633e-6 * 53e9, 165.5e6), (4, 2022e-6 * 54e9, 210.7e6)],
)
def test_bytes_between_nodes_are_the_measured_ones(nodes: int, dispatch: float, combine: float) -> None:
    per_node = replace(DEEPSEEK, deduplicate="rank")  # a node takes the part of the rank here
    sent, back = per_node.matrices(nodes)
    assert sent.sum(axis=1)[0] == pytest.approx(dispatch, rel=0.03)
    assert back.sum(axis=0)[0] == pytest.approx(combine, rel=0.03)


def test_bytes_of_low_latency_kernels_are_the_measured_ones() -> None:
    low = replace(DEEPSEEK, tokens=128)  # DeepEP: 118 us x 63 GB/s and 195 us x 74 GB/s, a copy per chosen expert
    sent, back = low.matrices(8)
    assert sent.sum(axis=1)[0] == pytest.approx(118e-6 * 63e9, rel=0.03)
    assert back.sum(axis=0)[0] == pytest.approx(195e-6 * 74e9, rel=0.03)


gatings = st.builds(
    lambda k, more, **rest: Gating(hidden=16, top_k=k, experts=k + more, dispatch_bytes=1, combine_bytes=2, **rest),
    k=st.integers(1, 6),
    more=st.integers(0, 12),
    tokens=st.integers(1, 50),
    skew=st.sampled_from([0.0, 1e-9, 0.3, 0.6, 3.0, 10.0]),
    seed=st.integers(0, 3),
    sample=st.booleans(),
)


@given(gatings, st.integers(2, 12))
def test_every_token_is_sent_to_all_of_its_experts(gating: Gating, ranks: int) -> None:
    dispatch, combine = gating.matrices(ranks)
    total = gating.tokens * gating.top_k * 16
    assert dispatch.sum(axis=1) == pytest.approx(np.full(ranks, total), rel=1e-11)
    assert combine.sum(axis=0) == pytest.approx(np.full(ranks, 2 * total), rel=1e-11)
    np.testing.assert_array_equal(combine, dispatch.T * 2)
    assert (dispatch >= 0).all()


@given(gatings, st.integers(2, 12))
def test_a_copy_per_rank_is_at_most_a_copy_per_expert(gating: Gating, ranks: int) -> None:
    all_copies, distinct = gating.copies(ranks), replace(gating, deduplicate="rank").copies(ranks)
    assert (distinct <= all_copies * (1 + 1e-11)).all()
    assert (distinct <= gating.tokens * (1 + 1e-11)).all()
    assert (distinct.sum(axis=1) >= gating.tokens * (1 - 1e-11)).all()


@given(st.integers(2, 5), st.integers(1, 6), st.integers(1, 8), st.sampled_from(["none", "rank"]), st.integers(1, 4))
def test_machines_with_as_many_experts_are_alike(machines: int, each: int, experts: int, deduplicate: str, top_k: int) -> None:
    gating = Gating(64, 16, min(top_k, machines * experts), machines * experts, 1, 2, deduplicate=deduplicate)
    for places, whole in zip(gating.between_places(machines, each), gating.matrices(machines * each)):
        np.testing.assert_array_equal(np.tile(places, (machines, machines)), whole)


@pytest.mark.parametrize("changes", [{"skew": 0.6}, {"sample": True}, {"experts": 10}])
def test_machines_that_differ_have_no_matrix_of_places(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="machines are alike with a balanced router"):
        replace(Gating(64, 16, 2, 12, 1, 2), **changes).between_places(4, 3)


def test_probabilities_of_a_million_experts_are_not_rounded_away() -> None:
    """1 - (1 - 8/10^6): the subtraction alone would lose five digits."""
    assert uniform_hit(10**6, 1, 8) == pytest.approx(8e-6, rel=1e-15)


@given(st.integers(1, 300), st.integers(1, 40))
def test_placement_is_by_the_floor(experts: int, ranks: int) -> None:
    bounds = placement(experts, ranks)
    home = np.repeat(np.arange(ranks), np.diff(bounds))
    assert home.tolist() == [expert * ranks // experts for expert in range(experts)]


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_hit_is_the_sum_over_all_orders_of_arrival(top_k: int) -> None:
    rate = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
    bounds = np.array([0, 1, 1, 3, 5])  # one of the groups is empty
    expected = np.zeros(4)
    for order in permutations(range(5), top_k):
        probability, left = 1.0, 1.0
        for expert in order:
            probability *= rate[expert] / left
            left -= rate[expert]
        for group in range(4):
            expected[group] += probability * any(bounds[group] <= expert < bounds[group + 1] for expert in order)
    assert hit(rate, bounds, top_k) == pytest.approx(expected, abs=1e-13)


def test_the_integral_meets_the_closed_form_of_a_balanced_router() -> None:
    rate = np.full(24, 1 / 24)
    rate[0] *= 1 + 1e-13  # enough to take the integral
    expected = [1 - comb(24 - members, 5) / comb(24, 5) for members in (1, 7, 16)]
    assert hit(rate, np.array([0, 1, 8, 24]), 5) == pytest.approx(expected, abs=1e-12)


def test_the_expectation_is_the_mean_of_the_draw() -> None:
    gating = Gating(20_000, 1, 4, 24, dispatch_bytes=1, combine_bytes=1, skew=0.8, seed=7)
    for deduplicate in ("none", "rank"):
        expected = replace(gating, deduplicate=deduplicate).copies(6)
        drawn = replace(gating, deduplicate=deduplicate, sample=True).copies(6)
        # 120,000 tokens; copies of a token to one rank vary by at most 4 x (their mean).
        deviation = np.sqrt(4 * expected.sum(axis=0))
        assert (np.abs(drawn.sum(axis=0) - expected.sum(axis=0)) < 5 * deviation).all()
        assert np.abs(drawn - expected).max() > 0


def test_seeds() -> None:
    gating = Gating(64, 8, 2, 16, dispatch_bytes=1, combine_bytes=2, skew=0.6, seed=1, sample=True)
    np.testing.assert_array_equal(gating.copies(4), gating.copies(4))
    assert (gating.copies(4) != replace(gating, seed=2).copies(4)).any()
    assert (gating.copies(4, group=0) != gating.copies(4, group=1)).any()
    expected = replace(gating, sample=False)
    np.testing.assert_array_equal(expected.copies(4, group=0), expected.copies(4, group=1))  # one layer, one popularity
    assert (expected.copies(4) != replace(expected, seed=2).copies(4)).any()


def test_popularity_is_log_normal() -> None:
    logarithm = np.log(Gating(1, 1, 1, 20_000, dispatch_bytes=1, combine_bytes=1, skew=0.6, seed=5).popularity())
    assert logarithm.std() == pytest.approx(0.6, rel=0.03)
    assert np.exp(logarithm).sum() == pytest.approx(1)
