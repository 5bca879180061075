"""What every builder is made of: the graph type, links, nodes, and checks of parameters."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Collection, Sequence
from itertools import islice, product
from typing import TYPE_CHECKING, Any, NamedTuple

import networkx as nx

if TYPE_CHECKING:
    Graph = nx.DiGraph[int]
else:
    Graph = nx.DiGraph

KINDS = ("chip", "core", "switch", "nic")
CONFIDENCES = ("official", "analyst", "press", "derived", "guess", "given")
MOST_CHIPS = 1 << 18  # more would take minutes and tens of gigabytes as a networkx graph
MOST_NAMED = 16  # names in a message; a cluster has thousands
ROUTINGS = ("shortest", "dimension_order", "trn3", "spray", "ecmp", "cluster", "cores")


class Link(NamedTuple):
    """What one direction of a link carries: bandwidth in bytes/s, latency in s, and where the numbers are from."""

    bandwidth: float
    latency: float
    tier: str
    source: str
    confidence: str


def new_graph(name: str, shape: str, routing: str, parameters: dict[str, Any], dims: Sequence[int] = ()) -> Graph:
    """An empty graph with the graph attributes of the contract; `parameters` are plain JSON values."""
    return Graph(
        name=name,
        shape=shape,
        dims=list(dims),
        preset=parameters.get("preset", ""),
        routing=routing,
        provenance={"builder": name, "parameters": parameters},
    )


def add_chips(graph: Graph, count: int) -> None:
    """Add chips as ranks 0..count-1; ValueError above MOST_CHIPS."""
    if count > MOST_CHIPS:
        raise ValueError(f"{count:,} chips are more than the {MOST_CHIPS:,} that are built one by one")
    for rank in range(count):
        graph.add_node(rank, kind="chip", name=f"chip {rank}")


def add_chips_on_grid(graph: Graph, dims: Sequence[int]) -> None:
    """Add one chip per coordinate; the first coordinate varies fastest in the rank number."""
    add_chips(graph, math.prod(dims))
    for rank, coord in enumerate(product(*(range(size) for size in reversed(dims)))):
        graph.nodes[rank]["coord"] = list(reversed(coord))


def add_node(graph: Graph, kind: str, name: str, **attributes: Any) -> int:
    """Add a node under the next free number and return the number."""
    node = len(graph)
    graph.add_node(node, kind=kind, name=name, **attributes)
    return node


def count_ranks(graph: Graph) -> int:
    """How many ranks a graph has: its cores, or its chips where there are none."""
    kind = rank_kind(graph)
    return sum(attributes.get("kind") == kind for _, attributes in graph.nodes(data=True))


def rank_kind(graph: Graph) -> str:
    """The kind of the nodes that are ranks: "core" where there are cores, else "chip"."""
    return "core" if any(attributes.get("kind") == "core" for _, attributes in graph.nodes(data=True)) else "chip"


def join(graph: Graph, a: int, b: int, link: Link, multiplicity: int | None = None) -> None:
    """Add both directions of a link between two nodes; in a folded graph with how many links like it there are."""
    attributes = link._asdict() if multiplicity is None else {**link._asdict(), "multiplicity": multiplicity}
    graph.add_edge(a, b, **attributes)
    graph.add_edge(b, a, **attributes)


def did_you_mean(word: object, choices: Collection[str]) -> str:
    """The nearest of `choices` as a question; when none is near, all of them, or some where there are many."""
    near = difflib.get_close_matches(str(word), choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(islice(choices, MOST_NAMED))}{' and others' if len(choices) > MOST_NAMED else ''}"


def choice(what: str, value: object, choices: Collection[str]) -> str:
    """`value` if it is one of `choices`, else a ValueError that names the nearest."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"unknown {what} {value!r}; {did_you_mean(value, choices)}")
    return value


def is_number(value: object) -> bool:
    """True for finite ints and floats; bool is not a number here."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_whole(value: object) -> bool:
    """True for ints; bool is not a number here."""
    return isinstance(value, int) and not isinstance(value, bool)


def positive(what: str, value: float) -> float:
    """`value` as a float if it is a finite number above zero, else a ValueError."""
    if not is_number(value) or value <= 0:
        raise ValueError(f"{what} must be a finite number above zero, not {value!r}")
    return float(value)


def not_negative(what: str, value: float) -> float:
    """`value` as a float if it is a finite number of at least zero, else a ValueError."""
    if not is_number(value) or value < 0:
        raise ValueError(f"{what} must be a finite number of at least zero, not {value!r}")
    return float(value)


def whole(what: str, value: int, least: int = 1) -> int:
    """`value` if it is a whole number of at least `least`, else a ValueError."""
    if not is_whole(value) or value < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {value!r}")
    return value
