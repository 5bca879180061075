"""Links that are down or slow: graph in, graph out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .parts import Graph, did_you_mean, is_number, is_whole

__all__ = ["degrade"]

Node = int | str
Pair = tuple[Node, Node]


def degrade(graph: Graph, *, down: Iterable[Pair] = (), slow: Iterable[tuple[Pair, float]] = (), cable: bool = True) -> Graph:
    """A copy of `graph` without the links in `down`, and with the bandwidth of those in `slow` times their factor.

    A link is a pair of nodes, each by number or by name; a factor lies between 0 and 1. With `cable` both directions
    of the link suffer, else only the one from the first node to the second. The graph attribute `degraded` lists what
    was done. ValueError if there is no such node or link, and on a folded cluster.

    >>> from topologies import ring
    >>> graph = degrade(ring(4, 1e9), down=[(0, 1)], slow=[(("chip 2", "chip 3"), 0.5)])
    >>> (0, 1) in graph.edges, (1, 0) in graph.edges, graph.edges[3, 2]["bandwidth"]
    (False, False, 500000000.0)
    """
    if "fold" in graph.graph:
        raise ValueError("a link of a folded cluster stands for many alike; degrade one with fold=False")
    graph = graph.copy()
    names = {attributes["name"]: node for node, attributes in graph.nodes(data=True) if "name" in attributes}
    done = list(graph.graph.get("degraded", []))
    losses: list[tuple[Pair, float]] = [(pair, 0.0) for pair in down]
    losses += [(pair, _factor(factor)) for pair, factor in slow]
    for pair, factor in losses:
        for a, b in _directions(graph, names, pair, cable):
            done.append(_lose(graph, a, b, factor))
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


def _directions(graph: Graph, names: dict[str, int], pair: Pair, cable: bool) -> list[tuple[int, int]]:
    if isinstance(pair, str) or len(pair) != 2:
        raise ValueError(f"a link is a pair of nodes, not {pair!r}")
    a, b = (_node(graph, names, node) for node in pair)
    directions = [(a, b), (b, a)] if cable else [(a, b)]
    for start, end in directions:
        if not graph.has_edge(start, end):
            ends = ", ".join(repr(_name(graph, node)) for node in list(graph.successors(start))[:8])
            raise ValueError(
                f"no link from {_name(graph, start)!r} to {_name(graph, end)!r}; "
                f"links from {_name(graph, start)!r} go to {ends or 'nowhere'}"
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
