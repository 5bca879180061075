"""Bytes on the busiest link, summed over lock-step steps, against the known numbers for tori; all exact."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

import topologies
from fabric import simulate
from fabric.collectives import bucket, doubling, mesh, rdh, ring, swing
from fabric.schedule import Schedule

from .checker import step_loads, torus, with_barriers

# torus: bucket on one port, on all ports, swing on one, on all, recursive halving near first on one, on all (with as many
# parts as dimensions), direct; in units of the size.
REDUCE_SCATTER = {
    (8,): ("7/8", "7/16", "1", "9/16", "5/4", "5/4", "1"),
    (16,): ("15/16", "15/32", "19/16", "23/32", "7/4", "7/4", "2"),
    (64,): ("63/64", "63/128", "99/64", "135/128", "11/4", "11/4", "8"),
    (4, 4): ("15/16", "15/64", "15/16", "15/64", "15/16", "15/32", "1/2"),
    (8, 8): ("63/64", "63/256", "33/32", "69/256", "39/32", "39/64", "1"),
    (16, 16): ("255/256", "255/1024", "273/256", "291/1024", "87/64", "87/128", "2"),
    (32, 32): (None, None, "555/512", "1197/4096", "183/128", "183/256", None),
    (4, 4, 4): ("63/64", "21/128", "63/64", "21/128", "63/64", "21/64", "1/2"),
    (8, 8, 8): ("511/512", "511/3072", "259/256", "175/1024", "287/256", "287/768", None),
    (4, 8): ("31/32", None, "1", "9/32", "17/16", "5/8", "1"),
}
COLUMNS: list[Callable[..., Schedule]] = [
    lambda layout: bucket.reduce_scatter(layout, ports="one"),
    bucket.reduce_scatter,
    lambda layout: swing.reduce_scatter(layout, ports="one"),
    swing.reduce_scatter,
    lambda layout: rdh.reduce_scatter(layout, order="plain"),
    lambda layout: rdh.reduce_scatter(layout, order="plain", start="all"),
    mesh.reduce_scatter,
]
NAMES = ["bucket, one port", "bucket", "swing, one port", "swing", "rdh, one port", "rdh", "direct"]
# torus: all-reduce of the whole vector in each step by swing on one port, on all, by recursive doubling on one, on all.
WHOLE_ALL_REDUCE = {
    (8,): ("4", "5/2", "5", "5"),
    (16,): ("7", "5", "11", "11"),
    (64,): ("24", "21", "47", "47"),
    (4, 4): ("4", "1", "4", "2"),
    (8, 8): ("8", "5/2", "10", "5"),
    (16, 16): ("14", "5", "22", "11"),
    (32, 32): ("26", "21/2", "46", "23"),
    (4, 4, 4): ("6", "1", "6", "2"),
    (8, 8, 8): ("12", "5/2", "15", "5"),
    (4, 8): ("6", "5/2", "7", "5"),
}
WHOLE_COLUMNS: list[Callable[..., Schedule]] = [
    lambda layout: swing.whole_all_reduce(layout, ports="one"),
    swing.whole_all_reduce,
    lambda layout: doubling.all_reduce(layout, ports="one"),
    doubling.all_reduce,
]


def total_load(schedule: Schedule, dims: tuple[int, ...]) -> Fraction:
    return sum((max(load.values()) for load in step_loads(schedule, dims)), Fraction())


@pytest.mark.parametrize(
    ("dims", "column", "load"),
    [
        pytest.param(dims, column, load, id=f"{NAMES[column]}-{dims}")
        for dims, row in REDUCE_SCATTER.items()
        for column, load in enumerate(row)
        if load is not None  # too large, or not in lock step
    ],
)
def test_reduce_scatter(dims: tuple[int, ...], column: int, load: str) -> None:
    assert total_load(COLUMNS[column](torus(*dims)), dims) == Fraction(load)


@pytest.mark.parametrize("dims", WHOLE_ALL_REDUCE, ids=str)
@pytest.mark.parametrize("column", range(4), ids=["swing, one port", "swing", "doubling, one port", "doubling"])
def test_all_reduce_of_the_whole_vector(dims: tuple[int, ...], column: int) -> None:
    assert total_load(WHOLE_COLUMNS[column](torus(*dims)), dims) == Fraction(WHOLE_ALL_REDUCE[dims][column])


@pytest.mark.parametrize("dims", [(8,), (4, 4), (8, 8), (4, 8), (4, 4, 4)], ids=str)
def test_by_simulation_with_a_barrier_after_each_step(dims: tuple[int, ...]) -> None:
    """One byte over links of 1 byte/s: the seconds are those rationals."""
    graph, layout = topologies.torus(list(dims), 1.0), torus(*dims)
    columns, loads = [*COLUMNS, *WHOLE_COLUMNS], [*REDUCE_SCATTER[dims], *WHOLE_ALL_REDUCE[dims]]
    for column, load in zip(columns, loads):
        if load is not None:
            time = simulate(graph, with_barriers(column(layout))).time
            assert time == pytest.approx(float(Fraction(load)), rel=1e-9)


@pytest.mark.parametrize("family", [bucket, rdh, ring, mesh, swing], ids=lambda family: family.__name__.rpartition(".")[2])
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
    assert total_load(rdh.reduce_scatter(torus(*dims), order="gray", start="one"), dims) == Fraction(n - 1, n)
