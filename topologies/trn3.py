"""Trainium3 UltraServers: sleds (or trays) of chips, a switch per rack, and direct links between two racks.

These are the logical tiers: one switch node per sled and per rack stands for all the NeuronSwitches there. Ranks are
counted rack by rack, then by sled or tray, then by chip: `coord` is [chip, sled or tray, rack], and `server` is the
sled or tray counted over the whole machine.

Sources disagree on the bandwidth of the tiers, so there are presets, in GB/s per chip and direction:

    preset     sled or tray   rack   cross-rack
    aws-docs        256        320      128      AWS Neuron docs, trn3-arch
    lanes160        512        512      128      SemiAnalysis 2025-12-04, active lanes; adds up to the chip's 2.56 TB/s
    flat            one non-blocking switch, 1,024 per chip: the fabric as announced
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .cores import Cores, logical
from .parts import Graph, Link, add_chips_on_grid, add_node, choice, is_whole, join, new_graph

__all__ = ["LEGS", "PRESETS", "trn3_gen1", "trn3_gen2"]

PRESETS = ("aws-docs", "lanes160", "flat")
LEGS = ("destination", "source", "split")

DIRECT_HOP = 0.30e-6
SLED_SWITCH = 0.15e-6
RACK_SWITCH = 0.20e-6
DIRECT_SOURCE = "latency 0.30 us: guess, a direct PCIe link and the way into the chip"
SLED_SOURCE = "latency: guess, half of 0.15 us through a 32-lane PCIe Gen6 switch"
RACK_SOURCE = "latency: guess, half of 0.20 us through a NeuronSwitch-v1 (Gen5 switches 105-115 ns plus FEC and retimers)"
FLAT_SOURCE = (
    "AWS announcement of 2025-12 as quoted by the press: 2 TB/s per chip, both directions; "
    "AWS Neuron docs, trn3-arch: 2,048 (GiB/sec/device); taken as 1,024 GB/s"
)
CORES = Cores(8, 4.9e12, "AWS Neuron docs, trainium3")
OVERHEADS = {
    "alpha_link": 1.1e-6,
    "alpha_efa": 13e-6,
    "source": "alpha_link 1.1 us: guess from Trn2's 1.3 us; alpha_efa 13 us: guess, Trn2's 15 us "
    "(AWS Neuron docs, collectives) less part of EFAv4's 18 % (AWS blog)",
}


class Rate(NamedTuple):
    """Bandwidth of one tier in bytes/s per chip and direction, and where it is from."""

    bandwidth: float
    source: str
    confidence: str


AWS_RATES = {
    "sled": Rate(256e9, "AWS Neuron docs, trn3-arch: 4 x8 PCIe Gen6 links to the switch in the server", "official"),
    "rack": Rate(320e9, "AWS Neuron docs, trn3-arch: 5 x8 PCIe Gen6 links to the switch between servers", "official"),
    "cross-rack": Rate(128e9, "AWS Neuron docs, trn3-arch: 2 x8 PCIe Gen6 links to the other rack", "official"),
    "tray": Rate(
        256e9,
        "AWS Neuron docs, trn3-arch: 4 x8 PCIe Gen6 links inside the server, taken as the direct link to the tray-mate "
        "(SemiAnalysis 2025-12-04: no switch in the tray)",
        "derived",
    ),
}
LANE_RATES = {
    "sled": Rate(512e9, "SemiAnalysis 2025-12-04, Trainium3: 64 PCB lanes of PCIe Gen6 per chip", "analyst"),
    "rack": Rate(512e9, "SemiAnalysis 2025-12-04, Trainium3: 64 active backplane lanes per chip", "analyst"),
    "cross-rack": Rate(128e9, "SemiAnalysis 2025-12-04, Trainium3: 16 cross-rack lanes per chip", "analyst"),
    "tray": Rate(512e9, "SemiAnalysis 2025-12-04, Trainium3: 64 PCB lanes to the tray-mate", "analyst"),
}


def trn3_gen1(preset: str = "aws-docs", racks: int = 2, leg: str = "destination", lnc: int | None = None) -> Graph:
    """Trn3 Gen1 UltraServer: 2 racks x 16 trays x 2 chips; tray-mates are linked directly, there is no tray switch.

    `racks=1` is one rack of it, 32 chips. `leg` says in which rack traffic to another position of the other rack
    makes its in-rack leg: that of the destination, that of the source, or half in each. `lnc` (1 or 2) makes the logical
    NeuronCores the ranks: 8 / lnc of each chip.

    >>> graph = trn3_gen1()
    >>> [graph.edges[0, node]["tier"] for node in sorted(graph.successors(0))]
    ['tray', 'cross-rack', 'rack']
    """
    return _machine("trn3_gen1", 2, 16, preset, racks, leg, lnc)


def trn3_gen2(preset: str = "aws-docs", racks: int = 2, leg: str = "destination", lnc: int | None = None) -> Graph:
    """Trn3 Gen2 UltraServer: 2 racks x 18 sleds x 4 chips, with a switch per sled and one per rack.

    `racks=1` is one rack of it, 72 chips. `leg` says in which rack traffic to another position of the other rack
    makes its in-rack leg: that of the destination, that of the source, or half in each. `lnc` (1 or 2) makes the logical
    NeuronCores the ranks: 8 / lnc of each chip.

    >>> graph = trn3_gen2()
    >>> [graph.edges[0, node]["tier"] for node in sorted(graph.successors(0))]
    ['cross-rack', 'sled', 'rack']
    >>> trn3_gen2("lanes")
    Traceback (most recent call last):
    ValueError: unknown preset 'lanes'; did you mean 'lanes160'?
    """
    return _machine("trn3_gen2", 4, 18, preset, racks, leg, lnc)


def _machine(name: str, chips: int, sleds: int, preset: str, racks: int, leg: str, lnc: int | None) -> Graph:
    parameters: dict[str, Any] = {
        "preset": choice("preset", preset, PRESETS),
        "racks": _racks(racks),
        "leg": choice("leg", leg, LEGS),
        **({} if lnc is None else {"lnc": lnc}),
    }
    dims = (chips, sleds, racks)
    flat = preset == "flat"
    shape, routing = ("switch", "shortest") if flat else ("trn3", "trn3")
    graph = new_graph(name, shape, routing, parameters, dims)
    graph.graph.update(leg=leg, overheads=dict(OVERHEADS))
    add_chips_on_grid(graph, dims)
    for rank in graph:
        graph.nodes[rank].update(rack=rank // (chips * sleds), server=rank // chips)
    if flat:
        _add_flat_switch(graph)
        return logical(graph, lnc, CORES)
    rates = AWS_RATES if preset == "aws-docs" else LANE_RATES
    if name == "trn3_gen1":
        _join_tray_mates(graph, rates["tray"])
    else:
        _add_switches(graph, "sled", chips, _through(rates["sled"], "sled", SLED_SWITCH, SLED_SOURCE))
    _add_switches(graph, "rack", chips * sleds, _through(rates["rack"], "rack", RACK_SWITCH, RACK_SOURCE))
    if racks == 2:
        _join_racks(graph, chips * sleds, rates["cross-rack"])
    return logical(graph, lnc, CORES)


def _racks(racks: int) -> int:
    if not is_whole(racks) or racks not in (1, 2):
        raise ValueError(f"racks must be 1 or 2, not {racks!r}")
    return racks


def _through(rate: Rate, tier: str, traversal: float, source: str) -> Link:
    """A link to a switch, with half of the switch's traversal as its latency."""
    return Link(rate.bandwidth, traversal / 2, tier, f"{rate.source}; {source}", rate.confidence)


