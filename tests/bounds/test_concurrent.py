"""Maximum concurrent flow against closed forms."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import fabric.bounds.concurrent as concurrent
import topologies
from fabric import InputError, Network
from fabric.bounds.concurrent import flow_limit
from fabric.bounds.needs import Needs

from .fabrics import GB, both_ways, fabric, two_dgx2, two_tiers


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def least_time(network: Network, size: float = 1.0, matrix: np.ndarray | None = None) -> float:
    collective = "all_to_all" if matrix is None else "all_to_all_v"
    needs = Needs.of(collective, [np.arange(network.ranks)], matrix)
    return flow_limit(network, needs, lambda text: None).time(size)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        # max over the dimensions of k / 8c, or (k² - 1) / 8kc for odd k.
        (topologies.ring(5, 1.0), 24 / 40),
        (topologies.ring(8, 1.0), 1.0),
        (topologies.torus((3, 3), 1.0), 8 / 24),
        (topologies.torus((4, 4), 1.0), 1 / 2),
        (topologies.torus((4, 8), 1.0), 1.0),
        (topologies.torus((4, 4, 4), 1.0), 1 / 2),
        # 8 ranks either side of the middle, 8 x 8 / 16 over four links.
        (topologies.mesh((4, 4), 1.0), 1.0),
        (topologies.trn2(), 1 / 256e9),
        (topologies.trn2_ultraserver(), 1 / 128e9),
        # 72 x 72 / 144 over 72 cables of 128 GB/s.
        (topologies.trn3_gen2(), 36 / (72 * 128e9)),
        (topologies.torus((4, 4, 4), (2.0, 2.0, 1.0)), 1 / 2),
        (topologies.torus((3, 5), (1.0, 3.0)), 8 / 24),  # the ring of three: (9 - 1) / (8 x 3); that of five 24 / (8 x 5 x 3)
        (topologies.trn3_gen1(), 16 / (32 * 128e9)),
        (topologies.trn3_gen2("lanes160"), 36 / (72 * 128e9)),
        (topologies.trn3_gen2("flat"), 143 / 144 / 1024e9),
        (topologies.trn3_gen2(racks=1), 4 * 68 / 72 / (4 * 320e9)),
        # 31 of the 32 cables between the racks are left.
        (topologies.degrade(topologies.trn3_gen1(), down=[(0, 32)]), 16 / (31 * 128e9)),
        (topologies.switch(8, 300.0), 7 / 8 / 300),
    ],
)
def test_closed_forms(graph: nx.DiGraph[int], expected: float) -> None:
    assert least_time(Network(graph)) == pytest.approx(expected, rel=1e-9)


def test_two_tiers() -> None:
    # 8 x 8 / 16 of 1 GB over eight NICs of 25 GB/s.
    assert least_time(two_tiers(2, 8, 300, 25), 1.0) == pytest.approx(4 / 200, rel=1e-9)
    # 16 x 16 / 32 over eight cables of 12.5 GB/s.
    assert least_time(two_dgx2(), GB) == pytest.approx(0.08, rel=1e-9)


def test_a_ring_that_lost_a_link_has_to_go_round() -> None:
    """0 -> 1 is gone, so from 0 all goes to 2 first: 1/3 for itself and 1/3 for 1."""
    cables = both_ways({(0, 1): 1.0, (1, 2): 1.0, (0, 2): 1.0})
    del cables[0, 1]
    # Into 1 leads only 2 -> 1: two blocks of a third.
    assert least_time(fabric(3, cables)) == pytest.approx(2 / 3, rel=1e-9)


def test_no_way_at_all_takes_for_ever() -> None:
    assert least_time(fabric(2, {(0, 1): 1.0})) == float("inf")


def test_a_matrix_has_no_symmetry() -> None:
    """On a ring of four, 1 byte from 0 to 2 alone: half of it each way round."""
    matrix = np.zeros((4, 4))
    matrix[0, 2] = 1.0
    assert least_time(Network(topologies.ring(4, 1.0)), 1.0, matrix) == pytest.approx(0.5, rel=1e-9)


def test_symmetric_and_plain_program_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network = Network(topologies.torus((4, 3), 1.0))
    with_symmetry = least_time(network)
    monkeypatch.setattr(concurrent, "symmetries", lambda wires, dims: np.arange(wires.nodes)[np.newaxis])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert least_time(network) == pytest.approx(with_symmetry, rel=1e-9)


def test_it_is_kept_and_what_is_kept_is_not_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network = Network(topologies.torus((4, 4), 1.0))
    assert least_time(network) == pytest.approx(0.5)
    (kept,) = (tmp_path / "fabricsim" / "lp").iterdir()

    def not_again(*arguments: object) -> None:
        raise AssertionError("solved again")

    with monkeypatch.context() as patch:
        patch.setattr(concurrent, "_solve", not_again)
        assert least_time(network) == pytest.approx(0.5)
    # Other lengths give a smaller bound, never a wrong one; no lengths at all are solved for again.
    length = np.ones(network.links)
    length[0] = 3.0
    np.savez(kept, length=length)
    assert 0 < least_time(network) < 0.5
    kept.write_bytes(b"nothing")
    assert least_time(network) == pytest.approx(0.5)


def test_what_it_does_not_serve() -> None:
    with pytest.raises(InputError, match="not of all_gather"):
        flow_limit(Network(topologies.ring(4, 1.0)), Needs.of("all_gather", [np.arange(4)], None), print)
    with pytest.raises(InputError, match="at most 144 ranks, not 145"):
        least_time(Network(topologies.ring(145, 1.0)))
