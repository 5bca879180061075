"""Check of a folded cluster: small clusters of the same builder, folded and in full, must do the same on every link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import lcm, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from topologies import degrade, efa_cluster
from topologies.machines import MACHINES

from .bind import Overheads, Placement, bind, route_traffic
from .collectives import build
from .collectives.all_to_all import corner
from .engine.symmetry import find_classes
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
GROUP_AT_MOST = 2  # machines of a replica group
KEPT = ("nic_share", "nic_bandwidth", "nics_per_tor", "oversubscription", "port_bandwidth", "tor_ports")
UNEQUAL: dict[str, list[Any]] = {"dims": [4, 3, 2], "bandwidth": [3e10, 2e10, 1e10]}


def check_folding(graph: nx.DiGraph[int], schedule: Schedule, rule: Rule, overheads: Overheads) -> str:
    """Compare small clusters, folded and in full, in time and bytes: what was done, in words.

    They have the machine and the parameters of the folded cluster `graph` and run the algorithm of `schedule`: on all ranks,
    or in replica groups of as many as it has, at most two machines. There are two and three units of one pod, a unit for each
    of two pods (three where it has several machines, so that these lie in pods of one kind), two with a slow link in every
    machine, and four of two pods whose machine is a torus of unequal dimensions.
    Raises InternalError where the two differ by more than rounding.
    """
    if graph.graph["provenance"]["parameters"]["machine"] not in MACHINES:
        return "folding not checked, for the machine has no builder"
    checked = 0
    for sample in _samples(graph, schedule):
        try:
            _compare(sample, schedule, rule, overheads)
            checked += 1
        except NotApplicable:  # recursive halving on 3 machines
            continue
    return f"folding checked against {checked} clusters in full"


@dataclass(frozen=True)
class Sample:
    """A small cluster and what it runs. size: ranks of each replica group, 0 for one of all; unit: machines that hold them."""

    name: str
    parameters: dict[str, Any]  # of the builder
    options: dict[str, Any]  # of the algorithm
    size: int = 0
    unit: int = 1

    def graph(self, folded: bool) -> nx.DiGraph[int]:
        return efa_cluster(**self.parameters, fold=self.unit if folded else False, spread=True)

    def build(self, schedule: Schedule, network: Network) -> list[Placement]:
        """The algorithm of a schedule in all replica groups of a network."""
        apart = self.size > 0
        copies = network.copies if apart else 1
        groups = np.arange(network.ranks).reshape(-1, self.size if apart else network.ranks)
        layout = network.layout(groups[0], copies)
        options = dict(self.options)
        if schedule.collective == "all_to_all_v":
            each = self.size or int(network.graph.graph["machine_ranks"])
            machines = len(groups[0]) // each
            options["matrix"] = np.tile(corner(schedule.blocks, each), (machines, machines))
        made = build(schedule.collective, schedule.algorithm, layout, **options)
        return [Placement(made.scaled(SIZE), group, copies) for group in groups]


def _samples(graph: nx.DiGraph[int], schedule: Schedule) -> Iterator[Sample]:
    given, layers = graph.graph["provenance"]["parameters"], graph.graph["layers"]
    kept = {name: given[name] for name in KEPT}
    same = {**kept, "machine": given["machine"], "machine_parameters": given["machine_parameters"]}
    machine = MACHINES[given["machine"]](**given["machine_parameters"])
    slow = degrade(machine, slow=[(next(iter(machine.edges)), 0.5)])
    torus = {"machine": "torus", "machine_parameters": UNEQUAL, "oversubscription": given["oversubscription"]}
    tors = layers["tors"] // graph.graph["servers"]
    size, unit = _groups(schedule, graph.graph["machine_ranks"])
    sample = partial(Sample, options=schedule.options, size=size, unit=unit)
    pods, two, three = 2 if unit == 1 else 3, 2 * unit, 3 * unit
    yield sample(f"{two} machines", {**same, "count": two})
    yield sample(f"{three} machines", {**same, "count": three})
    yield sample(f"{pods * unit} machines of {pods} pods", {**same, "count": pods * unit, **_pods(unit * tors)})
    yield sample(f"{two} machines with a slow link", {**kept, "machine": slow, "count": two})
    anyhow = {name: value for name, value in schedule.options.items() if name != "inner"}
    size = size and max(2, prod(UNEQUAL["dims"]) * size // int(graph.graph["machine_ranks"]))
    if not size or prod(UNEQUAL["dims"]) * unit % size == 0:
        torus |= {"count": 2 * two, **_pods(2 * two)}
        yield sample(f"{2 * two} machines of 4x3x2 of two pods", torus, options=anyhow, size=size)


def _groups(schedule: Schedule, each: int) -> tuple[int, int]:
    """(ranks of a replica group, machines of a unit) of the samples for a schedule on machines of `each` ranks."""
    if schedule.image is not None:
        return 0, 1
    size = schedule.ranks if schedule.ranks % each else min(schedule.ranks, GROUP_AT_MOST * each)
    return size, lcm(size, each) // each


def _pods(tors: int) -> dict[str, int]:
    """Three layers of switches, with room for so many ToRs in a pod."""
    return {"leaf_ports": 2 * tors, "spines_per_plane": 1, "spine_ports": 1 << 20}


def _compare(sample: Sample, schedule: Schedule, rule: Rule, overheads: Overheads) -> None:
    found = []
    for folded in (True, False):  # bandwidths as published: an efficiency changes no symmetry
        network = Network(sample.graph(folded))
        placed = sample.build(schedule, network)
        flows = bind(network, placed, route_traffic(network, placed, rule), overheads)
        found.append((network, run_flows(flows, find_classes(flows))))
    (small, ours), (full, theirs) = found
    alike = _classes(full, small)
    for what, mine, its in (
        ("time", np.array([ours.finish.max()]), np.array([theirs.finish.max()])),
        ("bytes", ours.carried[alike], theirs.carried),
        ("busy time", ours.busy[alike], theirs.busy),
    ):
        worst = float(np.abs(mine - its).max() / its.max())
        if worst > TOLERANCE * 10:
            raise InternalError(
                f"folded and in full, {sample.name} differ in {what} by {worst:.1e}; please report the scenario"
            )


def _classes(full: Network, folded: Network) -> NDArray[np.int64]:
    """[K] of the cluster in full: the capacity of the folded one that stands for each."""
    count = {kind: sum(name.startswith(f"{kind} ") for name in folded.node_names) for kind in ("chip", "nic", "tor", "leaf")}
    count["machine"] = folded.unit
    layers = full.graph.graph["layers"]
    leaves = layers["planes"] * layers["leaves_per_plane"]

    def twin(end: str) -> str:
        kind, number, *rest = end.split(" ", 2)
        place = int(number) // leaves if kind == "leaf" else int(number)
        return " ".join((kind, str(place % count.get(kind, 1)), *rest))

    known = {name: index for index, name in enumerate(folded.names)}
    return np.array([known[" -> ".join(map(twin, name.split(" -> ")))] for name in full.names], dtype=np.int64)
