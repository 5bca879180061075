"""What is wrong with a graph, measured against the contract: all faults at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import networkx as nx

from .parts import CONFIDENCES, KINDS, ROUTINGS, Graph, count_ranks, did_you_mean, is_number, is_whole, rank_kind

__all__ = ["check"]

GRID_SHAPES = ("ring", "mesh", "torus", "hypercube")
Test = tuple[Callable[[Any], bool], str]

POSITIVE: Test = (lambda value: is_number(value) and value > 0, "a finite number above zero")
NOT_NEGATIVE: Test = (lambda value: is_number(value) and value >= 0, "a finite number of at least zero")
COUNT: Test = (lambda value: is_whole(value) and value >= 1, "a whole number of at least 1")
WHOLE: Test = (is_whole, "a whole number")
INDEX: Test = (lambda value: is_whole(value) and value >= 0, "a whole number of at least 0")
TEXT: Test = (lambda value: isinstance(value, str), "text")
INDICES: Test = (
    lambda value: isinstance(value, list) and all(is_whole(item) and item >= 0 for item in value),
    "a list of whole numbers of at least 0",
)
SIZES: Test = (
    lambda value: isinstance(value, list) and all(is_whole(item) and item >= 1 for item in value),
    "a list of whole numbers of at least 1",
)
MAPPING: Test = (lambda value: isinstance(value, dict), "a mapping")

NODE_TESTS = {
    "name": TEXT,
    "coord": INDICES,
    "rack": INDEX,
    "server": INDEX,
    "machine": WHOLE,
    "tier": TEXT,
    "resources": MAPPING,
    "multiplicity": COUNT,
}
EDGE_TESTS = {"bandwidth": POSITIVE, "latency": NOT_NEGATIVE, "tier": TEXT, "source": TEXT, "multiplicity": COUNT}
RANGES = {"bandwidth": (1e-3, 1e18), "latency": (0.0, 1e9)}  # bytes/s, s
RESOURCE_TESTS = {
    "bandwidth": POSITIVE,
    "send": NOT_NEGATIVE,
    "receive": NOT_NEGATIVE,
    "reduce": NOT_NEGATIVE,
    "source": TEXT,
}
GRAPH_TESTS = {"name": TEXT, "shape": TEXT, "preset": TEXT, "dims": SIZES, "provenance": MAPPING, "overheads": MAPPING}
CLUSTER_TESTS = {"servers": COUNT, "machine_ranks": COUNT, "machine_shape": TEXT, "machine_dims": SIZES}
CORES_TESTS = {"cores_per_chip": COUNT, "chip_shape": TEXT, "chip_dims": SIZES}
FOLD_TESTS = {"machines": COUNT, "pods": COUNT, "unit": COUNT}
OVERHEAD_TESTS = {"alpha_link": NOT_NEGATIVE, "alpha_efa": NOT_NEGATIVE, "source": TEXT}


def check(graph: Graph) -> list[str]:
    """Every fault of `graph` against the contract of this package, one sentence each; an empty list is a good graph.

    >>> import networkx
    >>> graph = networkx.DiGraph([(0, 1, {"bandwidth": -1.0})])
    >>> graph.add_nodes_from([0, 1], kind="chip")
    >>> check(graph)
    ['link 0 -> 1: bandwidth must be a finite number above zero, not -1.0']
    """
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        return [f"the graph must be a networkx.DiGraph without parallel edges, not {type(graph).__name__}"]
    return [*_node_number_faults(graph), *_node_faults(graph), *_edge_faults(graph), *_graph_faults(graph)]


def _node_number_faults(graph: Graph) -> Iterator[str]:
    odd = [node for node in graph if not is_whole(node)]
    if odd:
        yield f"nodes must be whole numbers, not {_some(odd)}"
        return
    missing = sorted(set(range(len(graph))).difference(graph))
    if missing:
        yield f"nodes must be numbered 0..{len(graph) - 1} without gaps; missing {_some(missing)}"
    kind = rank_kind(graph)
    ranks = [node for node, attributes in graph.nodes(data=True) if attributes.get("kind") == kind]
    if not ranks:
        yield "the graph has no ranks: no node is of kind 'chip'"
    late = sorted(node for node in ranks if node >= len(ranks))
    if late and not missing:
        yield f"ranks must be numbered 0..{len(ranks) - 1}, before switches and NICs; {_some(late)} come later"


def _node_faults(graph: Graph) -> Iterator[str]:
    names = Counter(str(attributes.get("name")) for _, attributes in graph.nodes(data=True))
    for node, attributes in graph.nodes(data=True):
        where = f"node {node!r}"
        yield from _word_faults(where, "kind", attributes, KINDS, required=True)
        yield from _faults(where, attributes, NODE_TESTS)
        name = attributes.get("name")
        if isinstance(name, str) and names[name] > 1:
            yield f"{where}: name {name!r} is not unique"
        yield from _resource_faults(where, attributes.get("resources"))


def _resource_faults(where: str, resources: object) -> Iterator[str]:
    if not isinstance(resources, dict):
        return
    for name, resource in resources.items():
        if isinstance(resource, dict):
            yield from _faults(f"{where}, resource {name!r}", resource, RESOURCE_TESTS, required=["bandwidth"])
        else:
            yield f"{where}: resource {name!r} must be a mapping, not {resource!r}"


def _edge_faults(graph: Graph) -> Iterator[str]:
    for a, b, attributes in graph.edges(data=True):
        where = f"link {a!r} -> {b!r}"
        if a == b:
            yield f"{where}: a link must join two nodes"
        yield from _faults(where, attributes, EDGE_TESTS, required=["bandwidth"])
        yield from _range_faults(where, attributes)
        yield from _word_faults(where, "confidence", attributes, CONFIDENCES)


def _range_faults(where: str, attributes: dict[str, Any]) -> Iterator[str]:
    """Sound numbers with which times and bytes would leave the range of numbers."""
    for name, (least, most) in RANGES.items():
        value = attributes.get(name, 0)
        if is_number(value) and value > 0 and not least <= value <= most:
            yield f"{where}: {name} must be within {least:g} and {most:g}, not {value!r}"


def _graph_faults(graph: Graph) -> Iterator[str]:
    yield from _faults("graph", graph.graph, GRAPH_TESTS)
    yield from _word_faults("graph", "routing", graph.graph, ROUTINGS)
    overheads = graph.graph.get("overheads")
    if isinstance(overheads, dict):
        yield from _faults("graph, overheads", overheads, OVERHEAD_TESTS)
    yield from _cluster_faults(graph)
    yield from _core_faults(graph)
    yield from _fold_faults(graph)
    yield from _grid_faults(graph)


def _cluster_faults(graph: Graph) -> Iterator[str]:
    """Faults of what a cluster says of its machines, which routing and algorithms compute with."""
    about = graph.graph
    if "cluster" not in (about.get("shape"), about.get("routing")):
        return
    routings = tuple(routing for routing in ROUTINGS if routing != "cluster")
    yield from _word_faults("graph, a cluster", "machine_routing", about, routings, required=True)
    grid = about.get("machine_shape") in (*GRID_SHAPES, "trn3") or about.get("machine_routing") == "dimension_order"
    shape = ["machine_shape", "machine_dims"] if grid else []
    wrong = list(_faults("graph, a cluster", about, CLUSTER_TESTS, required=["servers", "machine_ranks", *shape]))
    yield from wrong
    if wrong:
        return
    servers, each, dims = about["servers"], about["machine_ranks"], about.get("machine_dims", [])
    folded = any("multiplicity" in attributes for _, attributes in graph.nodes(data=True))
    if not folded and servers * each != count_ranks(graph):
        yield f"graph: {servers} servers of {each} ranks make {servers * each}, but there are {count_ranks(graph)}"
    if (grid or dims) and math.prod(dims) != each:
        yield f"graph: machine_dims {dims} make {math.prod(dims)} ranks, but a machine has {each}"
    if about.get("machine_shape") == "trn3" and len(dims) != 3:
        yield f"graph: machine_dims of shape trn3 are chips, sleds and racks, not {dims}"


def _core_faults(graph: Graph) -> Iterator[str]:
    """Faults of a graph whose ranks are cores: each is linked to its chip, which comes after all cores, and to it alone."""
    if "cores" not in (graph.graph.get("shape"), graph.graph.get("routing")):
        return
    yield from _faults("graph, cores", graph.graph, CORES_TESTS, required=["cores_per_chip"])
    yield from _word_faults("graph, cores", "chip_routing", graph.graph, ROUTINGS, required=True)
    each: Any = graph.graph.get("cores_per_chip")
    first = count_ranks(graph)
    if rank_kind(graph) != "core" or not COUNT[0](each):
        yield "graph: a graph of shape cores needs nodes of kind 'core'"
        return
    for core in range(first):
        chip = first + core // each
        if core not in graph or list(graph.successors(core)) != [chip] or list(graph.predecessors(core)) != [chip]:
            yield f"node {core}: core {core % each} of chip {core // each} must be linked to node {chip}, and to no other"
            return


def _fold_faults(graph: Graph) -> Iterator[str]:
    """Faults of a folded cluster, of which there is one machine only, or a unit of several."""
    if "fold" not in graph.graph:
        return
    fold, ranks = graph.graph["fold"], count_ranks(graph)
    if graph.graph.get("shape") != "cluster" or not isinstance(fold, dict):
        yield f"graph: fold is for clusters, a mapping of machines and pods, not {fold!r}"
        return
    yield from _faults("graph, fold", fold, FOLD_TESTS, required=["machines", "pods"])
    if fold.get("machines") != graph.graph.get("servers"):
        yield f"graph: {graph.graph.get('servers')!r} servers, but fold has {fold.get('machines')!r} machines"
    unit, each = fold.get("unit", 1), graph.graph.get("machine_ranks")
    if not (COUNT[0](unit) and COUNT[0](each)):
        return
    if COUNT[0](fold.get("machines")):
        yield from _slow_faults(graph)
    if COUNT[0](fold.get("machines")) and fold["machines"] % unit:
        yield f"graph: a unit of {unit} does not divide the {fold['machines']} machines of a folded cluster"
    if unit * each != ranks:
        some = "one machine" if unit == 1 else f"{unit} machines"
        yield f"graph: a folded cluster has the {unit * each} ranks of {some}, not {ranks}"


def _slow_faults(graph: Graph) -> Iterator[str]:
    """Faults of the records of slow links in single machines of a folded cluster."""
    for record in graph.graph.get("degraded", []):
        link = record.get("of") if isinstance(record, dict) else None
        if not INDICES[0](link) or not isinstance(link, list) or len(link) != 2 or not graph.has_edge(*link):
            yield f"graph: degraded, in a folded cluster, needs in `of` the two nodes of a link, not {link!r}"
            continue
        machine, factor = record.get("machine"), record.get("factor")
        if not INDEX[0](machine) or machine >= graph.graph["fold"]["machines"]:
            yield f"graph: degraded needs one of the {graph.graph['fold']['machines']} machines, not {machine!r}"
        if not is_number(factor) or not 0 < factor <= 1:
            yield f"graph: degraded needs a factor between 0 and 1, not {factor!r}"


def _grid_faults(graph: Graph) -> Iterator[str]:
    """Faults of `dims` and `coord`, which routing and algorithms compute with."""
    dims = graph.graph.get("dims") or []
    ranks = count_ranks(graph)
    if not SIZES[0](dims):
        return
    if dims and math.prod(dims) != ranks:
        yield f"graph: dims {dims} make {math.prod(dims)} ranks, but there are {ranks}"
    elif not dims and (graph.graph.get("shape") in GRID_SHAPES or graph.graph.get("routing") == "dimension_order"):
        yield "graph: a grid needs dims, the list of its sizes"
    elif graph.graph.get("shape") == "trn3" and len(dims) != 3:
        yield f"graph: dims of shape trn3 are chips, sleds and racks, not {dims}"
    elif dims:
        yield from _coord_faults(graph, dims)


def _coord_faults(graph: Graph, dims: list[int]) -> Iterator[str]:
    for rank in range(math.prod(dims)):
        expected, rest = [], rank
        for size in dims:
            rest, position = divmod(rest, size)
            expected.append(position)
        coord = graph.nodes[rank].get("coord") if rank in graph else expected
        if coord != expected:
            yield f"node {rank}: coord must be {expected} in a grid of {dims}, not {coord!r}"


def _faults(where: str, attributes: dict[str, Any], tests: dict[str, Test], required: list[str] | None = None) -> Iterator[str]:
    for name, (passes, expected) in tests.items():
        if name in attributes:
            if not passes(attributes[name]):
                yield f"{where}: {name} must be {expected}, not {attributes[name]!r}"
        elif name in (required or ()):
            yield f"{where}: {name} is missing"


def _word_faults(
    where: str, name: str, attributes: dict[str, Any], words: tuple[str, ...], required: bool = False
) -> Iterator[str]:
    if name not in attributes:
        if required:
            yield f"{where}: {name} is missing"
    elif attributes[name] not in words:
        yield f"{where}: unknown {name} {attributes[name]!r}; {did_you_mean(attributes[name], words)}"


def _some(items: list[Any], most: int = 5) -> str:
    shown = ", ".join(repr(item) for item in items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
