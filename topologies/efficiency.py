"""Payload rates instead of raw rates: a factor on every bandwidth."""

from __future__ import annotations

from .parts import Graph, is_number

__all__ = ["with_efficiency"]

GEN5 = (0.87, "guess: PCIe Gen5, 256 B packets with 24 B of header, and flow control")
GEN6 = (0.90, "guess: PCIe Gen6, 236 of 256 B of a flit, and flow control")
EFA = (0.92, "guess: EFA packets")
UNKNOWN = (0.87, "guess: as PCIe Gen5, the generation of Trainium1's links is not published")

EFA_TIERS = ("efa", "leaf", "spine")
MACHINE_EFFICIENCIES = {
    "trn1": UNKNOWN,
    "trn1n": UNKNOWN,
    "trn2": GEN5,
    "trn2_ultraserver": GEN5,
    "trn3_gen1": GEN6,
    "trn3_gen2": GEN6,
}


def with_efficiency(graph: Graph, value: float | str) -> Graph:
    """A copy of `graph` with every bandwidth multiplied by an efficiency (payload over raw rate).

    `value` is a number above 0 and at most 1, or "default": 0.87 on PCIe Gen5 links, 0.90 on Gen6 and 0.92 on EFA,
    which are guesses and known for Trainium machines and clusters of them alone. The graph attribute `efficiency` and
    the source of every link say what was done. ValueError on any other value, or if it has been done before.

    >>> from topologies import trn2
    >>> with_efficiency(trn2(), "default").edges[0, 1]["bandwidth"] / 1e9
    111.36
    """
    for name in ("efficiency", "machine_efficiency"):
        if name in graph.graph:
            raise ValueError(f"the graph has an efficiency of {graph.graph[name]!r} already")
    if value != "default" and not (is_number(value) and 0 < float(value) <= 1):
        raise ValueError(f"efficiency must be a number above 0 and at most 1, or 'default', not {value!r}")
    scaled = graph.copy()
    scaled.graph["efficiency"] = value
    for _, _, link in scaled.edges(data=True):
        tier = link.get("tier", "")
        factor, source = _default(graph, tier) if value == "default" else (float(value), "given")
        link["bandwidth"] *= factor
        link["source"] = f"{link.get('source', 'no source')}; times efficiency {factor:g} ({source})"
    return scaled


def _default(graph: Graph, tier: str) -> tuple[float, str]:
    machine = graph.graph.get("machine_name", graph.graph.get("name", ""))
    if machine not in MACHINE_EFFICIENCIES:
        raise ValueError(
            f"efficiency 'default' is known for {', '.join(MACHINE_EFFICIENCIES)} and clusters of them, "
            f"not for {machine!r}; give a number"
        )
    if tier in EFA_TIERS:
        return EFA
    return MACHINE_EFFICIENCIES[machine]
