"""Raw flows from npz files, and what became of them into others.

Arrays of a case: link_bw (bytes/s), link_lat (s), flow_bytes, flow_start (s), route_ptr and route_links (the links of a
flow), dep_ptr and dep_ids (the flows that must finish before); optional flow_phase (a label), route_coef (bytes that a link
carries per byte of the flow), flow_cap (bytes/s), and event_time (s), event_link, event_bw (bytes/s): bandwidths that
change. Other arrays are ignored. A flow's delay is the sum of the latencies of its route.

    flows = read_case("case.npz")
    outcome = solve(flows, tolerance=1e-3)
    write_outcome("out.npz", outcome)
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .engine import Engine, Flows, Interrupted, Outcome, prepare, solve
from .errors import InputError, RunError
from .output import whole_file

NEEDED = ("link_bw", "link_lat", "flow_bytes", "flow_start", "route_ptr", "route_links", "dep_ptr", "dep_ids")
EVENTS = ("event_time", "event_link", "event_bw")
# The engine's names of what it refuses, and those of the file
NAMES = {
    "capacity": "link_bw",
    "bytes": "flow_bytes",
    "start": "flow_start",
    "label": "flow_phase",
    "routes": "route_links",
    "routes pointers": "route_ptr",
    "route_ids": "route_links",
    "waits": "dep_ids",
    "waits pointers": "dep_ptr",
    "wait_ids": "dep_ids",
    "event_id": "event_link",
    "event_capacity": "event_bw",
}


@dataclass(frozen=True, eq=False)
class CaseRun:
    """What running a case gave."""

    outcome: Outcome
    wall: float  # s of solving: the case in memory, the kernel compiled
    verified: bool  # certified fair in every epoch

    def to_dict(self) -> dict[str, Any]:
        """The facts that `fabric-sim flows --json` prints; times in s."""
        outcome = self.outcome
        return {
            "flows": outcome.flows,
            "classes": outcome.classes,
            "finished": int(np.count_nonzero(np.isfinite(outcome.finish))),
            "epochs": outcome.epochs,
            "time_s": outcome.time,
            "wall_s": self.wall,
            "tolerance": outcome.tolerance,
            "certificate": "checked in every epoch" if self.verified else "not checked",
            "partial": outcome.partial,
        }

    def __str__(self) -> str:
        outcome = self.outcome
        exact = "exact" if outcome.tolerance == 0 else f"exact for bandwidths within {outcome.tolerance:g} of those given"
        return (
            f"{outcome.flows:,} flows, {outcome.epochs:,} epochs, last finish {outcome.time:.9g} s, {exact}; "
            f"solved in {self.wall:.3g} s" + ("; certificate checked in every epoch" if self.verified else "")
        )


def read_case(path: str | Path) -> Flows:
    """The flows of a case file. Raises InputError that names the file and what is wrong with it."""
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            case: dict[str, Any] = dict(file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: expected an npz file of flows, cut short or of another kind ({error})") from None
    needed = (*NEEDED, *EVENTS) if any(name in case for name in EVENTS) else NEEDED
    missing = [name for name in needed if name not in case]
    if missing:
        raise InputError(f"{path}: array {missing[0]} is missing; a case needs {', '.join(needed)}")
    try:
        return _flows(case)
    except InputError as error:
        raise InputError(f"{path}: {_in_words_of_the_file(str(error))}") from None


def run_case(
    flows: Flows, *, tolerance: float = 0.0, verify: bool = False, progress: Callable[[str], None] = lambda text: None
) -> CaseRun:
    """Run all flows to the end, or to Ctrl-C, which leaves a partial outcome. `progress` is told now and then."""

    def tell(engine: Engine) -> None:
        progress(f"{engine.finished:,} of {len(engine.flows.bytes):,} flows, {engine.time:.6g} s")

    prepare(flows)
    started = perf_counter()
    try:
        outcome = solve(flows, tolerance=tolerance, verify=verify, progress=tell)
    except Interrupted as stop:
        outcome = stop.outcome
    return CaseRun(outcome, perf_counter() - started, verify and not outcome.partial)


def write_outcome(path: str | Path, outcome: Outcome) -> None:
    """Write an npz file: finish (s, one per flow, nan if it did not), link_bytes, link_busy (s), partial, tolerance.

    The file appears when it is complete. Raises InputError if it cannot be written.
    """

    def write(staged: Path) -> None:
        with open(staged, "wb") as file:
            np.savez_compressed(
                file,
                finish=outcome.finish,
                link_bytes=outcome.carried,
                link_busy=outcome.busy,
                partial=outcome.partial,
                tolerance=outcome.tolerance,
            )

    whole_file(path, write)


def solve_file(
    case: str | Path,
    output: str | Path,
    *,
    tolerance: float = 0.0,
    verify: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> CaseRun:
    """Read a case, run it, write what became of it; with Ctrl-C what there is, marked as partial.

    Raises InputError for a bad case or a place that cannot be written, and, once the output is written, RunError naming
    flows that can never finish.
    """
    flows = read_case(case)
    folder = Path(output).parent
    if not os.access(folder, os.W_OK | os.X_OK) or Path(output).is_dir():
        raise InputError(f"cannot write {output}: expected a file name in a folder that exists and can be written to")
    run = run_case(flows, tolerance=tolerance, verify=verify, progress=progress)
    write_outcome(output, run.outcome)
    stalls = run.outcome.stalls
    if stalls:
        count = np.count_nonzero(np.isnan(run.outcome.finish))
        more = f" and {count - len(stalls)} more" if count > len(stalls) else ""
        raise RunError(f"{count} of {run.outcome.flows} flows stalled (capacities are links): {'; '.join(stalls)}{more}")
    return run


def _flows(case: dict[str, Any]) -> Flows:
    links, latency = case["route_links"], case["link_lat"]
    if latency.shape != case["link_bw"].shape or latency.dtype.kind not in "fiu":
        raise InputError(f"link_lat: expected {case['link_bw'].size} times, one per link, got {latency.size} {latency.dtype}")
    bad = np.flatnonzero(~(np.isfinite(latency) & (latency >= 0)))
    if len(bad):
        raise InputError(f"link_lat[{bad[0]}] is {latency[bad[0]]}: expected a finite time >= 0")
    flows = Flows.build(
        case["link_bw"],
        case["flow_bytes"],
        (case["route_ptr"], links),
        coefficients=case.get("route_coef", 1.0),
        start=case["flow_start"],
        waits=(case["dep_ptr"], case["dep_ids"]),
        flow_cap=case.get("flow_cap", np.inf),
        label=case.get("flow_phase", 0),
        events=tuple(case[name] for name in EVENTS) if EVENTS[0] in case else (),
    )
    owner = np.repeat(np.arange(len(flows.bytes)), np.diff(flows.route_ptr))
    return replace(flows, delay=np.bincount(owner, latency[flows.route_ids], len(flows.bytes)).astype(float))


def _in_words_of_the_file(message: str) -> str:
    """`capacity[3] is -1: ...` as `link_bw[3] is -1: ...`."""
    name = max((name for name in NAMES if message.startswith((f"{name}[", f"{name}:"))), key=len, default="")
    return (NAMES[name] + message[len(name) :] if name else message).replace("a capacity 0..", "a link 0..")
