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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .engine import Flows, Interrupted, Outcome, prepare, solve
from .engine.flows import demand, vector
from .engine.memory import free_memory
from .errors import FabricError, InputError, RunError
from .output import is_stream, whole_file

NEEDED = ("link_bw", "link_lat", "flow_bytes", "flow_start", "route_ptr", "route_links", "dep_ptr", "dep_ids")
EVENTS = ("event_time", "event_link", "event_bw")
KNOWN = {*NEEDED, *EVENTS, "flow_phase", "route_coef", "flow_cap"}
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

    @property
    def solution(self) -> str:
        """Of which bandwidths it is the exact solution: a tolerance is a backward error."""
        tolerance = self.outcome.tolerance
        return "exact" if tolerance == 0 else f"exact for bandwidths within {tolerance:g} of those given"

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
            "solution": self.solution,
            "certificate": "checked in every epoch" if self.verified else "not checked",
            "partial": outcome.partial,
        }

    def __str__(self) -> str:
        outcome = self.outcome
        classes = f" in {outcome.classes:,} classes" if outcome.classes < outcome.flows else ""
        finished = f" ({np.count_nonzero(np.isfinite(outcome.finish)):,} of them finished)" if outcome.partial else ""
        verified = "; certificate checked in every epoch" if self.verified else ""
        return (
            f"{outcome.flows:,} flows{classes}{finished}, {outcome.epochs:,} epochs, last finish {outcome.time:.9g} s, "
            f"{self.solution}; solved in {self.wall:.3g} s{verified}"
        )


def read_case(path: str | Path) -> Flows:
    """The flows of a case file. Raises InputError that names the file and what is wrong with it."""
    try:
        with open(path, "rb") as raw:
            if not zipfile.is_zipfile(raw):
                raise InputError(f"{path}: expected an npz file of flows, as numpy.savez writes; cut short or of another kind")
            raw.seek(0)
            case = _arrays(path, np.load(raw, allow_pickle=False))
    except FabricError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # the readers of zip, of its compressions and of npy raise what they like
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
    prepare(flows)
    started = perf_counter()
    try:
        outcome = solve(flows, tolerance=tolerance, verify=verify, progress=lambda engine: progress(str(engine)))
    except Interrupted as stop:
        outcome = stop.outcome
    return CaseRun(outcome, perf_counter() - started, verify and not outcome.partial)


def write_outcome(path: str | Path, outcome: Outcome) -> None:
    """Write an npz file: finish (s, one per flow, nan if it did not), link_bytes, link_busy (s), partial, tolerance.

    And over time: slice_time (s, where slices begin and the last one ends), link_load (bytes/s, slices x links). The file
    appears when it is complete. Raises InputError if it cannot be written.
    """

    def write(staged: Path) -> None:
        with open(staged, "wb") as file:
            np.savez_compressed(
                file,
                finish=outcome.finish,
                link_bytes=outcome.carried,
                link_busy=outcome.busy,
                **_over_time(outcome),
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
    place = Path(output)
    if place.is_dir() or not (is_stream(place) or os.access(place.parent, os.W_OK | os.X_OK)):
        raise InputError(f"cannot write {output}: expected a file name in a folder that exists and can be written to")
    run = run_case(flows, tolerance=tolerance, verify=verify, progress=progress)
    write_outcome(output, run.outcome)
    stalls = run.outcome.stalls
    if stalls:
        count = np.count_nonzero(np.isnan(run.outcome.finish))
        more = f" and {count - len(stalls)} more" if count > len(stalls) else ""
        raise RunError(f"{count} of {run.outcome.flows} flows stalled: {_of_links('; '.join(stalls))}{more}")
    return run


def _over_time(outcome: Outcome) -> dict[str, Any]:
    history = outcome.history
    return {} if history is None else {"slice_time": history.times, "link_load": history.loads}


def _arrays(path: str | Path, file: Any) -> dict[str, Any]:
    """The arrays of an npz file that mean something, if they fit into memory."""
    infos = [info for info in file.zip.infolist() if info.filename.removesuffix(".npy") in KNOWN]
    size, free = sum(info.file_size for info in infos), free_memory()
    if size > free:
        raise RunError(f"{path}: its arrays take {size / 2**30:.1f} GiB; {free / 2**30:.1f} GiB of memory are free")
    case = {}
    for name in (name for name in file.files if name in KNOWN):
        try:
            case[name] = file[name]
        except ValueError as error:
            raise InputError(f"{path}: array {name} cannot be read: {error}") from None
    return case


def _flows(case: dict[str, Any]) -> Flows:
    flows = Flows.build(
        case["link_bw"],
        case["flow_bytes"],
        (case["route_ptr"], case["route_links"]),
        coefficients=case.get("route_coef", 1.0),
        start=case["flow_start"],
        waits=(case["dep_ptr"], case["dep_ids"]),
        flow_cap=case.get("flow_cap", np.inf),
        label=case.get("flow_phase", 0),
        events=tuple(case[name] for name in EVENTS) if EVENTS[0] in case else (),
    )
    latency = vector("link_lat", case["link_lat"], np.float64)
    demand("link_lat", latency, np.isfinite(latency) & (latency >= 0), "a finite time >= 0")
    if len(latency) != len(flows.capacity):
        raise InputError(f"link_lat: expected {len(flows.capacity)} times, one per link, got {len(latency)}")
    owner = np.repeat(np.arange(len(flows.bytes)), np.diff(flows.route_ptr))
    delay = np.bincount(owner, latency[flows.route_ids], len(flows.bytes)).astype(float)
    demand("delay", delay, np.isfinite(delay), "a finite sum of the latencies of its route")
    return replace(flows, delay=delay)


def _in_words_of_the_file(message: str) -> str:
    """`capacity[3] is -1: ...` as `link_bw[3] is -1: ...`."""
    name = max((name for name in NAMES if message.startswith((f"{name}[", f"{name}:"))), key=len, default="")
    return _of_links(NAMES[name] + message[len(name) :] if name else message)


def _of_links(message: str) -> str:
    """`a capacity 0..1` and `no bandwidth on capacity 1` as `a link 0..1` and `no bandwidth on link 1`."""
    return message.replace("a capacity 0..", "a link 0..").replace("on capacity ", "on link ")
