"""What the function gives back, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import topologies
from fabric.bind import Overheads
from fabric.bounds import Limit, bounds_at, find_limits, lower_bounds
from fabric.errors import InputError
from fabric.network import Network

from .fabrics import largest

TRN2 = Network(topologies.trn2())
ALL = [np.arange(16)]


def test_limits_serve_every_size() -> None:
    overheads = Overheads(alpha_link=1e-6)
    limits = find_limits(TRN2, "all_gather", ALL, overheads=overheads)
    for size in (0.0, 1024.0, 2.0**30):
        assert bounds_at(limits, size) == lower_bounds(TRN2, "all_gather", ALL, size, overheads=overheads)


def test_latency_binds_small_sizes_and_bandwidth_large_ones() -> None:
    overheads = Overheads(alpha_link=1.3e-6)
    # Diameter 4 with 0.3 us a link: 2.5 us; 30/16 of S over 512 GB/s.
    small = largest(TRN2, "all_reduce", 1024.0, overheads=overheads)
    assert (small.name, small.time) == ("latency", pytest.approx(1.3e-6 + 4 * 0.3e-6, rel=1e-12))
    large = largest(TRN2, "all_reduce", 2.0**30, overheads=overheads)
    assert (large.name, large.time) == ("injection", pytest.approx(30 / 16 * 2**30 / 512e9, rel=1e-12))


def test_equal_bounds_have_equal_times_so_that_the_simplest_binds() -> None:
    assert largest(TRN2, "all_gather", 2.0**30).name == "injection"
    by_rounding = [Limit("injection", 0.1 + 0.2, 1.0, ""), Limit("cut far", np.nextafter(0.1 + 0.2, 1), 1.0, "")]
    assert by_rounding[1].time(1.0) > by_rounding[0].time(1.0)
    assert [bound.time for bound in bounds_at(by_rounding, 1.0)] == [0.1 + 0.2] * 2


def test_a_single_rank_has_nothing_to_do() -> None:
    found = lower_bounds(TRN2, "all_reduce", [np.array([3])], 1024.0)
    assert [(bound.name, bound.time) for bound in found] == [("injection", 0.0)]


def test_unknown_collective() -> None:
    with pytest.raises(InputError, match="did you mean all_gather"):
        lower_bounds(TRN2, "all_gathr", ALL, 1.0)


@pytest.mark.parametrize(
    ("collective", "matrix", "message"),
    [
        ("all_to_all_v", None, "needs a matrix"),
        ("all_gather", np.ones((16, 16)), "has no matrix"),
        ("all_to_all_v", np.ones((16, 15)), r"shape \(16, 16\), not \(16, 15\)"),
        ("all_to_all_v", [np.ones((16, 16))] * 2, "1 groups need a matrix each, not 2"),
        ("all_to_all_v", np.full((16, 16), -1.0), "at least 0"),
        ("all_to_all_v", np.full((16, 16), np.nan), "finite"),
    ],
)
def test_a_matrix_that_does_not_fit(collective: str, matrix: np.ndarray | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lower_bounds(TRN2, collective, ALL, 1.0, matrix=matrix)


def test_the_matrix_stays_as_it_was() -> None:
    matrix = np.full((16, 16), 2.0)
    lower_bounds(TRN2, "all_to_all_v", ALL, 1.0, matrix=matrix)
    assert (matrix == 2).all()


def test_a_folded_fabric_is_refused() -> None:
    graph = topologies.ring(4, 1.0)
    graph.edges[0, 1]["multiplicity"] = 2
    with pytest.raises(InputError, match="unfolded"):
        lower_bounds(Network(graph), "all_gather", [np.arange(4)], 1.0)
