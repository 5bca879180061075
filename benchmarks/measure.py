"""Time the engine on one case in a process of its own: `python -m benchmarks.measure CASE.npz OUT.npy [...]`.

Prints JSON: flows, epochs, the median s of solving (case in memory, kernel compiled), runs, and the s of each. Symmetry is
not searched for. The finishes (s) go to OUT.npy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from fabric.engine import Engine, Outcome
from fabric.engine.compiled import compiled_advance
from fabric.flow_cases import read_case


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--enough", type=float, default=60.0, help="no further run once so many s are spent")
    given = parser.parse_args()
    flows = read_case(given.case)
    compiled_advance()
    seconds: list[float] = []
    outcome: Outcome
    while len(seconds) < given.runs and sum(seconds) < given.enough:
        engine = Engine(flows, kernel="numba", tolerance=given.tolerance, progress=_tell)
        started = perf_counter()
        engine.advance()
        seconds.append(perf_counter() - started)
        outcome = engine.outcome()
    np.save(given.output, outcome.finish)
    facts = {"flows": outcome.flows, "epochs": outcome.epochs, "seconds": statistics.median(seconds), "all": seconds}
    print(json.dumps(facts))


def _tell(engine: Engine) -> None:
    if sys.stderr.isatty():
        print(f"\r{engine.finished:,} of {len(engine.flows.bytes):,} flows", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
