"""A topology compiled to arrays: links and resources are capacities, numbered once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from topologies.check import check
from topologies.cores import chips_of
from topologies.folded import slow_links

from .errors import InputError
from .layout import Layout

if TYPE_CHECKING:
    import networkx as nx

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


class Network:
    """The arrays of a graph that keeps the contract of `topologies`; the graph itself stays as it is.

    K capacities: the L links in the order of (source, destination), then the resources that nodes own. N nodes.

    capacity: [K] bytes/s. tier: [K] index into `tiers`. multiplicity: [K] how many equal capacities of the unfolded fabric
    each stands for. latency: [L] s. source, destination: [L] node ids. names, sources, confidences: [K] texts.

    pods: of a folded cluster, of which there is a unit of `unit` machines with their `ranks`; 0 where nothing is folded.
    copies: how many such units the cluster has; 1 where nothing is folded.
    slow: of a folded cluster: [K] the capacities in each machine that has slow links, by its number; `capacity` holds those
    of all others.

    Raises InputError with every fault of the graph.
    """

    def __init__(self, graph: nx.DiGraph[int]) -> None:
        if faults := check(graph):
            raise InputError(faults)
        self.graph = graph
        self.nodes = graph.number_of_nodes()
        self.kind: list[str] = [graph.nodes[node]["kind"] for node in range(self.nodes)]
        self.node_names: list[str] = [graph.nodes[node].get("name", f"node {node}") for node in range(self.nodes)]
        self.ranks = self.kind.count("core") or self.kind.count("chip")

        edges = sorted(graph.edges(data=True), key=lambda edge: (edge[0], edge[1]))
        self.links = len(edges)
        self.source: I64 = np.array([u for u, _, _ in edges], dtype=np.int64)
        self.destination: I64 = np.array([v for _, v, _ in edges], dtype=np.int64)
        self.latency: F64 = np.array([data.get("latency", 0.0) for _, _, data in edges], dtype=np.float64)

        owned = [
            (node, name, data) for node in range(self.nodes) for name, data in graph.nodes[node].get("resources", {}).items()
        ]
        self.resources: list[tuple[int, dict[str, float]]] = [(node, data) for node, _, data in owned]
        everything = [data for _, _, data in edges] + [data for _, _, data in owned]
        words = [data.get("tier", "link") for _, _, data in edges] + [name for _, name, _ in owned]
        self.tiers: list[str] = list(dict.fromkeys(words))
        self.tier: I32 = np.array([self.tiers.index(word) for word in words], dtype=np.int32)
        self.capacity: F64 = np.array([data["bandwidth"] for data in everything], dtype=np.float64)
        alike = [data.get("multiplicity", 1) for _, _, data in edges]
        alike += [graph.nodes[node].get("multiplicity", 1) for node, _, _ in owned]
        self.multiplicity: F64 = np.array(alike, dtype=np.float64)
        fold = graph.graph.get("fold", {})
        self.pods, self.unit = int(fold.get("pods", 0)), int(fold.get("unit", 1))
        self.copies = int(fold.get("machines", 1)) // self.unit
        self.slow = {machine: self._slowed(links) for machine, links in slow_links(graph).items()}
        self.sources: list[str] = [data.get("source", "") for data in everything]
        self.confidences: list[str] = [data.get("confidence", "given") for data in everything]

    @property
    def together(self) -> F64:
        """[K] bytes/s of all capacities that each stands for, in as far as they fall to one of the units."""
        return self.capacity * self.multiplicity / self.copies

    @cached_property
    def names(self) -> list[str]:
        """[K] "chip 0 -> chip 1", "chip 3 hbm"."""
        links = [
            f"{self.node_names[u]} -> {self.node_names[v]}" for u, v in zip(self.source.tolist(), self.destination.tolist())
        ]
        tiers = self.tier[self.links :].tolist()
        return links + [f"{self.node_names[node]} {self.tiers[tier]}" for (node, _), tier in zip(self.resources, tiers)]

    def _slowed(self, links: dict[tuple[int, int], float]) -> F64:
        """[K] the capacities of a machine, given the factor on each of its slow links."""
        capacity = self.capacity.copy()
        for (start, end), factor in links.items():
            capacity[self.link_ids(np.array([start]), np.array([end]))] *= factor
        return capacity

    @cached_property
    def _link_keys(self) -> I64:
        return self.source * self.nodes + self.destination

    def link_ids(self, sources: NDArray[np.int64], destinations: NDArray[np.int64]) -> I64:
        """The link of each (source, destination); -1 where there is none."""
        if not self.links:
            return np.full(len(sources), -1, dtype=np.int64)
        wanted = sources * self.nodes + destinations
        position = np.minimum(np.searchsorted(self._link_keys, wanted), self.links - 1)
        return np.where((self._link_keys[position] == wanted) & (sources >= 0) & (destinations >= 0), position, -1)

    @cached_property
    def crosses_nic(self) -> NDArray[np.bool_]:
        """[L] whether a link starts or ends at a NIC."""
        nic = np.array([kind == "nic" for kind in self.kind])
        return np.asarray(nic[self.source] | nic[self.destination])

    def layout(self, ranks: NDArray[np.int64], copies: int = 1) -> Layout:
        """What an algorithm may know of the fabric under one replica group: its shape where the group is the machine, or
        whole machines of a cluster.

        copies: of a folded cluster, how many units have such a group; with 1 the ranks of its machine stand for all ranks.
        Raises InputError where they are several machines, which do not.
        """
        attributes = self.graph.graph
        shape, dims = attributes.get("shape", ""), tuple(attributes.get("dims", ()))
        if shape == "cores":
            return self._cores(ranks)
        if shape == "cluster" and copies == self.copies:
            return self._machines(ranks)
        if len(ranks) != self.ranks or (ranks != np.arange(self.ranks)).any():
            return Layout(len(ranks))
        if shape != "cluster":
            return self._machine(shape, dims, self.ranks)
        if self.unit > 1:
            raise InputError(f"the {self.unit} machines of this folded cluster stand for replica groups, not for all its ranks")
        servers, machine = int(attributes["servers"]), self._machine_of_cluster()
        return Layout(servers * self.ranks, servers=servers, inner=machine, injection=self._nic_rate(), pods=self.pods)

    @cached_property
    def chips(self) -> Network:
        """The same fabric without the cores that are its ranks: the chips are the ranks, and links keep their order."""
        return Network(chips_of(self.graph))

    @cached_property
    def chip_links(self) -> I64:
        """[L of `chips`] the number that each link of `chips` has here."""
        return np.flatnonzero((self.source >= self.ranks) & (self.destination >= self.ranks))

    def _cores(self, ranks: NDArray[np.int64]) -> Layout:
        """The layout of a group of cores, which has a shape if it is all cores of some chips."""
        each = int(self.graph.graph["cores_per_chip"])
        chips = ranks[::each] // each
        if len(ranks) % each or (ranks != (chips[:, np.newaxis] * each + np.arange(each)).ravel()).any():
            return Layout(len(ranks))
        return self.chips.layout(chips).with_cores(Layout(each, injection=self._injection("core")))

    def _machines(self, ranks: NDArray[np.int64]) -> Layout:
        """The layout of a group in a cluster, which has a shape if it is one machine after another."""
        each = int(self.graph.graph["machine_ranks"])
        servers, first = len(ranks) // each, int(ranks[0])
        if first % each or len(ranks) % each or (ranks != np.arange(first, first + len(ranks))).any():
            return Layout(len(ranks))
        machine = self._machine_of_cluster()
        return machine if servers == 1 else Layout(len(ranks), servers=servers, inner=machine, injection=self._nic_rate())

    def _machine_of_cluster(self) -> Layout:
        attributes = self.graph.graph
        dims = tuple(attributes.get("machine_dims", ()))
        return self._machine(attributes.get("machine_shape", ""), dims, int(attributes["machine_ranks"]))

    def _machine(self, shape: str, dims: tuple[int, ...], ranks: int) -> Layout:
        """The layout of the machine of the first `ranks` nodes."""
        if shape in ("torus", "hypercube", "ring"):
            return self._torus(dims or (ranks,), ranks, copies=self.ranks // ranks)
        if shape != "trn3":
            return Layout(ranks, injection=self._injection())
        chips, sleds, racks = dims
        sled = Layout(chips, injection=self._injection("sled", "tray"))
        rack = Layout(chips * sleds, servers=sleds, inner=sled, injection=self._injection("rack"))
        return rack if racks == 1 else Layout(ranks, servers=racks, inner=rack, injection=self._injection("cross-rack"))

    def _injection(self, *tiers: str) -> float:
        """bytes/s of a rank's links in these tiers (in all but NICs where none is named), of the rank with the least."""
        wanted = np.array([tier in tiers if tiers else tier != "nic" for tier in self.tiers], dtype=bool)
        out = np.flatnonzero((self.source < self.ranks) & wanted[self.tier[: self.links]])
        rates = np.array([np.bincount(self.source[out], capacity[out]) for capacity in (self.capacity, *self.slow.values())])
        return float(rates[rates > 0].min()) if len(out) else 0.0

    def _nic_rate(self) -> float:
        """bytes/s that a rank sends through its NIC when all that share the NIC do, of the rank with the least."""
        sharing = np.bincount(self.destination[self.source < self.ranks], minlength=self.nodes)
        up = np.flatnonzero((self.source >= self.ranks) & (self.destination >= self.ranks))
        nics = np.array([kind == "nic" for kind in self.kind]) & (sharing > 0)
        machines = (self.capacity, *self.slow.values())
        rates = np.array([np.bincount(self.source[up], capacity[up], minlength=self.nodes)[nics] for capacity in machines])
        return float((rates / sharing[nics]).min(initial=np.inf)) if nics.any() else 0.0

    def _torus(self, dims: tuple[int, ...], ranks: int, first: int = 0, copies: int = 1) -> Layout:
        """The layout of a torus of `ranks` nodes, of which there are so many from `first` on; its bandwidths are the least of
        each dimension."""
        if not dims:
            return Layout(ranks)
        bandwidth, stride, nodes = [], 1, np.arange(ranks * copies)
        least = np.minimum.reduce([self.capacity, *self.slow.values()])
        for size in dims:
            ahead = nodes + stride * ((nodes // stride + 1) % size - nodes // stride % size)
            links = self.link_ids(nodes + first, ahead + first)
            bandwidth.append(float(least[links[links >= 0]].min()) if (links >= 0).any() else 0.0)
            stride *= size
        return Layout(ranks, dims, tuple(bandwidth))
