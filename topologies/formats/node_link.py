"""Node-link JSON: {"directed": true, "multigraph": false, "graph": {...}, "nodes": [...], "edges": [...]}.

As networkx writes it with edges="edges", so `networkx.node_link_graph(data, edges="edges")` reads it. There the keys
"source" and "target" are the ends of an edge; the edge attribute `source` (where the numbers are from) is therefore
written under "document".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from ..parts import Graph
from . import finite_json
from .faults import FileFaults

__all__ = ["read_node_link", "write_node_link"]


def write_node_link(graph: Graph, path: str | PathLike[str]) -> None:
    """Write a graph as node-link JSON. ValueError if an attribute is not a JSON value, or inf or nan."""
    data = {
        "directed": True,
        "multigraph": False,
        "graph": graph.graph,
        "nodes": [{**_free(attributes, "id"), "id": node} for node, attributes in graph.nodes(data=True)],
        "edges": [
            {**_document(_free(attributes, "target", "document")), "source": a, "target": b}
            for a, b, attributes in graph.edges(data=True)
        ],
    }
    try:
        text = json.dumps(data, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the graph does not fit into JSON: {error}") from None
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_node_link(path: str | PathLike[str]) -> Graph:
    """Read a graph from node-link JSON.

    ValueError, with line and column, if it is no such JSON; FileFaults with all nodes and edges that are faulty.
    """
    try:
        data = finite_json.loads(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}:{error}") from None
    faults: list[str] = []
    try:
        graph = _graph(data, faults)
    except ValueError as error:
        faults = [str(error)]
    if faults:
        raise FileFaults(path, faults)
    return graph


def _graph(data: object, faults: list[str]) -> Graph:
    """The graph of the sound nodes and edges; what is wrong with the others goes to `faults`."""
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), list) or not isinstance(data.get("edges"), list):
        raise ValueError("node-link JSON is an object with the lists 'nodes' and 'edges'")
    if data.get("directed") is not True or data.get("multigraph", False) is not False:
        raise ValueError("the graph must have 'directed': true and 'multigraph': false")
    attributes = data.get("graph", {})
    if not isinstance(attributes, dict):
        raise ValueError(f"'graph' must be an object, not {attributes!r}")
    graph = Graph()
    graph.graph.update(attributes)
    for place, node in enumerate(data["nodes"]):
        with _noting(faults):
            _add_node(graph, node, f"nodes[{place}]")
    known = None if faults else frozenset(graph)
    for place, edge in enumerate(data["edges"]):
        with _noting(faults):
            _add_edge(graph, edge, f"edges[{place}]", known)
    return graph


@contextmanager
def _noting(faults: list[str]) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        faults.append(str(error))


def _add_node(graph: Graph, node: dict[str, Any], where: str) -> None:
    number = _end(node, "id", where)
    if number in graph:
        raise ValueError(f"{where}: node {number!r} is there twice")
    graph.add_node(number)
    graph.nodes[number].update({name: value for name, value in node.items() if name != "id"})


def _add_edge(graph: Graph, edge: dict[str, Any], where: str, known: frozenset[int] | None) -> None:
    """known: all nodes; None if some are faulty, so that an edge may be meant to end there."""
    a, b = _end(edge, "source", where), _end(edge, "target", where)
    for node in (a, b):
        if known is not None and node not in known:
            raise ValueError(f"{where}: there is no node {node!r}")
    if graph.has_edge(a, b):
        raise ValueError(f"{where}: the link {a!r} -> {b!r} is there twice")
    graph.add_edge(a, b)
    names = {name: "source" if name == "document" else name for name in edge if name not in ("source", "target")}
    graph.edges[a, b].update({new: edge[name] for name, new in names.items()})


def _end(item: object, key: str, where: str) -> int:
    """The node number under `key`; `topologies.check` complains of ids that are text."""
    if not isinstance(item, dict) or key not in item:
        raise ValueError(f"{where} must be an object with {key!r}")
    node = item[key]
    if not isinstance(node, (int, str)) or isinstance(node, bool):
        raise ValueError(f"{where}: {key} must be the number of a node, not {node!r}")
    return node  # type: ignore[return-value]


def _free(attributes: dict[str, Any], *reserved: str) -> dict[str, Any]:
    for name in reserved:
        if name in attributes:
            raise ValueError(f"an attribute must not be called {name!r}: node-link JSON uses the key itself")
    return attributes


def _document(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"document" if name == "source" else name: value for name, value in attributes.items()}
