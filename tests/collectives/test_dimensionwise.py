"""Dimension-wise all-to-all on tori: proved, stays in its lines, and takes the time of the closed forms."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

import topologies
from fabric import simulate
from fabric.bind import Overheads
from fabric.collectives.dimensionwise import all_to_all
from fabric.layout import Layout, NotApplicable
from fabric.routing import Rule

from .checker import check, coordinates, torus

ALPHA, LINK, SIZE = 2e-6, 1e11, 2.0**24


@pytest.mark.parametrize("dims", [(2, 3), (3, 4, 2), (4, 1, 3), (4, 4)], ids=str)
@pytest.mark.parametrize("rotated", [True, False])
def test_does_what_it_should(dims: tuple[int, ...], rotated: bool) -> None:
    schedule = all_to_all(torus(*dims), rotated=rotated)
    check(schedule)
    used = [k for k in dims if k > 1]
    assert schedule.steps == len(used)
    assert schedule.sent() == pytest.approx([sum((k - 1) / k for k in used)] * prod(dims))
    assert len(schedule.parts) == (len(used) if rotated else 1)
    for a, b in zip(schedule.source.tolist(), schedule.destination.tolist()):
        assert sum(x != y for x, y in zip(coordinates(a, dims), coordinates(b, dims))) == 1


def test_every_part_has_a_dimension_of_its_own() -> None:
    schedule = all_to_all(torus(3, 3, 3))
    part = schedule.chunk_ids[schedule.chunk_ptr[:-1]] % 3
    axis = np.searchsorted([3, 9], np.abs(schedule.destination - schedule.source), side="right")
    assert (axis == (part + schedule.step) % 3).all()


def time(dims: tuple[int, ...], rotated: bool) -> float:
    schedule = all_to_all(torus(*dims), rotated=rotated).scaled(SIZE)
    result = simulate(
        topologies.torus(list(dims), LINK), schedule, overheads=Overheads(ALPHA, 0.0, latency=False), routing=Rule(ties="split")
    )
    return result.time


@pytest.mark.parametrize("dims", [(4, 4), (8, 8), (4, 4, 4), (4, 8)], ids=str)
def test_time_of_one_dimension_at_a_time(dims: tuple[int, ...]) -> None:
    """Σ (α + S k / 8c) on even rings: all ranks send S/k to the k - 1 others, with ties half each way."""
    assert time(dims, rotated=False) == pytest.approx(sum(ALPHA + SIZE * k / (8 * LINK) for k in dims), rel=1e-9)


@pytest.mark.parametrize("dims", [(4, 4), (8, 8), (4, 4, 4)], ids=str)
def test_time_of_rotated_parts(dims: tuple[int, ...]) -> None:
    """D α + S k / 8c: the bound of all-to-all on a cube, and a delay for each stage."""
    assert time(dims, rotated=True) == pytest.approx(len(dims) * ALPHA + SIZE * dims[0] / (8 * LINK), rel=1e-9)


def test_longest_dimension_bounds_rotated_parts() -> None:
    """α + 8 S / 8c on 4x8: along y one part is under way until the other, which was along x before, comes to it."""
    assert time((4, 8), rotated=True) == pytest.approx(ALPHA + SIZE * 8 / (8 * LINK), rel=1e-9)


def test_where_it_does_not_apply() -> None:
    for layout in (Layout(16), torus(16), torus(16, 1)):
        with pytest.raises(NotApplicable, match="dimensionwise needs a torus of two dimensions"):
            all_to_all(layout)
