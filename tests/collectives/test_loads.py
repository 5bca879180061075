"""Bytes on the busiest link, summed over lock-step steps, against the known numbers for tori; all exact."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from fabric.collectives import bucket, mesh, rdh, ring
from fabric.schedule import Schedule

from .checker import step_loads, torus

# torus: bucket on one port, bucket on all ports, recursive halving near first, direct; in units of the size.
REDUCE_SCATTER = {
    (8,): ("7/8", "7/16", "5/4", "1"),
    (16,): ("15/16", "15/32", "7/4", "2"),
    (4, 4): ("15/16", "15/64", "15/16", "1/2"),
    (8, 8): ("63/64", "63/256", "39/32", "1"),
    (4, 4, 4): ("63/64", "21/128", "63/64", "1/2"),
}
COLUMNS: list[Callable[..., Schedule]] = [
    lambda layout: bucket.reduce_scatter(layout, ports="one"),
    bucket.reduce_scatter,
    lambda layout: rdh.reduce_scatter(layout, order="plain"),
    mesh.reduce_scatter,
]


def total_load(schedule: Schedule, dims: tuple[int, ...]) -> Fraction:
    return sum((max(load.values()) for load in step_loads(schedule, dims)), Fraction())


@pytest.mark.parametrize("dims", REDUCE_SCATTER, ids=str)
@pytest.mark.parametrize("column", range(4), ids=["bucket one port", "bucket all ports", "rdh", "direct"])
def test_reduce_scatter(dims: tuple[int, ...], column: int) -> None:
    assert total_load(COLUMNS[column](torus(*dims)), dims) == Fraction(REDUCE_SCATTER[dims][column])


@pytest.mark.parametrize("family", [bucket, rdh, ring, mesh], ids=lambda family: family.__name__.rpartition(".")[2])
@pytest.mark.parametrize("dims", [(8,), (4, 4)], ids=str)
def test_all_gather_loads_as_reduce_scatter_and_all_reduce_twice(family: object, dims: tuple[int, ...]) -> None:
    layout = torus(*dims)
    once = total_load(family.reduce_scatter(layout), dims)  # type: ignore[attr-defined]
    assert total_load(family.all_gather(layout), dims) == once  # type: ignore[attr-defined]
    assert total_load(family.all_reduce(layout), dims) == 2 * once  # type: ignore[attr-defined]


@pytest.mark.parametrize("dims", [(8,), (16,), (4, 4), (8, 8), (4, 4, 4)], ids=str)
def test_ring_and_bucket_on_all_ports_meet_the_bound_of_a_cube(dims: tuple[int, ...]) -> None:
    n = torus(*dims).ranks
    bound = Fraction(n - 1, n) / (2 * len(dims))
    assert total_load(bucket.reduce_scatter(torus(*dims)), dims) == bound
    assert total_load(ring.reduce_scatter(torus(*dims)), dims) == bound


@pytest.mark.parametrize("dims", [(4, 4), (4, 4, 4)], ids=str)
def test_gray_order_loads_as_the_plain_one(dims: tuple[int, ...]) -> None:
    n = torus(*dims).ranks
    assert total_load(rdh.reduce_scatter(torus(*dims), order="gray"), dims) == Fraction(n - 1, n)
