"""Every flow of the shared cases against their recorded answers."""

from pathlib import Path

import numpy as np
import pytest

from fabric.engine import Flows, solve
from fabric.flow_cases import read_case

CASES = Path(__file__).parents[3] / "shared" / "data" / "cases"
NAMES = sorted(path.parent.name for path in CASES.glob("*/case.npz"))
LARGE = 5000  # flows; beyond it only the compiled kernel is quick

pytestmark = pytest.mark.skipif(not NAMES, reason=f"no flow cases in {CASES}")


def answer(name: str) -> np.ndarray:
    exact = CASES / name / "out_reference.npz"
    return np.load(exact if exact.exists() else CASES / name / "out_simgrid.npz")["finish"]


@pytest.mark.parametrize("name", NAMES)
def test_each_finish(name):
    flows = read_case(CASES / name / "case.npz")
    outcome = solve(flows, kernel="numba" if len(flows.bytes) > LARGE else "auto")
    np.testing.assert_allclose(outcome.finish, answer(name), rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("w0", "w1", "w2"))])
def test_without_symmetry_and_certified(name):
    outcome = solve(read_case(CASES / name / "case.npz"), symmetry="off", kernel="python", verify=True)
    np.testing.assert_allclose(outcome.finish, answer(name), rtol=1e-9)


def test_an_extended_case(tmp_path):
    # 10 bytes over a capacity of 4 used twice over, own cap 1.5 until nothing is left at 2 s and all again at 5 s:
    # 1.5 x 2 = 3 bytes by 2 s, then 7 at 1.5 from 5 s
    np.savez(
        tmp_path / "case.npz",
        link_src=[0],
        link_dst=[1],
        link_bw=[4.0],
        link_lat=[0.0],
        flow_src=[0],
        flow_dst=[1],
        flow_bytes=[10],
        flow_start=[0.0],
        route_ptr=[0, 1],
        route_links=[0],
        dep_ptr=[0, 0],
        dep_ids=np.zeros(0, np.int32),
        route_coef=[2.0],
        flow_cap=[1.5],
        event_time=[2.0, 5.0],
        event_link=[0, 0],
        event_bw=[0.0, 4.0],
    )
    flows: Flows = read_case(tmp_path / "case.npz")
    assert solve(flows).finish[0] == pytest.approx(5 + 7 / 1.5, rel=1e-12)
