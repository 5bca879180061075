"""Files of graphs: node-link JSON and GraphML are read and written, DOT is written.

`read` chooses by the ending of the name; READERS and WRITERS hold the functions by format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from ..parts import Graph, choice
from .dot import write_dot
from .faults import FileFaults
from .graphml import read_graphml, write_graphml
from .node_link import read_node_link, write_node_link

__all__ = [
    "READERS",
    "WRITERS",
    "FileFaults",
    "read",
    "read_graphml",
    "read_node_link",
    "write_dot",
    "write_graphml",
    "write_node_link",
]

READERS: Mapping[str, Callable[[str | PathLike[str]], Graph]] = MappingProxyType(
    {"node-link": read_node_link, "graphml": read_graphml}
)
WRITERS: Mapping[str, Callable[[Graph, str | PathLike[str]], None]] = MappingProxyType(
    {"node-link": write_node_link, "graphml": write_graphml, "dot": write_dot}
)
ENDINGS = {".json": "node-link", ".graphml": "graphml"}


def read(path: str | PathLike[str]) -> Graph:
    """The graph in a file, .json (node-link) or .graphml. ValueError if it is neither, FileFaults if it is faulty."""
    ending = choice(f"ending of {path}:", Path(path).suffix, ENDINGS)
    return READERS[ENDINGS[ending]](path)
