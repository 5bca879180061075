"""Single machines of a folded cluster, of which the graph holds one that stands for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .parts import Graph, did_you_mean, is_whole

__all__ = ["name_in_machine", "place_of", "set_apart", "slow_links"]

SHARED = ("leaf", "spine")  # tiers of the switches that serve all machines


def place_of(graph: Graph, node: int | str) -> tuple[int, int]:
    """The machine of a node of the cluster in full, given by rank or by name, and the node that stands for it.

    ValueError if there is no such node, or if it serves all machines.

    >>> from topologies import efa_cluster
    >>> graph = efa_cluster("trn2", 4, fold=True)
    >>> machine, node = place_of(graph, "nic 37")
    >>> machine, graph.nodes[node]["name"], name_in_machine(graph, node, 3)
    (2, 'nic 5', 'nic 53')
    """
    machines, ranks = graph.graph["servers"], graph.graph["machine_ranks"]
    if is_whole(node):
        if not 0 <= int(node) < machines * ranks:
            raise ValueError(f"no rank {node!r}; ranks are 0..{machines * ranks - 1}, all else of a folded cluster has a name")
        node = f"chip {node}"
    kind, number, *inside = f"{node} ".split(" ", 2)
    if kind in SHARED:
        raise ValueError(f"{node!r} serves all machines: that needs fold=False")
    each = _per_machine(graph)[kind]
    machine, local = divmod(int(number), each) if number.isdecimal() and each else (machines, 0)
    names = {data["name"]: like for like, data in graph.nodes(data=True)}
    like = names.get(" ".join((kind, str(local), *inside)).rstrip())
    if machine >= machines or like is None:
        known = [*names, *(name_in_machine(graph, one, machines - 1) for one in names.values())]
        raise ValueError(f"no node is named {node!r}; {did_you_mean(node, known)}")
    return machine, like


def name_in_machine(graph: Graph, node: int, machine: int) -> str:
    """The name that what a node of a folded cluster is in a machine has in the cluster in full."""
    name = str(graph.nodes[node]["name"])
    return name if _is_shared(graph, node) else _renamed(name, machine, _per_machine(graph))


def slow_links(graph: Graph) -> dict[int, dict[tuple[int, int], float]]:
    """For each machine of a folded cluster that has slow links: the factor on the bandwidth of each, by its two nodes."""
    slow: dict[int, dict[tuple[int, int], float]] = {}
    for record in graph.graph.get("degraded", []) if "fold" in graph.graph else []:
        mine, link = slow.setdefault(record["machine"], {}), (record["of"][0], record["of"][1])
        mine[link] = mine.get(link, 1.0) * record["factor"]
    return slow


def set_apart(graph: Graph, other: int) -> Graph:
    """The folded `graph` with the machines that have slow links beside the one that stands for all others.

    other: the machine in whose name the latter appears. Nodes say in `machine` whose they are, -1 for the switches that serve
    all, and in `like` which node of `graph` they are. The result is for reports: nothing is routed on it.
    """
    count, ranks, slow = graph.graph["servers"], graph.graph["machine_ranks"], slow_links(graph)
    stands = {other: count - len(slow), **dict.fromkeys(slow, 1)}
    each = _per_machine(graph)
    own = [node for node in sorted(graph) if not _is_shared(graph, node)]
    copies = [(machine, node) for inner in (False, True) for machine in stands for node in own if (node >= ranks) == inner]
    copies += [(-1, node) for node in sorted(graph) if _is_shared(graph, node)]
    apart = Graph(**{name: value for name, value in graph.graph.items() if name != "fold"})
    for number, (machine, node) in enumerate(copies):
        apart.add_node(number, **{**graph.nodes[node], "machine": machine, "like": node})
        if machine >= 0:
            name = _renamed(graph.nodes[node]["name"], machine, each)
            apart.nodes[number].update(name=name, multiplicity=stands[machine])
    numbers = {copy: number for number, copy in enumerate(copies)}
    for a, b, link in graph.edges(data=True):
        for machine in [-1] if _is_shared(graph, a) and _is_shared(graph, b) else stands:
            start, end = (numbers[-1 if _is_shared(graph, node) else machine, node] for node in (a, b))
            apart.add_edge(start, end, **link)
            if machine >= 0:
                apart.edges[start, end]["multiplicity"] = link["multiplicity"] // count * stands[machine]
            if (factor := slow.get(machine, {}).get((a, b))) is not None:
                apart.edges[start, end]["bandwidth"] *= factor
                apart.edges[start, end]["source"] += f"; slowed to {factor:g} of it"
    return apart


def _is_shared(graph: Graph, node: int) -> bool:
    return graph.nodes[node].get("tier") in SHARED


def _per_machine(graph: Graph) -> Counter[str]:
    """How many nodes of each kind of name a machine has; one for the switches inside, which are named after their machine."""
    kinds = Counter(str(data["name"]).partition(" ")[0] for _, data in graph.nodes(data=True))
    kinds["machine"] = 1
    return kinds


def _renamed(name: str, machine: int, each: Mapping[str, int]) -> str:
    """ "nic 5" of the first machine as that of another, with so many nodes of each kind in each."""
    kind, number, *inside = name.split(" ", 2)
    return " ".join((kind, str(int(number) + machine * each[kind]), *inside))
