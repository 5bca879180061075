"""Slices: the same transfers cut, in order, proved whatever the schedule, and what they bring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import topologies
from fabric import simulate
from fabric.builder import Builder
from fabric.collectives import ALGORITHMS, applicable, bucket, build, chain, doubling, hierarchical, mesh, ring, slices, tree
from fabric.collectives.conditions import ProofError, prove
from fabric.collectives.slices import sliced
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable
from fabric.runner import run_scenario
from fabric.scenario import read_scenario
from fabric.schedule import COPY, Schedule

from .checker import ALPHA, BANDWIDTH, SIZE, check, chunks_of, machines, time_of, torus, waits_of

LAYOUTS = [Layout(2), Layout(3), Layout(8), torus(4, 4), torus(4, 2), machines(3, Layout(4)), machines(2, torus(2, 2))]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_algorithm_stays_right_and_sends_as_much(layout: Layout) -> None:
    for collective in ALGORITHMS:
        own = {"matrix": np.ones((layout.ranks,) * 2)} if collective == "all_to_all_v" else {}
        for name, whole in applicable(collective, layout, slices=1, **own).items():
            if isinstance(whole, Schedule) and name != "mesh_one_shot":
                cut = sliced(whole, 2)
                prove(cut)
                assert cut.transfers == 2 * whole.transfers
                assert cut.size == pytest.approx(whole.size)
                assert cut.sent() == pytest.approx(whole.sent())
                assert cut.options == {**whole.options, **({"slices": 2} if whole.transfers else {})}
                late = np.repeat(np.arange(cut.transfers), np.diff(cut.wait_ptr))
                assert (cut.step[cut.wait_ids] < cut.step[late]).all()


def test_many_slices_of_some() -> None:
    for whole in (ring.all_reduce(Layout(4)), bucket.all_gather(torus(2, 3)), doubling.all_reduce(Layout(6))):
        for count in (1, 3, 7):
            check(sliced(whole, count))
            prove(sliced(whole, count))


def test_one_slice_is_the_schedule_itself() -> None:
    whole = ring.all_reduce(Layout(4))
    assert sliced(whole, 1) is whole


def test_slices_of_a_line() -> None:
    """0 -> 1 -> 2 of a block in two parts: each slice takes half of both, and waits for its like and the one before it."""
    builder = Builder("broadcast", "line", 3, np.ones(1), np.array([0.75, 0.25]))
    builder.add(np.array([0, 1]), np.array([1, 2]), np.array([[0, 1], [0, 1]]), COPY, np.array([0, 1]))
    cut = sliced(builder.build(), 2)
    assert cut.parts.tolist() == [0.375, 0.375, 0.125, 0.125]
    assert cut.source.tolist() == [0, 0, 1, 1]
    assert chunks_of(cut) == [[0, 2], [1, 3], [0, 2], [1, 3]]
    assert waits_of(cut) == [[], [0], [0], [1, 2]]
    assert cut.step.tolist() == [0, 1, 1, 2]


def test_a_lane_is_through_with_a_slice_before_the_next() -> None:
    cut = sliced(tree.broadcast(Layout(4)), 3)  # 0 -> 2, then 0 -> 1 and 2 -> 3
    number = {row: t for t, row in enumerate(zip(cut.destination.tolist(), (cut.chunk_ids % 3).tolist()))}
    waits = {row: waits_of(cut)[t] for row, t in number.items()}
    assert waits[1, 0] == [number[2, 0]]
    assert waits[2, 1] == [number[1, 0]]
    assert waits[3, 1] == sorted([number[2, 1], number[3, 0]])


def test_slices_let_the_tiers_of_a_hierarchy_work_at_the_same_time() -> None:
    """Two machines: inside 2 · 15/16 S over four links, between 2 · 1/2 · 1/16 S over a NIC.

    Either the links inside are never idle, or the NIC is idle during the first and last slice inside only.
    """
    graph = topologies.efa_cluster("trn2", count=2)
    whole = hierarchical.all_reduce(machines(2, torus(4, 4)))
    inside, between = 2 * 15 / 16 * 1e9 / (4 * 128e9), 1e9 / 16 / 25e9
    for count in (1, 2, 4, 8):
        time = simulate(graph, sliced(whole, count).scaled(1e9)).time
        assert time == pytest.approx(max(inside, inside / count + between), rel=1e-9)


def test_stages_whose_lanes_change_apart_do_not_wait_for_ever() -> None:
    """The parts of an unequal torus are in their dimensions at different steps."""
    for layout in (torus(2, 4), torus(4, 2, 2), torus(2, 3)):
        prove(sliced(bucket.all_reduce(layout), 3))


def test_a_ring_of_one_port_gains_nothing_and_pays_the_overheads() -> None:
    n, count = 5, 4
    cut = sliced(ring.all_gather(Layout(n), directions=1), count)
    expected = (n - 1) * (count * ALPHA + SIZE / (n * BANDWIDTH))
    assert time_of(topologies.ring(n, BANDWIDTH), cut) == pytest.approx(expected, rel=1e-9)


def test_slices_of_partners_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = doubling.all_reduce(Layout(4))
    prove(sliced(whole, 2))
    none = np.empty(0, dtype=np.int64)
    monkeypatch.setattr(slices, "_exchanges", lambda schedule, writers: (none, none))
    with pytest.raises(ProofError, match="race"):
        prove(sliced(whole, 2))


def test_pauses_are_shared_out() -> None:
    whole = replace(ring.all_gather(Layout(3), directions=1), pause=np.full(6, 3.0))
    cut = sliced(whole, 3)
    assert cut.pause is not None
    assert cut.pause.tolist() == [1.0] * 18


def test_bad_input() -> None:
    whole = chain.broadcast(Layout(4))
    with pytest.raises(InputError, match="slices has to be at least 1, not 0"):
        sliced(whole, 0)
    with pytest.raises(InputError, match="a folded schedule cannot be cut"):
        sliced(replace(whole, multiplicity=np.ones(whole.transfers)), 2)
    with pytest.raises(NotApplicable, match="mesh_one_shot: no slices, for more than two ranks"):
        sliced(mesh.one_shot(Layout(3)), 2)
    with pytest.raises(NotApplicable, match="takes 12,000,000 transfers"):
        sliced(whole, 2_000_000)


def test_the_option_of_every_algorithm() -> None:
    assert build("all_reduce", "ring", Layout(4), slices=4).options["slices"] == 4
    text = """
name: slices
overheads: none
cases:
- name: one
  topology: {builder: ring, n: 4, bandwidth: 1 GB/s}
  collective: all_reduce
  algorithm: %s
  sizes: 1 MB
"""
    for algorithm in ("{name: ring, slices: 4}", "{name: auto, slices: 4}"):
        (result,) = run_scenario(read_scenario(text % algorithm, name="s"), lambda said: None).results
        assert result.options["slices"] == 4
        assert result.proof.startswith("proved")
