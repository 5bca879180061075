"""The cases and peers of the benchmarks are what they say."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cases import ring_all_reduce, unequal_exchange
from benchmarks.peers import plain_resolve, simgrid, time_peer, write_flat
from fabric.engine import solve
from fabric.flow_cases import read_case


def flows_of(case, folder):
    np.savez(folder / "case.npz", **case)
    return read_case(folder / "case.npz")


def test_the_ring_takes_its_steps_one_after_the_other(tmp_path):
    # 2 (n - 1) steps of 1 us and 2^30 / n bytes at 100 GB/s
    flows = flows_of(ring_all_reduce(8), tmp_path)
    assert len(flows.bytes) == 14 * 8
    assert solve(flows).time == pytest.approx(14 * (1e-6 + 2**27 / 100e9), rel=1e-12)


def test_the_exchange_has_a_flow_for_each_pair_and_cannot_beat_its_busiest_port(tmp_path):
    flows = flows_of(unequal_exchange(6), tmp_path)
    assert len({tuple(route) for route in flows.routes}) == len(flows.bytes) == 30
    sent = np.bincount(flows.route_ids, np.repeat(flows.bytes, 2))
    assert solve(flows).time >= sent.max() / 1e12 + 2 * 300e-9


def test_the_flat_file_holds_all_columns(tmp_path):
    case = unequal_exchange(3)
    write_flat(case, tmp_path / "case.bin")
    # head 6 x 8, links 6 x (4 + 4 + 8 + 8), flows 6 x (4 + 4 + 8 + 8), pointers 7 x 8 twice, route entries 12 x 4
    assert (tmp_path / "case.bin").stat().st_size == 48 + 144 + 144 + 112 + 48


def test_a_peer_that_is_absent_is_told(tmp_path):
    message = plain_resolve(tmp_path, tmp_path)
    assert isinstance(message, str)
    assert "not run" in message


def test_simgrid_agrees_where_it_is_installed(tmp_path):
    if not shutil.which("pkg-config") or subprocess.run(["pkg-config", "--exists", "simgrid"], check=False).returncode != 0:
        pytest.skip("SimGrid is not installed")
    peer = simgrid(Path(tmp_path))
    assert not isinstance(peer, str), peer
    case = ring_all_reduce(4)
    measured, finish = time_peer(peer, case, 1, 1.0)
    assert measured.runs == 1
    np.testing.assert_allclose(finish, solve(flows_of(case, tmp_path)).finish, rtol=1e-12)
