"""Raw flows from and to npz files.

Arrays of a case: link_bw (bytes/s), link_lat (s), flow_bytes, flow_start (s), route_ptr and route_links, dep_ptr and
dep_ids (the flows that must finish before); optional flow_phase (a label), route_coef, flow_cap (bytes/s), event_time
(s), event_link, event_bw (bytes/s). Others are ignored. A flow's delay is the sum of the latencies of its route.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .flows import Flows, Outcome

NEEDED = ("link_bw", "link_lat", "flow_bytes", "flow_start", "route_ptr", "route_links", "dep_ptr", "dep_ids")


def read_case(path: str | Path) -> Flows:
    """The flows of a case file. Raises InputError that names the file and what is wrong with it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            case: dict[str, Any] = dict(file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected an npz file of flows, cut short or of another kind ({error})") from None
    missing = [name for name in NEEDED if name not in case]
    if missing:
        raise InputError(f"{path}: array {missing[0]} is missing; a case needs {', '.join(NEEDED)}")
    try:
        return _flows(case)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_outcome(path: str | Path, outcome: Outcome) -> None:
    """Write finish (s, one per flow), carried (bytes, one per link) and busy (s) to an npz file."""
    with open(path, "wb") as file:
        np.savez_compressed(
            file, finish=outcome.finish, carried=outcome.carried, busy=outcome.busy, partial=outcome.partial
        )


def _flows(case: dict[str, Any]) -> Flows:
    latency, links = np.asarray(case["link_lat"], float), case["route_links"]
    if len(latency) != len(case["link_bw"]):
        raise InputError(f"link_lat: expected {len(case['link_bw'])} values, one per link, got {len(latency)}")
    bad = np.flatnonzero(~(np.isfinite(latency) & (latency >= 0)))
    if len(bad):
        raise InputError(f"link_lat[{bad[0]}] is {latency[bad[0]]}: expected a finite time >= 0")
    bad = np.flatnonzero((links < 0) | (links >= len(latency)))
    if len(bad):
        raise InputError(f"route_links[{bad[0]}] is {links[bad[0]]}: expected a link 0..{len(latency) - 1}")
    flows = Flows.build(
        case["link_bw"],
        np.asarray(case["flow_bytes"], float),
        (case["route_ptr"], links),
        coefficients=case.get("route_coef", 1.0),
        start=case["flow_start"],
        waits=(case["dep_ptr"], case["dep_ids"]),
        flow_cap=case.get("flow_cap", np.inf),
        label=case.get("flow_phase", 0),
        events=tuple(case.get(name, np.zeros(0)) for name in ("event_time", "event_link", "event_bw"))
        if "event_time" in case
        else (),
    )
    owner = np.repeat(np.arange(len(flows.bytes)), np.diff(flows.route_ptr))
    return replace(flows, delay=np.bincount(owner, latency[links], len(flows.bytes)).astype(float))
