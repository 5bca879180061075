"""What every link carried, in all and over time, as a run writes it for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import topologies
from fabric import Network, Overheads, simulate
from fabric.collectives import build
from fabric.layout import Layout

from .conftest import Command

SMALL = """
name: small
cases:
  - {name: ring, topology: {builder: trn2}, collective: all_reduce, algorithm: ring, sizes: [1 MiB, 64 MiB]}
  - name: folded
    topology: {builder: efa_cluster, machine: trn2, count: 2048}
    collective: all_reduce
    algorithm: hierarchical
    sizes: 1 GiB
  - name: moe
    topology: {builder: full_mesh, n: 4, bandwidth: 1 GB/s}
    overheads: none
    collective: moe
    moe: {tokens: 64, hidden: 128, top_k: 2, experts: 8, dispatch_bytes: 1, combine_bytes: 2}
"""


def test_loads_are_constant_between_changes() -> None:
    """All-gather by mesh of 4 kB on 4 ranks: nothing for 2 us of overhead, then 1000 bytes at 1 GB/s on every link."""
    schedule = build("all_gather", "mesh", Layout(4)).scaled(4000)
    result = simulate(Network(topologies.full_mesh(4, 1e9)), schedule, overheads=Overheads(alpha_link=2e-6))
    assert result.history is not None
    np.testing.assert_allclose(result.history.times, [0, 2e-6, 3e-6], rtol=1e-12)
    np.testing.assert_allclose(result.history.loads, [[0.0] * 12, [1e9] * 12], rtol=1e-12)


def test_every_row_has_its_links(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    assert command("run", "small.yaml", "-o", "out", "-q").code == 0
    rows = json.loads(Path("out/results.json").read_text())["results"]
    links = np.load("out/links.npz")
    assert [row["phase"] for row in rows] == ["", "", "", "dispatch", "combine", "total"]
    for index, row in enumerate(rows):
        found = {name: links[f"{index}.{name}"] for name in ("link", "tier", "link_bw", "link_bytes", "link_busy", "link_full")}
        assert {len(values) for values in found.values()} == {len(found["link"])}
        best = row["bottleneck"][0]
        place = found["link"].tolist().index(best["link"])
        assert found["tier"][place] == best["tier"]
        assert found["link_bytes"][place] == best["bytes"]
        assert found["link_full"][place] / row["time_s"] == pytest.approx(best["full"])
        assert (found["link_busy"] <= row["time_s"] * (1 + 1e-12)).all()
        assert (f"{index}.link_load" in links) == (row["phase"] != "total")  # two runs one after the other
    for index, row in enumerate(rows[:-1]):
        time, load = links[f"{index}.slice_time"], links[f"{index}.link_load"]
        assert (time[0], time[-1]) == (0.0, pytest.approx(row["time_s"], rel=1e-12))
        np.testing.assert_allclose(np.diff(time) @ load, links[f"{index}.link_bytes"], rtol=1e-12)
        assert (load <= links[f"{index}.link_bw"] * (1 + 1e-6)).all()


def test_long_runs_say_where_they_stand(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fabric.engine.engine.CHUNK", 0.0)  # every step is long
    Path("small.yaml").write_text(SMALL)
    lines = command("run", "small.yaml", "-v").err.splitlines()
    assert any(line.startswith("ring: ") and " flows finished by " in line for line in lines)
