"""Links that are down or slow: graph in, graph out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .folded import name_in_machine, place_of
from .parts import Graph, did_you_mean, is_number, is_whole

__all__ = ["degrade"]

Node = int | str
Pair = tuple[Node, Node]


def degrade(graph: Graph, *, down: Iterable[Pair] = (), slow: Iterable[tuple[Pair, float]] = (), cable: bool = True) -> Graph:
    """A copy of `graph` without the links in `down`, and with the bandwidth of those in `slow` times their factor.

    A link is a pair of nodes, each by number or by name; a factor lies between 0 and 1. With `cable` both directions
    of the link suffer, else only the one from the first node to the second. The graph attribute `degraded` lists what
    was done. ValueError if there is no such node or link.

    In a folded cluster single machines may have slow links: between chips, switches inside, NICs and ToRs, with the ranks
    and names of the cluster in full. The link that stands for those of all machines keeps its bandwidth; the record says in
    which `machine` it is slow, and between which nodes (`of`) of the folded graph it is.

    >>> from topologies import ring
    >>> graph = degrade(ring(4, 1e9), down=[(0, 1)], slow=[(("chip 2", "chip 3"), 0.5)])
    >>> (0, 1) in graph.edges, (1, 0) in graph.edges, graph.edges[3, 2]["bandwidth"]
    (False, False, 500000000.0)
    """
    graph = graph.copy()
    names = {attributes["name"]: node for node, attributes in graph.nodes(data=True) if "name" in attributes}
    done = list(graph.graph.get("degraded", []))
    losses: list[tuple[Pair, float]] = [(pair, 0.0) for pair in down]
    losses += [(pair, _factor(factor)) for pair, factor in slow]
    for pair, factor in losses:
        if "fold" in graph.graph:
            done += _lose_in_one_machine(graph, pair, factor, cable)
        else:
            ends = [_node(graph, names, node) for node in _both(pair)]
            done += [_lose(graph, a, b, factor) for a, b in _directions(graph, ends, cable, partial(_name, graph))]
    graph.graph["degraded"] = done
    return graph


def _lose(graph: Graph, a: int, b: int, factor: float) -> dict[str, Any]:
    """Take the link from a to b down (factor 0) or slow it, and say so."""
    record: dict[str, Any] = {"from": _name(graph, a), "to": _name(graph, b), "factor": factor}
    if factor == 0.0:
        graph.remove_edge(a, b)
        return record
    link = graph.edges[a, b]
    link["bandwidth"] *= factor
    link["source"] = f"{link.get('source', 'no source')}; slowed to {factor:g} of it"
    return record


def _lose_in_one_machine(graph: Graph, pair: Pair, factor: float, cable: bool) -> Iterator[dict[str, Any]]:
    """The records of a link that is slow in one machine of a folded cluster."""
    if factor == 0.0:
        raise ValueError("a link that is down sends the traffic of one machine another way: that needs fold=False")
    if graph.graph["fold"].get("unit", 1) > 1:
        raise ValueError("a slow link in one machine, where several machines together stand for all, needs fold=False")
    start, end = _both(pair)
    (machine, a), (another, b) = place_of(graph, start), place_of(graph, end)
    if machine != another:
        raise ValueError(f"no link from {start!r} to {end!r}: they are in two machines")
    name = partial(name_in_machine, graph, machine=machine)
    for one, other in _directions(graph, [a, b], cable, name):
        yield {"from": name(one), "to": name(other), "factor": factor, "machine": machine, "of": [one, other]}


def _both(pair: Pair) -> Pair:
    if isinstance(pair, str) or len(pair) != 2:
        raise ValueError(f"a link is a pair of nodes, not {pair!r}")
    return pair


def _directions(graph: Graph, ends: Sequence[int], cable: bool, name: Callable[[int], str]) -> list[tuple[int, int]]:
    a, b = ends
    directions = [(a, b), (b, a)] if cable else [(a, b)]
    for start, end in directions:
        if not graph.has_edge(start, end):
            known = ", ".join(repr(name(node)) for node in list(graph.successors(start))[:8])
            raise ValueError(
                f"no link from {name(start)!r} to {name(end)!r}; links from {name(start)!r} go to {known or 'nowhere'}"
            )
    return directions


def _node(graph: Graph, names: dict[str, int], node: Node) -> int:
    if isinstance(node, str):
        if node not in names:
            raise ValueError(f"no node is named {node!r}; {did_you_mean(node, list(names)[:1000])}")
        return names[node]
    if not is_whole(node) or node not in graph:
        raise ValueError(f"no node {node!r}; nodes are 0..{len(graph) - 1}")
    return node


def _name(graph: Graph, node: int) -> str:
    return str(graph.nodes[node].get("name", node))


def _factor(factor: float) -> float:
    if not is_number(factor) or not 0 < factor <= 1:
        raise ValueError(f"the factor of a slow link must lie between 0 and 1, not {factor!r}; use down for a lost link")
    return float(factor)
