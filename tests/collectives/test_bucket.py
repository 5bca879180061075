"""Bucket: parts, orders and weights; closed forms on equal dimensions, optimal stage times on unequal ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from fabric import simulate
from fabric.bind import Overheads
from fabric.collectives import bucket
from fabric.collectives.bucket import dimension_orders
from fabric.errors import InputError
from fabric.layout import Layout, NotApplicable
from fabric.schedule import Schedule

from .checker import check, coordinates, hops, torus

PHASES = {"all_reduce": bucket.all_reduce, "all_gather": bucket.all_gather, "reduce_scatter": bucket.reduce_scatter}
THIN = torus(4, 4, 4, bandwidth=(128e9, 128e9, 64e9))
LAYOUTS = [
    torus(5),
    torus(4, 4),
    torus(2, 4),
    torus(3, 5),
    torus(1, 4, 3),
    torus(2, 3, 4),
    torus(4, 4, bandwidth=(2.0, 1.0)),
    THIN,
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.dims} {layout.bandwidth}")
@pytest.mark.parametrize("collective", PHASES)
@pytest.mark.parametrize("ports", ["all", "one"])
def test_does_what_it_should(collective: str, layout: Layout, ports: bucket.Ports) -> None:
    schedule = PHASES[collective](layout, ports=ports)
    check(schedule)
    phases = 2 if collective == "all_reduce" else 1
    n = layout.ranks
    assert schedule.sent() == pytest.approx([phases * (n - 1) / n] * n)
    assert all(hops(a, b, layout.dims) == 1 for a, b in zip(schedule.source.tolist(), schedule.destination.tolist()))
    if ports == "one" or len(set(layout.dims)) == 1:
        assert schedule.steps == phases * sum(k - 1 for k in layout.dims)


@pytest.mark.parametrize("dims", [(6,), (4, 4), (4, 4, 4)], ids=str)
def test_equal_dimensions_have_equal_parts(dims: tuple[int, ...]) -> None:
    schedule = bucket.all_reduce(torus(*dims))
    assert schedule.parts == pytest.approx([1 / (2 * len(dims))] * (2 * len(dims)), rel=1e-15)


@pytest.mark.parametrize("dims", [(6,), (4, 4), (5, 5), (3, 3, 3)], ids=str)
@pytest.mark.parametrize("collective", PHASES)
def test_time_on_equal_dimensions(collective: str, dims: tuple[int, ...]) -> None:
    """D (k - 1) α + S (n - 1) / (2 D n c), twice in an all-reduce."""
    alpha, link, size, n = 1e-6, 1e11, 2.0**24, int(np.prod(dims))
    schedule = PHASES[collective](torus(*dims)).scaled(size)
    result = simulate(topologies.torus(list(dims), link), schedule, overheads=Overheads(alpha, 0.0, latency=False))
    once = sum(k - 1 for k in dims) * alpha + size * (n - 1) / (2 * len(dims) * n * link)
    assert result.time == pytest.approx(once * (2 if collective == "all_reduce" else 1), rel=1e-9)


def test_one_port_takes_the_fastest_dimension_first() -> None:
    layout = torus(4, 4, bandwidth=(1.0, 2.0))
    schedule = bucket.reduce_scatter(layout, ports="one")
    first = schedule.step < 3
    moved = np.array([coordinates(b - a, (4, 4)) for a, b in zip(schedule.source.tolist(), schedule.destination.tolist())])
    assert (moved[first][:, 0] == 0).all()
    assert schedule.bytes[first] == pytest.approx([1 / 4] * 48)
    assert schedule.bytes[~first] == pytest.approx([1 / 16] * 48)


def stage_times(schedule: Schedule, layout: Layout) -> float:
    """Sum over the stages of the time of the busiest link, all transfers being over one link."""
    steps = max(layout.dims) - 1  # of each stage
    links: dict[tuple[int, int, int], float] = {}
    for a, b, step, size in zip(
        schedule.source.tolist(), schedule.destination.tolist(), schedule.step.tolist(), schedule.bytes
    ):
        there = zip(coordinates(a, layout.dims), coordinates(b, layout.dims))
        dim = next(i for i, (x, y) in enumerate(there) if x != y)
        link = (step // steps, a, b)
        links[link] = links.get(link, 0.0) + size / layout.bandwidth[dim]
    return sum(max(time for (stage, *_), time in links.items() if stage == at) for at in range(schedule.steps // steps))


def test_thin_dimension() -> None:
    """In a part's first, second and third stage 48, 12 and 3 of 63 units move. Each order visits each dimension once, so the
    three stages cannot all be in the proportion 2:2:1 of the bandwidths: the last, the smallest, has to be 1:1:3. That makes
    (48 + 12) x 1 + 3 x 3 for 63, 23/21 of the bound."""
    bound = 63 / 64 / 640e9
    for build in (bucket.reduce_scatter, bucket.all_gather):
        assert stage_times(build(THIN), THIN) == pytest.approx(23 / 21 * bound, rel=1e-9)


def test_unequal_rings() -> None:
    """4x8: 7/13 first along x balance the first stage, 7/13 x 3/4 = 6/13 x 7/8; no other share does better in total."""

    def stages(share: float) -> float:  # in two directions
        return (max(share * 3 / 4, (1 - share) * 7 / 8) + max(share * 7 / 32, (1 - share) * 3 / 32)) / 2

    assert stages(7 / 13) == pytest.approx(14 / 13 * 31 / 128)
    assert all(stages(share) >= stages(7 / 13) for share in np.linspace(0, 1, 101))
    assert dimension_orders((4, 8), (1.0, 1.0)) == pytest.approx({(0, 1): 7 / 13, (1, 0): 6 / 13})
    layout = torus(4, 8)
    assert stage_times(bucket.all_gather(layout), layout) == pytest.approx(stages(7 / 13))


def test_a_ring_of_two_has_one_link_each_way() -> None:
    """2x4: with 3/7 first along x, 3/7 x 1/2 = 4/7 x 3/4 / 2 in the first stage, and y is ahead in the second."""
    assert dimension_orders((2, 4), (1.0, 1.0)) == pytest.approx({(0, 1): 3 / 7, (1, 0): 4 / 7})
    layout = torus(2, 4)
    assert stage_times(bucket.reduce_scatter(layout), layout) == pytest.approx(3 / 7 / 2 + 3 / 7 / 2 * 3 / 4 / 2)


def seconds(shares: dict[tuple[int, ...], float], dims: tuple[int, ...], bandwidth: tuple[float, ...]) -> float:
    """Sum over the stages of the time of the busiest dimension, per byte."""
    loads = np.zeros((len(dims), len(dims)))
    for order, share in shares.items():
        for stage, dim in enumerate(order):
            links = bandwidth[dim] * (2 if dims[dim] > 2 else 1)
            loads[stage, dim] += share * (dims[dim] - 1) / np.prod([dims[i] for i in order[: stage + 1]]) / links
    return float(loads.max(axis=1).sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 8), st.floats(1e8, 1e12)), min_size=1, max_size=3))
def test_shares_of_any_torus(dimensions: list[tuple[int, float]]) -> None:
    dims, bandwidth = zip(*dimensions)
    shares = dimension_orders(dims, bandwidth)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share > 0 and sorted(order) == list(range(len(dims))) for order, share in shares.items())
    scaled = dimension_orders(dims, tuple(1e-9 * b for b in bandwidth))  # the unit does not matter, but of equals any may win
    assert 1e-9 * seconds(scaled, dims, bandwidth) == pytest.approx(1e-9 * seconds(shares, dims, bandwidth), rel=1e-6)


def test_a_dimension_without_links_is_no_reason_to_fail() -> None:
    assert dimension_orders((4, 4), (1.0, 0.0)) == {(0, 1): 0.5, (1, 0): 0.5}


def test_a_port_works_on_one_step_after_another() -> None:
    schedule = bucket.all_reduce(THIN)
    assert set(schedule.channel.tolist()) == set(range(6))
    for port in range(6):
        at = schedule.channel == port
        moved = schedule.destination[at] - schedule.source[at]
        assert (np.abs(moved) // 4 ** (port // 2) % 4 != 0).all()  # along its dimension


def test_where_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="bucket needs a torus"):
        bucket.all_reduce(Layout(16))
    with pytest.raises(InputError, match=r"unknown ports of bucket 'al' \(did you mean all"):
        bucket.all_reduce(torus(4), ports="al")  # type: ignore[arg-type]
