"""Run other programs on a flow case: build them, hand them the case, read their time and memory."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Columns of the flat file, after a head of six integers: a mark, nodes, links, flows, route entries, waits
COLUMNS = (
    ("link_src", "<i4"), ("link_dst", "<i4"), ("link_bw", "<f8"), ("link_lat", "<f8"), ("flow_src", "<i4"),
    ("flow_dst", "<i4"), ("flow_bytes", "<f8"), ("flow_start", "<f8"), ("route_ptr", "<i8"), ("route_links", "<i4"),
    ("dep_ptr", "<i8"), ("dep_ids", "<i4"),
)  # fmt: skip
MARK = 0x464C4F57

# Pure max-min sharing: no bias by latency, no extra traffic, no loss factors, full precision
FLUID = (
    "network/model:CM02",
    "network/TCP-gamma:0",
    "network/crosstraffic:0",
    "network/weight-S:0",
    "network/bandwidth-factor:1",
    "network/latency-factor:1",
    "contexts/stack-size:64",
    "contexts/guard-size:0",
)
PRECISION = {
    3: ("surf/precision:1e-15", "maxmin/precision:1e-12"),
    4: ("precision/timing:1e-15", "precision/work-amount:1e-12"),
}


class Measured(NamedTuple):
    """Median s of solving, highest resident MiB, how many runs."""

    seconds: float
    memory: float
    runs: int


class Peer(NamedTuple):
    """A program that takes a flat case and an output file."""

    name: str
    command: tuple[str, ...]
    options: tuple[str, ...] = ()


def plain_resolve(tools: Path, folder: Path) -> Peer | str:
    """Exact progressive filling afresh at every event, in C++; or why it cannot be run."""
    return _built("plain C++ re-solve", [tools / "fastref.cpp", "-O3", "-march=native"], folder / "fastref")


def simgrid(folder: Path) -> Peer | str:
    """SimGrid through S4U, set to pure fluid sharing; or why it cannot be run."""
    source = Path(__file__).with_name("simgrid_driver.cpp")
    peer = _built("SimGrid", [source, "-O2", "-std=c++17", "-lsimgrid"], folder / "simgrid_driver")
    if isinstance(peer, str):
        return f"{peer}; Debian: apt-get install libsimgrid-dev"
    asked = subprocess.run([*peer.command, "--version"], capture_output=True, text=True, check=False).stdout
    version = next((word.strip("v,") for word in asked.split() if word.strip("v,")[:1].isdigit()), "3")
    options = [f"--cfg={option}" for option in (*FLUID, *PRECISION[3 if version.startswith("3") else 4])]
    return Peer(f"SimGrid {version}", peer.command, (*options, "--log=root.thres:critical"))


def write_flat(case: dict[str, Any], path: Path) -> None:
    """Write a case as the flat file that both programs read."""
    nodes = 1 + int(max(case["link_src"].max(), case["link_dst"].max()))
    sizes = (len(case["link_src"]), len(case["flow_src"]), len(case["route_links"]), len(case["dep_ids"]))
    with open(path, "wb") as file:
        file.write(struct.pack("<6q", MARK, nodes, *sizes))
        for name, kind in COLUMNS:
            file.write(np.ascontiguousarray(case[name]).astype(kind).tobytes())


def time_peer(peer: Peer, case: dict[str, Any], runs: int, enough: float) -> tuple[Measured, Any]:
    """Median of `runs` runs, fewer once `enough` seconds are spent; and the finish of every flow, s."""
    with tempfile.TemporaryDirectory() as folder:
        flat, answer = Path(folder) / "case.bin", Path(folder) / "out.bin"
        write_flat(case, flat)
        done: list[tuple[float, float]] = []
        while len(done) < runs and sum(seconds for seconds, _ in done) < enough:
            facts, memory = run_measured([*peer.command, str(flat), str(answer), *peer.options])
            done.append((facts["sim_s"], memory))
        finish = np.fromfile(answer)
    return Measured(float(np.median([s for s, _ in done])), max(m for _, m in done), len(done)), finish


def run_measured(command: Sequence[str]) -> tuple[Any, float]:
    """The JSON that a program prints, and the highest resident memory of its process, MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as pipe:
        printed = pipe.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return json.loads(printed), usage.ru_maxrss / 1024


def _built(name: str, arguments: Sequence[str | Path], program: Path) -> Peer | str:
    """Compile; the source comes before the libraries."""
    compiler = shutil.which("g++")
    if compiler is None:
        return f"{name}: not run, g++ is not installed"
    if not Path(arguments[0]).is_file():
        return f"{name}: not run, {arguments[0]} is absent"
    made = subprocess.run([compiler, *map(str, arguments), "-o", str(program)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        reason = next((line for line in made.stderr.splitlines() if "error" in line), "it does not compile")
        return f"{name}: not run, {reason.strip()}"
    return Peer(name, (str(program),))
