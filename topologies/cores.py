"""Machines whose ranks are cores: graph -> graph."""

from __future__ import annotations

from .parts import Graph, Link, count_ranks, join, whole

__all__ = ["with_cores"]


def with_cores(graph: Graph, per_chip: int, link: Link) -> Graph:
    """A copy of a machine in which `per_chip` cores of every chip are the ranks, each joined to its chip by `link`.

    Core i of chip c is rank c * per_chip + i; the chips and all other nodes are numbered after the cores, in the order they
    had. The graph attributes `chip_shape` and `chip_dims` say what the chips are among each other; routes are from the core
    to its chip, in dimension order between chips, and from the chip to the core. ValueError on a machine that does not
    route in dimension order.

    >>> from topologies import ring
    >>> cores = with_cores(ring(3, 1e9), 2, Link(5e9, 0.0, "core", "an example", "given"))
    >>> cores.nodes[5]["name"], sorted(cores.successors(5)), sorted(cores.successors(8))
    ('core 2.1', [8], [4, 5, 6, 7])
    """
    per_chip = whole("per_chip", per_chip)
    if graph.graph.get("routing") != "dimension_order" or "fold" in graph.graph:
        raise ValueError(f"cores are for machines that route in dimension order; {graph.graph.get('name')} does not")
    chips = count_ranks(graph)
    first = chips * per_chip
    about = {name: value for name, value in graph.graph.items() if name not in ("shape", "dims", "routing")}
    chip = {"chip_shape": graph.graph["shape"], "chip_dims": graph.graph["dims"], "cores_per_chip": per_chip}
    cores = Graph(**about, **chip, shape="cores", routing="cores")
    for rank in range(first):
        where = {
            name: graph.nodes[rank // per_chip][name] for name in ("rack", "server") if name in graph.nodes[rank // per_chip]
        }
        cores.add_node(rank, kind="core", name=f"core {rank // per_chip}.{rank % per_chip}", **where)
    for node in sorted(graph):
        cores.add_node(node + first, **graph.nodes[node])
    cores.add_edges_from((a + first, b + first, attributes) for a, b, attributes in graph.edges(data=True))
    for rank in range(first):
        join(cores, rank, first + rank // per_chip, link)
    return cores
