"""What a run needs of memory, and what there is."""

from pathlib import Path

import pytest

from fabric.engine import Flows, memory, solve
from fabric.errors import RunError

GIB = 2**30


def test_a_run_that_cannot_fit_is_refused_with_the_numbers(monkeypatch):
    flows = Flows.build([1.0], [1.0] * 1000, [[0]] * 1000)
    monkeypatch.setattr(memory, "free_memory", lambda: 1000 * (240 + 40) + 240)
    assert solve(flows, symmetry="off").time == 1000.0
    monkeypatch.setattr(memory, "free_memory", lambda: 1000 * (240 + 40))
    with pytest.raises(RunError, match=r"1,000 flows with 1,000 route entries need about 0.0 GiB; 0.0 GiB of memory are free"):
        solve(flows, symmetry="off")


@pytest.mark.parametrize(("limit", "free"), [("8589934592\n", 6 * GIB), ("max\n", float("inf"))])
def test_a_control_group_leaves_its_limit_less_what_it_has(tmp_path: Path, limit, free):
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon {2 * GIB}\ninactive_file {GIB}\n")
    assert memory._of_group(tmp_path, "memory.max", "memory.current", "inactive_file") == free


def test_without_control_groups_there_is_no_limit(tmp_path: Path):
    assert memory._of_group(tmp_path, "memory.max", "memory.current", "inactive_file") == float("inf")


def test_a_limit_of_the_process_is_seen():
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        pytest.skip("the process has a limit already")
    resource.setrlimit(resource.RLIMIT_AS, (1024 * GIB, hard))
    try:
        assert 900 * GIB < memory._of_process() < 1024 * GIB
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_what_is_free_is_the_least_of_all(monkeypatch):
    for name, value in {"_of_machine": 5.0, "_of_group": 7.0, "_of_process": 6.0}.items():
        monkeypatch.setattr(memory, name, lambda *_, value=value: value)
    assert memory.free_memory() == 5.0
    monkeypatch.setattr(memory, "_of_process", lambda: -1.0)
    assert memory.free_memory() == 0.0