def _direct(rate: Rate, tier: str) -> Link:
    return Link(rate.bandwidth, DIRECT_HOP, tier, f"{rate.source}; {DIRECT_SOURCE}", rate.confidence)


def _ranks(graph: Graph) -> range:
    chips, sleds, racks = graph.graph["dims"]
    return range(chips * sleds * racks)


def _add_switches(graph: Graph, tier: str, group: int, link: Link) -> None:
    """Add one switch for every `group` consecutive ranks."""
    sleds = graph.graph["dims"][1]
    for first in _ranks(graph)[::group]:
        rack, server = graph.nodes[first]["rack"], graph.nodes[first]["server"]
        if tier == "rack":
            node = add_node(graph, "switch", f"rack switch {rack}", tier=tier, rack=rack)
        else:
            name = f"sled switch {rack}.{server % sleds}"
            node = add_node(graph, "switch", name, tier=tier, rack=rack, server=server)
        for rank in range(first, first + group):
            join(graph, rank, node, link)


def _join_tray_mates(graph: Graph, rate: Rate) -> None:
    for rank in _ranks(graph)[::2]:
        join(graph, rank, rank + 1, _direct(rate, "tray"))


def _join_racks(graph: Graph, ranks_per_rack: int, rate: Rate) -> None:
    for rank in range(ranks_per_rack):
        join(graph, rank, rank + ranks_per_rack, _direct(rate, "cross-rack"))


def _add_flat_switch(graph: Graph) -> None:
    link = _through(Rate(1024e9, FLAT_SOURCE, "press"), "switch", RACK_SWITCH, RACK_SOURCE)
    ranks = _ranks(graph)
    centre = add_node(graph, "switch", "switch", tier="switch")
    for rank in ranks:
        join(graph, rank, centre, link)
