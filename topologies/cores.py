"""Machines and clusters whose ranks are cores: graph -> graph, and back to the chips."""

from __future__ import annotations

from typing import NamedTuple

import networkx as nx

from .parts import MOST_CHIPS, Graph, Link, count_ranks, is_whole, join, rank_kind, whole

__all__ = ["chips_of", "with_cores"]

OWN = ("shape", "dims", "routing")  # of the chips; with cores as ranks they are called chip_shape, chip_dims, chip_routing
MACHINES = ("rack", "server", "machine")


class Cores(NamedTuple):
    """The cores of a chip: how many, the chip's HBM in bytes/s, its source, and how many may make one logical core (LNC)."""

    physical: int
    hbm: float
    source: str
    together: tuple[int, ...] = (1, 2)


def logical(graph: Graph, lnc: int | None, cores: Cores) -> Graph:
    """The machine with its logical NeuronCores as ranks, where `lnc` says how many physical ones make one."""
    if lnc is None:
        return graph
    if not is_whole(lnc) or lnc not in cores.together:
        raise ValueError(f"lnc must be {' or '.join(map(str, cores.together))}, not {lnc!r}")
    per_chip = cores.physical // lnc
    source = (
        f"guess: an equal share of the chip's HBM bandwidth, {cores.hbm / 1e12:g} TB/s ({cores.source}), for what a logical "
        "core sends and as much for what it receives"
    )
    return with_cores(graph, per_chip, Link(cores.hbm / per_chip, 0.0, "core", source, "guess"))


def with_cores(graph: Graph, per_chip: int, link: Link) -> Graph:
    """A copy of a fabric in which `per_chip` cores of every chip are the ranks, each joined to its chip by `link`.

    Core i of chip c is rank c * per_chip + i; the chips and all other nodes are numbered after the cores, in the order they
    had. The graph attributes `chip_shape`, `chip_dims` and `chip_routing` say what the chips are among each other; routes
    are from the core to its chip, between chips as without cores, and from the chip to the core. ValueError on a folded
    cluster and where the ranks are cores already.

    >>> from topologies import ring
    >>> cores = with_cores(ring(3, 1e9), 2, Link(5e9, 0.0, "core", "an example", "given"))
    >>> cores.nodes[5]["name"], sorted(cores.successors(5)), sorted(cores.successors(8))
    ('core 2.1', [8], [4, 5, 6, 7])
    """
    per_chip, chips = whole("per_chip", per_chip), count_ranks(graph)
    if "fold" in graph.graph:
        raise ValueError("a folded cluster has no cores as ranks: build it with fold=False")
    if rank_kind(graph) == "core":
        raise ValueError(f"the ranks of {graph.graph.get('name')} are cores already")
    first = chips * per_chip
    refuse_many(first)
    about = {name: value for name, value in graph.graph.items() if name not in OWN}
    about |= {f"chip_{name}": graph.graph[name] for name in OWN if name in graph.graph}
    about.setdefault("chip_routing", "shortest")
    if "machine_ranks" in about:
        about["machine_ranks"] *= per_chip
    cores = Graph(**about, cores_per_chip=per_chip, shape="cores", routing="cores")
    for rank in range(first):
        chip = graph.nodes[rank // per_chip]
        where = {name: chip[name] for name in MACHINES if name in chip}
        cores.add_node(rank, kind="core", name=f"core {rank // per_chip}.{rank % per_chip}", **where)
    for node in sorted(graph):
        cores.add_node(node + first, **graph.nodes[node])
    cores.add_edges_from((a + first, b + first, attributes) for a, b, attributes in graph.edges(data=True))
    for rank in range(first):
        join(cores, rank, first + rank // per_chip, link)
    return cores


def chips_of(graph: Graph) -> Graph:
    """The fabric of which `with_cores` made `graph`: its chips are the ranks again.

    >>> from topologies import ring
    >>> cores = with_cores(ring(3, 1e9), 2, Link(5e9, 0.0, "core", "an example", "given"))
    >>> sorted(chips_of(cores).edges) == sorted(ring(3, 1e9).edges)
    True
    """
    first = count_ranks(graph)
    chips: Graph = nx.relabel_nodes(graph.subgraph(range(first, len(graph))), {node: node - first for node in graph})
    chips.graph = {name: value for name, value in graph.graph.items() if name not in (*OWN, "cores_per_chip")}
    for name in OWN:
        if f"chip_{name}" in chips.graph:
            chips.graph[name] = chips.graph.pop(f"chip_{name}")
    if "machine_ranks" in chips.graph:
        chips.graph["machine_ranks"] //= graph.graph["cores_per_chip"]
    return chips


def cores_of(graph: Graph) -> tuple[int, Link] | None:
    """How many cores each chip has and their link, as `with_cores` takes them; None where the chips are the ranks."""
    if rank_kind(graph) != "core":
        return None
    attributes = graph.edges[0, count_ranks(graph)]
    return int(graph.graph["cores_per_chip"]), Link(*(attributes[name] for name in Link._fields))


def refuse_many(cores: int) -> None:
    """ValueError where they are more than are built one by one."""
    if cores > MOST_CHIPS:
        raise ValueError(f"{cores:,} cores are more than the {MOST_CHIPS:,} ranks that are built one by one")
