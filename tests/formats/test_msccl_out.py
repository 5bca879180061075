"""Our schedules as MSCCL XML: read back they are right by the other proof, send the same bytes and take the same time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fabric.builder import Builder
from fabric.collectives import ALGORITHMS, applicable
from fabric.collectives.conditions import ProofError, prove
from fabric.errors import InputError
from fabric.formats import judge, timed, write_goal, write_msccl
from fabric.formats.msccl import read_msccl
from fabric.layout import Layout
from fabric.schedule import COPY, FixedRoutes, Schedule

from .test_chakra import time

LAYOUTS = [Layout(2), Layout(5), Layout(8), Layout(8, (2, 2, 2), (1.0, 1.0, 1.0)), Layout(9, (3, 3), (1.0, 1.0))]
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


def schedules() -> list[Schedule]:
    found = [one for layout in LAYOUTS for name in COLLECTIVES for one in applicable(name, layout).values()]
    return [one for one in found if isinstance(one, Schedule) and one.multiplicity is None and one.repeat is None]


def test_every_algorithm_that_fits_comes_back_proved() -> None:
    tried = schedules()
    fits = 0
    for schedule in tried:
        try:
            written = write_msccl(schedule)
        except InputError:
            continue
        fits += 1
        prove(schedule)
        judgement = judge(read_msccl(written.text.encode(), "out.xml"))
        assert judgement.verdict == "ok", (schedule.collective, schedule.algorithm, schedule.ranks, judgement)
        np.testing.assert_allclose(judgement.sent, schedule.sent() / schedule.size, rtol=1e-9, atol=1e-12)
    assert fits >= 0.8 * len(tried)


@pytest.mark.parametrize(("collective", "name"), [("all_reduce", "ring"), ("all_gather", "mesh"), ("all_to_all", "direct")])
def test_the_time_comes_back(collective: str, name: str) -> None:
    schedule = ALGORITHMS[collective][name](Layout(8))
    written = write_msccl(schedule)
    assert written.notes == []
    back = timed(read_msccl(written.text.encode(), "out.xml"))
    assert time(back.scaled(2**20)) == pytest.approx(time(schedule.scaled(2**20)), rel=1e-9)


def test_ranges_that_lie_apart_become_steps_and_are_said() -> None:
    """Rank 0 brings chunks 0 and 2 of its block in one transfer, chunk 1 in another."""
    builder = Builder("all_gather", "apart", 2, np.full(2, 0.5), np.full(3, 1 / 3))
    zero, one = np.array([0]), np.array([1])
    builder.add(zero, one, np.array([[0, 2]]), COPY, 0)
    builder.add(zero, one, np.array([[1]]), COPY, 1)
    builder.add(one, zero, np.array([[3, 4, 5]]), COPY, 0)
    written = write_msccl(builder.build())
    assert written.notes == [
        "1 transfers carry ranges that lie apart: a step for each, one after another",
        "1 transfers follow one of their pair and channel that they need not wait for",
    ]
    assert judge(read_msccl(written.text.encode(), "out.xml")).verdict == "ok"
    assert written.text.count('type="s"') == 4


def test_what_does_not_fit_is_refused() -> None:
    uneven = ALGORITHMS["all_to_all_v"]["direct"](Layout(2), np.array([[0.0, 1.0], [2.0, 0.0]]))
    with pytest.raises(InputError, match="has no all_to_all_v"):
        write_msccl(uneven)
    with pytest.raises(InputError, match="at most 256 steps of a thread block, and this schedule needs"):
        write_msccl(ALGORITHMS["all_reduce"]["ring"](Layout(130)))
    ring = ALGORITHMS["all_gather"]["ring"](Layout(4))
    count = ring.transfers
    routes = FixedRoutes(np.zeros(count, dtype=np.int32), np.array([0, 1]), np.array([0]))
    for change, message in (
        ({"multiplicity": np.ones(count)}, "folded schedules"),
        ({"repeat": np.ones(count, dtype=np.int64)}, "folded schedules"),
        ({"image": np.zeros(count, dtype=np.int32)}, "folded schedules"),
        ({"routes": routes}, "routes of a schedule's own"),
        ({"streams": np.ones(count, dtype=np.int64)}, "transfers of several flows"),
        ({"pause": np.ones(count)}, "compute"),
    ):
        changed = replace(ring.scaled(4096.0), **change)
        with pytest.raises(InputError, match=f"MSCCL XML has no {message}"):
            write_msccl(changed)
        with pytest.raises(InputError, match=f"GOAL has no .*{'compute' if message == 'compute' else message}"):
            write_goal(changed)
    with pytest.raises(InputError, match="transfers of parts of them"):
        write_msccl(replace(ring, share=np.full(count, 0.5)))
    with pytest.raises(InputError, match="the blocks differ"):
        write_msccl(replace(ring, parts=np.full((4, 2), 0.5)))
    with pytest.raises(ProofError, match="missing"):
        write_msccl(replace(ring, collective="all_reduce"))
    builder = Builder("all_gather", "odd", 2, np.full(2, 0.5), np.array([1 / np.pi, 1 - 1 / np.pi]))
    with pytest.raises(InputError, match="no common measure"):
        write_msccl(builder.build())
