"""GraphML. It knows numbers, truth values and text alone, so other values are written as text: "json:" and their JSON.

Text that XML would not give back unchanged is written so too.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from ..parts import Graph
from . import finite_json
from .faults import FileFaults

__all__ = ["read_graphml", "write_graphml"]

MARK = "json:"


def write_graphml(graph: Graph, path: str | PathLike[str]) -> None:
    """Write a graph as GraphML. ValueError if an attribute is neither a JSON value nor finite."""
    encoded = graph.copy()
    for attributes in _all_attributes(encoded):
        for name, value in attributes.items():
            attributes[name] = _encode(path, name, value)
    buffer = io.BytesIO()
    nx.write_graphml_xml(encoded, buffer)
    Path(path).write_bytes(buffer.getvalue())


def read_graphml(path: str | PathLike[str]) -> Graph:
    """Read a graph from GraphML. ValueError if it is faulty, undirected, or its node ids are not whole numbers.

    FileFaults, a ValueError, holds all node ids and attributes that are faulty.
    """
    try:
        named = nx.read_graphml(io.BytesIO(Path(path).read_bytes()))
    except ParseError as error:
        line, column = error.position
        raise ValueError(f"{path}:{line}:{column + 1}: not well-formed XML") from None
    except (nx.NetworkXError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a GraphML graph: {error}") from None
    if not isinstance(named, nx.DiGraph) or named.is_multigraph():
        raise ValueError(f"{path}: the graph must be directed and without parallel edges")
    if odd := [node for node in named if not re.fullmatch("0|-?[1-9][0-9]*", node)]:
        raise FileFaults(path, [f"a node id is a whole number, not {node!r}" for node in odd])
    graph = nx.relabel_nodes(named, int)
    # networkx leaves these two behind: they are not attributes of the file.
    for name in ("node_default", "edge_default"):
        graph.graph.pop(name, None)
    faults: list[str] = []
    for attributes in _all_attributes(graph):
        for name, value in attributes.items():
            try:
                attributes[name] = _decode(value)
            except ValueError as error:
                faults.append(f"attribute {name!r} {error}")
    if faults:
        raise FileFaults(path, faults)
    return graph


def _all_attributes(graph: Graph) -> Iterator[dict[str, Any]]:
    yield graph.graph
    yield from (attributes for _, attributes in graph.nodes(data=True))
    yield from (attributes for _, _, attributes in graph.edges(data=True))


def _encode(path: str | PathLike[str], name: str, value: Any) -> Any:
    if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str) and value and value.isprintable() and not value.startswith(MARK):
        return value
    try:
        return MARK + json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: attribute {name!r} does not fit into a file: {error}") from None


def _decode(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be finite, not {value}")
    if isinstance(value, str) and value.startswith(MARK):
        try:
            return finite_json.loads(value.removeprefix(MARK))
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}") from None
    return value
