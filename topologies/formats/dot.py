"""DOT, the language of Graphviz; it is only written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from ..parts import Graph

__all__ = ["write_dot"]

NODE_SHAPES = {"switch": "box", "nic": "diamond"}


def write_dot(graph: Graph, path: str | PathLike[str]) -> None:
    """Write a graph as DOT: nodes under their names, links labelled with their tier and GB/s (decimal)."""
    Path(path).write_text("\n".join(_lines(graph)) + "\n", encoding="utf-8")


def _lines(graph: Graph) -> Iterator[str]:
    yield f"digraph {_quoted(graph.graph.get('name', 'fabric'))} {{"
    for node, attributes in graph.nodes(data=True):
        shape = NODE_SHAPES.get(attributes["kind"], "ellipse")
        yield f"  {node} [label={_quoted(attributes.get('name', node))}, shape={shape}];"
    for a, b, attributes in graph.edges(data=True):
        label = f"{attributes.get('tier', 'link')} {attributes['bandwidth'] / 1e9:g} GB/s"
        yield f"  {a} -> {b} [label={_quoted(label)}];"
    yield "}"


def _quoted(text: object) -> str:
    return json.dumps(str(text), ensure_ascii=False)
