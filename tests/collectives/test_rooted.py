"""The collectives with a root and permute: what they ask for, their direct forms, sizes, bounds and busbw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import topologies
from fabric import Overheads, simulate
from fabric.bounds import lower_bounds
from fabric.builder import Builder
from fabric.collectives import rooted
from fabric.collectives.conditions import ProofError, prove
from fabric.errors import InputError
from fabric.layout import Layout
from fabric.network import Network
from fabric.schedule import COPY, REDUCE

from .checker import ALPHA, BANDWIDTH, SIZE, check, time_of

DIRECT = {"broadcast": rooted.broadcast, "reduce": rooted.reduce, "scatter": rooted.scatter, "gather": rooted.gather}


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("collective", DIRECT)
def test_does_what_it_should_in_one_step(collective: str, n: int) -> None:
    for root in (0, n - 1):
        schedule = DIRECT[collective](Layout(n), root=root)
        check(schedule)
        assert (schedule.root, schedule.size) == (root, pytest.approx(1))
        assert schedule.steps == (n > 1)


@pytest.mark.parametrize("collective", DIRECT)
def test_time_on_a_switch_is_that_of_the_roots_port(collective: str) -> None:
    bytes_of_root = {"broadcast": 4, "reduce": 4, "scatter": 4 / 5, "gather": 4 / 5}[collective]
    time = time_of(topologies.switch(5, BANDWIDTH), DIRECT[collective](Layout(5), root=3))
    assert time == pytest.approx(ALPHA + bytes_of_root * SIZE / BANDWIDTH, rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_permute(n: int) -> None:
    schedule = rooted.permute(Layout(n))
    check(schedule)
    assert schedule.size == 1
    assert schedule.options == {"to": tuple((r + 1) % n for r in range(n))}
    assert schedule.destination.tolist() == [(r + 1) % n for r in range(n) if n > 1]
    backwards = rooted.permute(Layout(n), to=tuple(reversed(range(n))))
    check(backwards)
    assert backwards.transfers == n - n % 2  # one in the middle keeps its own


@pytest.mark.parametrize("to", [(1, 2), (0, 1, 1), (1, 2, 3), (-1, 0, 1)])
def test_not_a_permutation(to: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"permute on 3 ranks needs each of 0\.\.2 once as a destination"):
        rooted.permute(Layout(3), to=to)


def verdict(collective: str, moves: list[tuple[int, int, int]], root: int = 0, blocks: int = 3) -> str:
    """The verdict on copies, or sums in a reduce, of chunks from rank to rank among three, all in one step."""
    builder = Builder(collective, "by hand", 3, np.ones(blocks), root=root)
    for source, destination, chunk in moves:
        one = [np.array([number]) for number in (source, destination, chunk)]
        builder.add(one[0], one[1], one[2], REDUCE if collective == "reduce" else COPY, 0)
    try:
        prove(builder.build())
    except ProofError as error:
        return error.verdict
    return "ok"


def test_the_root_decides() -> None:
    out = [(0, 1, 0), (0, 2, 0)]
    assert verdict("broadcast", out, blocks=1) == "ok"
    assert verdict("broadcast", out, root=1, blocks=1) == "missing"
    back = [(1, 0, 0), (2, 0, 0)]
    assert verdict("reduce", back, blocks=1) == "ok"
    assert verdict("reduce", back, root=1, blocks=1) == "missing"
    assert verdict("reduce", back[:1], blocks=1) == "missing"
    assert verdict("reduce", [*back, back[0]], blocks=1) == "double"
    assert verdict("scatter", [(0, 1, 1), (0, 2, 2)]) == "ok"
    assert verdict("scatter", [(0, 1, 2), (0, 2, 1)]) == "missing"
    assert verdict("gather", [(1, 0, 1), (2, 0, 2)]) == "ok"
    assert verdict("gather", [(1, 0, 1)]) == "missing"
    assert verdict("gather", [(1, 0, 1), (1, 0, 2)]) == "missing"
    assert verdict("scatter", [(0, 1, 1), (0, 2, 2)], blocks=2) == "unmatched"
    assert verdict("gather", [], root=3) == "unmatched"


def test_permute_asks_for_what_has_bytes() -> None:
    schedule = rooted.permute(Layout(3))
    moved = np.zeros(9)
    moved[[0 * 3 + 2, 1 * 3 + 0, 2 * 3 + 1]] = 1.0
    with pytest.raises(ProofError, match="missing"):
        prove(replace(schedule, blocks=moved))


def test_bounds_count_what_the_root_must_send_or_receive() -> None:
    """On a switch with 1 byte/s: the whole vector once past one port; of scatter and gather the root's (n-1)/n."""
    network, ranks = Network(topologies.switch(4, 1.0)), [np.arange(4)]
    expected = {"broadcast": 1, "reduce": 1, "scatter": 3 / 4, "gather": 3 / 4}
    for collective, time in expected.items():
        bounds = lower_bounds(network, collective, ranks, 1.0, root=2)
        assert max(bound.time for bound in bounds) == pytest.approx(time)
    bounds = lower_bounds(network, "permute", ranks, 8.0, matrix=np.roll(np.eye(4), 1, axis=1))
    assert max(bound.time for bound in bounds) == pytest.approx(8)


def test_bounds_of_a_root_behind_a_thin_link() -> None:
    """A line 0 - 1 - 2 whose ranks have one link each way to each neighbour: from an end all must pass its one link."""
    graph = topologies.mesh([3], 1.0)
    for collective in DIRECT:
        for root in range(3):
            result = simulate(graph, DIRECT[collective](Layout(3), root=root))
            least = max(bound.time for bound in result.bounds)
            one_way = 2 / 3 if collective in ("scatter", "gather") and root != 1 else 1 / 3
            assert least == pytest.approx(one_way if collective in ("scatter", "gather") else 1)
            assert result.time >= least


def test_latency_counts_from_the_root_only() -> None:
    """On a line of three with 1 s of latency a link, a root in the middle is one link from both others."""
    graph = topologies.mesh([3], 1e9, 1.0)
    for collective in DIRECT:
        for root, links in ((0, 2), (1, 1)):
            result = simulate(graph, DIRECT[collective](Layout(3), root=root), overheads=Overheads())
            found = [bound.time for bound in result.bounds if bound.name == "latency"]
            assert found == [pytest.approx(links)]


def test_a_scenario_with_a_root() -> None:
    text = """
name: rooted
overheads: none
cases:
- name: one
  topology: {builder: switch, n: 4, bandwidth: 1 GB/s}
  collective: %s
  algorithm: {name: auto, root: 2}
  sizes: 1 MB
"""
    from fabric.runner import run_scenario
    from fabric.scenario import read_scenario

    for collective, factor in (("bcast", 1), ("reduce", 1), ("gather", 3 / 4), ("scatter", 3 / 4)):
        (result,) = run_scenario(read_scenario(text % collective, name="s"), lambda said: None).results
        assert result.options["root"] == 2
        assert result.busbw == pytest.approx(factor * result.algbw)
        assert result.gap >= 1 - 1e-9
