"""Time the engine beside others on the flow cases: `python -m benchmarks CASES [--fastref PROGRAM] [-o FILE]`.

CASES is a folder with one folder per case (case.npz). Prints a table and writes JSON: seconds of solving only (case in
memory, kernels compiled), the median of five runs in one process, with the highest resident memory of that process.
`--fastref` names a compiled plain re-solve that takes a binary case and prints {"sim_s": ...}; `--convert` the script
that turns case.npz into its input.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from fabric.engine import Engine
from fabric.flow_cases import read_case

NAMES = (
    "w6_a2a_switch144_lognormal",
    "w6_a2a_switch64_lognormal",
    "w4_moe_torus4x4x4",
    "w6_rrg256_10k",
    "w7_leafspine_poisson20k",
)
RUNS = 5


def time_engine(path: Path, tolerance: float) -> dict[str, Any]:
    """Median solving time of one case, s."""
    flows = read_case(path)
    seconds, engine = [], None
    for _ in range(RUNS + 1):  # the first may compile
        engine = Engine(flows, kernel="numba", tolerance=tolerance)
        started = perf_counter()
        engine.advance()
        seconds.append(perf_counter() - started)
    return {"flows": len(flows.bytes), "epochs": engine.outcome().epochs, "seconds": statistics.median(seconds[1:])}


def time_fastref(path: Path, program: str, convert: str) -> float:
    """Median time of the plain re-solve on one case, s."""
    with tempfile.TemporaryDirectory() as folder:
        binary, answer = Path(folder) / "case.bin", Path(folder) / "out.bin"
        subprocess.run([sys.executable, convert, path, binary], check=True)
        runs = [subprocess.run([program, binary, answer], check=True, capture_output=True).stdout for _ in range(RUNS)]
    return statistics.median(json.loads(run)["sim_s"] for run in runs)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--fastref")
    parser.add_argument("--convert")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    rows = []
    print(f"{'case':32}{'flows':>8}{'epochs':>8}{'exact s':>10}{'1e-3 s':>10}{'plain C++ s':>13}{'C++/exact':>11}")
    for name in NAMES:
        path = given.cases / name / "case.npz"
        exact, near = time_engine(path, 0.0), time_engine(path, 1e-3)
        other = time_fastref(path, given.fastref, given.convert) if given.fastref and given.convert else None
        rows.append({"case": name, **exact, "seconds_1e-3": near["seconds"], "fastref_seconds": other})
        told = f"{other:13.3f}{other / exact['seconds']:11.2f}" if other else f"{'not run':>13}"
        print(
            f"{name:32}{exact['flows']:8}{exact['epochs']:8}{exact['seconds']:10.4f}{near['seconds']:10.4f}{told}",
            flush=True,
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"highest memory {memory:.0f} MiB; SimGrid: not run")
    if given.output:
        given.output.write_text(json.dumps({"rows": rows, "memory_MiB": memory}, indent=1))


if __name__ == "__main__":
    main()
