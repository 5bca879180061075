"""PAT: the trees, the number of messages for each aggregation, closed forms."""

from __future__ import annotations

from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric.collectives import pat
from fabric.errors import InputError
from fabric.layout import Layout
from fabric.schedule import Schedule

from .checker import ALPHA, BANDWIDTH, SIZE, check, chunks_of, time_of

PAT = {"all_gather": pat.all_gather, "reduce_scatter": pat.reduce_scatter, "all_reduce": pat.all_reduce}
PHASES = {"all_gather": 1, "reduce_scatter": 1, "all_reduce": 2}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 33), st.sampled_from(sorted(PAT)), st.sampled_from([None, 1, 2, 4, 8]))
def test_any_number_of_ranks(n: int, collective: str, aggregation: int | None) -> None:
    schedule = PAT[collective](Layout(n), aggregation=aggregation)
    check(schedule)
    assert schedule.sent() == pytest.approx([PHASES[collective] * (n - 1) / n] * n)
    assert max(map(len, chunks_of(schedule)), default=0) <= (aggregation or n)


@pytest.mark.parametrize(
    ("n", "aggregation", "messages"),
    # log2 A + n/A - 1
    [(16, 1, 15), (16, 2, 8), (16, 4, 5), (16, 8, 4), (16, 16, 4), (16, None, 4), (8, 2, 4), (8, 4, 3), (2, None, 1)],
)
@pytest.mark.parametrize("collective", PAT)
def test_messages(n: int, aggregation: int | None, messages: int, collective: str) -> None:
    schedule = PAT[collective](Layout(n), aggregation=aggregation)
    assert schedule.steps == PHASES[collective] * messages
    expected = PHASES[collective] * (messages * ALPHA + SIZE * (n - 1) / n / BANDWIDTH)
    assert time_of(topologies.switch(n, BANDWIDTH), schedule) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [3, 5, 6, 7, 12])
@pytest.mark.parametrize("collective", PAT)
def test_full_aggregation_among_any_number(n: int, collective: str) -> None:
    schedule = PAT[collective](Layout(n))
    assert schedule.steps == PHASES[collective] * ceil(log2(n))
    expected = PHASES[collective] * (ceil(log2(n)) * ALPHA + SIZE * (n - 1) / n / BANDWIDTH)
    assert time_of(topologies.switch(n, BANDWIDTH), schedule) == pytest.approx(expected, rel=1e-9)


def hops_of(schedule: Schedule) -> dict[int, int]:
    """How far block 0 comes, by the place (origin - rank) mod n at which it arrives."""
    n = schedule.ranks
    return {
        -int(there) % n: (int(here) - int(there)) % n
        for here, there, blocks in zip(schedule.source, schedule.destination, chunks_of(schedule))
        if 0 in blocks
    }


@pytest.mark.parametrize("aggregation", [None, 1, 2])
def test_a_block_comes_over_its_lowest_set_bit(aggregation: int | None) -> None:
    found = hops_of(pat.all_gather(Layout(11), aggregation=aggregation))
    assert found == {s: s & -s for s in range(1, 11)}


def test_far_messages_are_small() -> None:
    schedule = pat.all_gather(Layout(16))
    rows = {(int(step), len(blocks)) for step, blocks in zip(schedule.step, chunks_of(schedule))}
    assert rows == {(0, 1), (1, 2), (2, 4), (3, 8)}
    assert set(((schedule.source - schedule.destination) % 16 - 8 // 2**schedule.step).tolist()) == {0}


@pytest.mark.parametrize("aggregation", [0, 3, -2])
def test_bad_aggregation(aggregation: int) -> None:
    with pytest.raises(InputError, match=f"aggregation has to be a power of two, not {aggregation}"):
        pat.all_gather(Layout(8), aggregation=aggregation)
