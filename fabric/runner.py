"""From a scenario to its results: every case, every algorithm that was asked for, every size."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .bind import Overheads
from .bounds import bounds_at, find_limits
from .bounds.concurrent import flow_limit
from .bounds.needs import Needs
from .case_run import CaseRun, Progress
from .collectives import ALIASES
from .errors import InputError, unknown
from .network import Network
from .result import Bound, Run
from .scenario import Flag, Scenario, read_scenario

if TYPE_CHECKING:
    import networkx as nx


def run(scenario: str | Path | Scenario, overrides: Sequence[str] = (), progress: Progress | None = None) -> Run:
    """Run a scenario: the name of one that ships, a path, or one that is loaded already.

    overrides: `key.path=value` texts. Raises InputError with every fault of the file.
    """
    loaded = scenario if isinstance(scenario, Scenario) else load(scenario, overrides)
    return run_scenario(loaded, progress or (lambda text: None))


def load(scenario: str | Path, overrides: Sequence[str | Flag] = ()) -> Scenario:
    """Read a scenario: the name of one that ships, the path of a file, or "-" for standard input."""
    if scenario == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed")
        return read_scenario(sys.stdin.read(), name="standard input", overrides=overrides)
    path = Path(scenario)
    if path.suffix in (".yaml", ".yml") or (path.exists() and not path.is_dir()):
        return read_scenario(path, overrides=overrides)
    known = _shipped_files()
    if str(scenario) not in known:
        raise InputError(unknown("scenario", str(scenario), list(known)) + "; or the path of a .yaml file")
    return read_scenario(known[str(scenario)], name=f"{scenario}.yaml", overrides=overrides)


def build_topology(topology: str, parameters: Sequence[str] = (), preset: str | None = None) -> nx.DiGraph[int]:
    """The graph of a builder by name, or of a node-link JSON or GraphML file; parameters are `key=value` texts."""
    case = {"collective": "all_to_all", "sizes": "1 KiB"}
    overrides: list[str | Flag] = [f"topology.{one}" for one in parameters]
    if preset is not None:
        overrides.append(Flag("--preset", f"topology.preset={json.dumps(preset)}"))
    return one_case(topology, topology, case, overrides).graph(0)


def bounds_of(
    topology: str, collective: str, size: str, overrides: Sequence[str] = (), solving: Progress | None = None
) -> list[Bound]:
    """The lower bounds of a collective on all ranks of a builder or a file, the largest first; its own overheads, if known.

    solving: says how the linear program of maximum concurrent flow gets on; without it that bound is left out.
    """
    if ALIASES.get(collective, collective) in ("all_to_all_v", "moe", "permute"):
        raise InputError(f"{collective} has bytes of its own: its bounds stand beside its runs")
    scenario = one_case(topology, topology, {"collective": collective, "sizes": size}, overrides)
    sizes = scenario.cases[0].sizes or []
    if len(sizes) != 1:
        raise InputError(f"expected one size, such as '1 GiB', not {size!r}")
    network = Network(scenario.graph(0))
    known = network.graph.graph.get("overheads", {})
    overheads = Overheads(known.get("alpha_link", 0.0), known.get("alpha_efa", 0.0))
    groups = [np.arange(network.ranks)]
    limits = find_limits(network, scenario.cases[0].collective, groups, overheads=overheads)
    if solving is not None:
        limits.append(flow_limit(network, Needs.of(scenario.cases[0].collective, groups, None), solving))
    return sorted(bounds_at(limits, sizes[0]), key=lambda bound: -bound.time)


def one_case(name: str, topology: str, case: Mapping[str, object], overrides: Sequence[str | Flag] = ()) -> Scenario:
    """A scenario of one case on a builder or a file, so that all is read, checked and refused as in a file of its own."""
    from topologies import BUILDERS

    key = "builder" if topology in BUILDERS else "file"
    if key == "file" and not (Path(topology).suffix or Path(topology).exists()):
        raise InputError(unknown("topology", topology, list(BUILDERS)) + "; or the path of a .json or .graphml file")
    text = json.dumps({"name": name, "cases": [{"name": name, "topology": {key: topology}, **case}]})
    try:
        return read_scenario(text, name=name, overrides=overrides)
    except InputError as error:
        raise InputError(re.sub(rf"^{re.escape(name)}:1:\d+: ", f"{name}: ", line) for line in error.faults) from None


def shipped() -> dict[str, str]:
    """The scenarios that ship: name and one line each."""
    found = {}
    for name, path in _shipped_files().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        line = next((line for line in lines if line.startswith("description:")), "")
        found[name] = line.partition(":")[2].strip().strip("\"'")
    return found


def _shipped_files() -> dict[str, Path]:
    with as_file(files("scenarios")) as folder:
        return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def run_scenario(scenario: Scenario, progress: Progress) -> Run:
    """Every case of a scenario, in order; none is run before all are found to be sound.

    Ctrl-C raises Interruption with the rows that were finished.
    """
    faults: list[str] = []
    runs: list[CaseRun] = []
    for index, case in enumerate(scenario.cases):
        progress(f"{case.name}: fabric")
        try:
            runs.append(CaseRun(scenario, index, progress))
            runs[-1].check()
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return Run.of(scenario.name, (result for one in runs for result in one.results()))
