"""Broadcast and reduce in two halves."""

from __future__ import annotations

import numpy as np
import pytest

import topologies
from fabric.collectives import scatter_gather
from fabric.collectives.conditions import prove
from fabric.collectives.slices import sliced
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable

from .checker import ALPHA, BANDWIDTH, SIZE, check, machines, time_of, torus, waits_of

BOTH = {"broadcast": scatter_gather.broadcast, "reduce": scatter_gather.reduce}
LAYOUTS = [Layout(1), Layout(2), Layout(5), Layout(8), torus(4, 4), torus(3, 2), machines(2, Layout(3))]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("collective", BOTH)
@pytest.mark.parametrize("inner", [None, "ring"])
def test_does_what_it_should(layout: Layout, collective: str, inner: str | None) -> None:
    schedule = BOTH[collective](layout, root=layout.ranks - 1, inner=inner)
    check(schedule)
    prove(schedule)
    prove(sliced(schedule, 2))
    assert schedule.options["inner"] == (inner or ("bucket" if layout.dims else "mesh"))


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
@pytest.mark.parametrize("collective", BOTH)
def test_two_steps_on_a_switch(n: int, collective: str) -> None:
    """2α + 2S(n-1)/(nB)."""
    expected = 2 * ALPHA + 2 * SIZE * (n - 1) / n / BANDWIDTH
    time = time_of(topologies.switch(n, BANDWIDTH), BOTH[collective](Layout(n), root=1))
    assert time == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dims", [(4, 4), (4, 4, 4), (3, 3)], ids=str)
@pytest.mark.parametrize("collective", BOTH)
def test_bytes_past_the_root_of_a_torus(dims: tuple[int, ...], collective: str) -> None:
    layout = torus(*dims)
    schedule = BOTH[collective](layout, root=5)
    n = layout.ranks
    sent, received = (
        np.bincount(end, weights=schedule.bytes, minlength=n)[5] for end in (schedule.source, schedule.destination)
    )
    past = {"broadcast": sent, "reduce": received}[collective]
    assert past == pytest.approx(2 * (n - 1) / n)
    assert schedule.steps == 1 + sum(k - 1 for k in dims)


def test_the_root_takes_part_after_its_scatter() -> None:
    schedule = scatter_gather.broadcast(Layout(4), root=2)
    waits = waits_of(schedule)
    rows = list(zip(schedule.source.tolist(), schedule.step.tolist(), waits))
    assert all(sorted(wait) == [0, 1, 2] for source, step, wait in rows if (source, step) == (2, 1))
    assert all(len(wait) == 1 for source, step, wait in rows if source != 2)


def test_bad_options() -> None:
    with pytest.raises(InputError, match=r"root has to be one of the ranks 0\.\.3, not 4"):
        scatter_gather.broadcast(Layout(4), root=4)
    with pytest.raises(InputError, match=r"unknown algorithm of reduce_scatter 'rign' \(did you mean ring"):
        scatter_gather.reduce(Layout(4), inner="rign")
    with pytest.raises(NotApplicable, match="rdh needs a power of two, not 6"):
        scatter_gather.reduce(Layout(6), inner="rdh")
