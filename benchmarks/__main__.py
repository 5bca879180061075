"""Time the engine beside other programs: `python -m benchmarks CASES [--large] [-o FILE]`.

CASES is a folder with one folder per flow case (case.npz). Prints tables and writes JSON: seconds of solving only (case in
memory, kernels compiled), medians of five runs (fewer where a run takes long), and the highest resident memory of each
process. Beside the engine run SimGrid, where it is installed, and the plain C++ re-solve of --tools; both are checked
to agree with the engine on every flow. Then cases made here: how time grows with size, and sizes where no peer finishes.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .cases import Case, ring_all_reduce, unequal_exchange
from .peers import Peer, plain_resolve, run_measured, simgrid, time_peer

NEAR = 1e-3  # the tolerance measured beside exact
RUNS, ENOUGH = 5, 40.0
# Case: the times of SimGrid over ours exact and at tolerance, of plain C++ over ours, that are required
REQUIRED = {
    "w6_a2a_switch144_lognormal": (20, 100, 0.8),
    "w6_a2a_switch64_lognormal": (9, 20, 1),
    "w4_moe_torus4x4x4": (8, 15, 1),
    "w6_rrg256_10k": (500, 500, 50),
    "w7_leafspine_poisson20k": (10, 10, 5),
}
PORTS, RANKS = (32, 64, 128), (256, 512, 1024)
HEAD = ("case", "flows", "epochs", "exact s", "1e-3 s", "MiB", "worst 1e-3", "p99 1e-3", "SimGrid s", "MiB", "C++ s", "MiB")
HEAD += ("SimGrid/exact", "SimGrid/1e-3", "C++/exact")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--tools", type=Path, help="where fastref.cpp is; by default ../../tools beside CASES")
    parser.add_argument("--large", action="store_true", help="also the exchange on 1,024 ports, some minutes and 1 GiB")
    parser.add_argument("--only", action="append", help="these cases alone; may be repeated")
    parser.add_argument("-o", "--output", type=Path, help="the JSON file", default=Path("benchmarks.json"))
    given = parser.parse_args()
    tools = given.tools or given.cases.parents[1] / "tools"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = [simgrid(folder), plain_resolve(tools, folder)]
        machine = f"{processor()}, Python {platform.python_version()}"
        print(f"{machine}; {'; '.join(peer if isinstance(peer, str) else peer.name for peer in peers)}\n")
        print(line(HEAD), line(["---"] * len(HEAD)), sep="\n")
        wanted = given.only or REQUIRED
        rows = [compare(name, given.cases / name / "case.npz", peers, folder) for name in wanted]
        found: dict[str, Any] = {"machine": machine, "cases": rows}
        if not given.only:
            found |= {"alone": alone(folder, given.large), "growth": growth(folder)}
    given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def compare(name: str, path: Path, peers: list[Peer | str], folder: Path) -> dict[str, Any]:
    """One case through all programs; prints its row."""
    exact, finish = time_engine(path, 0.0, folder)
    near, close = time_engine(path, NEAR, folder)
    error = np.abs(close / finish - 1)
    row: dict[str, Any] = {"case": name, "exact": exact, "near": near, "near_worst": float(error.max())}
    row["near_p99"] = float(np.quantile(error, 0.99))
    cells = [name, f"{exact['flows']:,}", f"{exact['epochs']:,}", f"{exact['seconds']:.3f}", f"{near['seconds']:.3f}"]
    cells += [f"{exact['memory']:.0f}", f"{row['near_worst']:.1e}", f"{row['near_p99']:.1e}"]
    with np.load(path) as file:
        case: Case = dict(file)
    for key, peer in zip(("simgrid", "plain"), peers, strict=True):
        if isinstance(peer, str):
            cells += ["not run", ""]
            continue
        measured, theirs = time_peer(peer, case, RUNS, ENOUGH)
        row[key] = {**measured._asdict(), "disagreement": float(np.max(np.abs(theirs / finish - 1)))}
        cells += [f"{measured.seconds:.3f}", f"{measured.memory:.0f}"]
    ratios = [("simgrid", exact), ("simgrid", near), ("plain", exact)]
    row["ratios"] = [row[key]["seconds"] / ours["seconds"] if key in row else None for key, ours in ratios]
    for ratio, required in zip(row["ratios"], REQUIRED.get(name, (None,) * 3), strict=True):
        cells.append("" if ratio is None else f"{ratio:.3g} ({required})")
    print(line(cells), flush=True)
    return row


def alone(folder: Path, large: bool) -> list[dict[str, Any]]:
    """Sizes that no peer finishes in reasonable time."""
    print("\n" + line(["made here", "flows", "epochs", "tolerance", "s", "flows/s", "MiB"]))
    print(line(["---"] * 7))
    todo = [
        ("unequal exchange, 256 ports", unequal_exchange(256), 0.0),
        ("unequal exchange, 256 ports", unequal_exchange(256), NEAR),
        (f"ring AllReduce, {RANKS[-1]} ranks", ring_all_reduce(RANKS[-1]), 0.0),
    ]
    rows = [made(*one, folder) for one in todo]
    if large:
        rows.append(made("unequal exchange, 1,024 ports", unequal_exchange(1024), NEAR, folder, runs=1))
    return rows


def made(name: str, case: Case, tolerance: float, folder: Path, runs: int = RUNS) -> dict[str, Any]:
    """Time the engine on a case made here; prints its row."""
    np.savez(folder / "made.npz", **case)
    facts, _ = time_engine(folder / "made.npz", tolerance, folder, runs)
    rate = facts["flows"] / facts["seconds"]
    cells = [name, f"{facts['flows']:,}", f"{facts['epochs']:,}", f"{tolerance:g}", f"{facts['seconds']:.3f}"]
    print(line([*cells, f"{rate:,.0f}", f"{facts['memory']:.0f}"]), flush=True)
    return {"case": name, "tolerance": tolerance, **facts}


def growth(folder: Path) -> list[dict[str, Any]]:
    """The exponent of time in the number of flows, by least squares over three sizes."""
    print("\n" + line(["growth", "flows", "s", "exponent"]), line(["---"] * 4), sep="\n")
    rows = []
    for name, make, sizes, tolerance in (
        ("unequal exchange, exact", unequal_exchange, PORTS, 0.0),
        ("unequal exchange, 1e-3", unequal_exchange, PORTS, NEAR),
        ("ring AllReduce", ring_all_reduce, RANKS, 0.0),
    ):
        points = []
        for size in sizes:
            np.savez(folder / "made.npz", **make(size))
            facts, _ = time_engine(folder / "made.npz", tolerance, folder)
            points.append((facts["flows"], facts["seconds"]))
        exponent = float(np.polyfit(*np.log(np.array(points)).T, 1)[0])
        told = ("; ".join(f"{flows:,}" for flows, _ in points), "; ".join(f"{seconds:.3f}" for _, seconds in points))
        print(line([name, *told, f"{exponent:.2f}"]), flush=True)
        rows.append({"name": name, "points": points, "exponent": exponent})
    return rows


def time_engine(path: Path, tolerance: float, folder: Path, runs: int = RUNS) -> tuple[dict[str, Any], Any]:
    """Median solving time (s), memory (MiB) and finishes (s) of the engine, in a process of its own."""
    answer = folder / "finish.npy"
    options = ["--tolerance", str(tolerance), "--runs", str(runs)]
    command = [sys.executable, "-m", "benchmarks.measure", str(path), str(answer), *options]
    facts, memory = run_measured(command)
    return {**facts, "memory": memory}, np.load(answer)


def processor() -> str:
    """What the system calls the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def line(cells: Any) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
