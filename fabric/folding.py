"""Check of a folded cluster: small clusters of the same builder, folded and in full, must do the same on every link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from topologies import degrade, efa_cluster
from topologies.machines import MACHINES

from .bind import Overheads, Placement, bind, route_traffic
from .collectives import build
from .errors import InternalError
from .layout import NotApplicable
from .network import Network
from .routing import Rule
from .schedule import Schedule
from .simulation import run_flows

if TYPE_CHECKING:
    import networkx as nx

SIZE = 2.0**24  # bytes: overheads and bytes both count
TOLERANCE = 1e-12
KEPT = ("nic_share", "nic_bandwidth", "nics_per_tor", "oversubscription", "port_bandwidth", "tor_ports")
UNEQUAL = {"dims": [4, 3, 2], "bandwidth": [3e10, 2e10, 1e10]}


def check_folding(graph: nx.DiGraph[int], schedule: Schedule, rule: Rule, overheads: Overheads) -> str:
    """Compare small clusters, folded and in full, in time and bytes: what was done, in words.

    They have the machine and the parameters of the folded cluster `graph` and run the algorithm of `schedule`: 2 and 3
    machines of one pod, 2 of two pods, 2 with a slow link in every machine, and 4 of two pods whose machine is a torus of
    unequal dimensions. Raises InternalError where the two differ by more than rounding.
    """
    if graph.graph["provenance"]["parameters"]["machine"] not in MACHINES:
        return "folding not checked, for the machine has no builder"
    checked = 0
    for name, parameters, options in _samples(graph, schedule.options):
        try:
            _compare(name, graph, parameters, schedule, options, rule, overheads)
            checked += 1
        except NotApplicable:  # recursive halving on 3 machines
            continue
    return f"folding checked against {checked} clusters in full"


def _samples(graph: nx.DiGraph[int], options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(name, parameters of the builder, options of the algorithm) of every small cluster."""
    given, layers = graph.graph["provenance"]["parameters"], graph.graph["layers"]
    kept = {name: given[name] for name in KEPT}
    same = {**kept, "machine": given["machine"], "machine_parameters": given["machine_parameters"]}
    machine = MACHINES[given["machine"]](**given["machine_parameters"])
    slow = degrade(machine, slow=[(next(iter(machine.edges)), 0.5)])
    torus = {"machine": "torus", "machine_parameters": UNEQUAL, "oversubscription": given["oversubscription"]}
    tors = layers["tors"] // graph.graph["servers"]
    yield "2 machines", {**same, "count": 2}, options
    yield "3 machines", {**same, "count": 3}, options
    yield "2 machines of two pods", {**same, "count": 2, **_pods(tors)}, options
    yield "2 machines with a slow link", {**kept, "machine": slow, "count": 2}, options
    anyhow = {name: value for name, value in options.items() if name != "inner"}
    yield "4 machines of 4x3x2 of two pods", {**torus, "count": 4, **_pods(4)}, anyhow


def _pods(tors: int) -> dict[str, int]:
    """Three layers of switches, with room for so many ToRs in a pod."""
    return {"leaf_ports": 2 * tors, "spines_per_plane": 1, "spine_ports": 1 << 20}


def _compare(
    name: str,
    graph: nx.DiGraph[int],
    parameters: dict[str, Any],
    schedule: Schedule,
    options: dict[str, Any],
    rule: Rule,
    overheads: Overheads,
) -> None:
    found = []
    for folded in (True, False):  # bandwidths as published: an efficiency changes no symmetry
        sample = efa_cluster(**parameters, fold=folded, spread=True)
        network, group = Network(sample), np.arange(sample.graph["machine_ranks"] * (1 if folded else sample.graph["servers"]))
        made = build(schedule.collective, schedule.algorithm, network.layout(group), **options)
        placed = [Placement(made.scaled(SIZE), group)]
        found.append((network, run_flows(bind(network, placed, route_traffic(network, placed, rule), overheads))))
    (small, ours), (full, theirs) = found
    alike = _classes(full, small)
    for what, mine, its in (
        ("time", np.array([ours.finish.max()]), np.array([theirs.finish.max()])),
        ("bytes", ours.carried[alike], theirs.carried),
        ("busy time", ours.busy[alike], theirs.busy),
    ):
        worst = float(np.abs(mine - its).max() / its.max())
        if worst > TOLERANCE * 10:
            raise InternalError(f"folded and in full, {name} differ in {what} by {worst:.1e}; please report the scenario")


def _classes(full: Network, folded: Network) -> NDArray[np.int64]:
    """[K] of the cluster in full: the capacity of the folded one that stands for each."""
    count = {kind: sum(name.startswith(f"{kind} ") for name in folded.node_names) for kind in ("chip", "nic", "tor")}

    def twin(end: str) -> str:
        kind, number, *rest = end.split(" ", 2)
        return " ".join((kind, str(int(number) % count.get(kind, 1)), *rest))

    known = {name: index for index, name in enumerate(folded.names)}
    return np.array([known[" -> ".join(map(twin, name.split(" -> ")))] for name in full.names], dtype=np.int64)
