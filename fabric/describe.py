"""What a fabric is: its nodes and links by kind and tier, its distances, and what it can carry at best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bounds import lower_bounds
from .network import Network
from .routing import find_routes
from .units import format_bandwidth, format_time

SOURCES_AT_MOST = 64  # distances are taken from this many ranks, evenly spread, to all others


@dataclass(frozen=True)
class TierFacts:
    """The links of one tier, one direction counted once; bandwidth and latency as (least, most)."""

    tier: str
    links: int
    bandwidth: tuple[float, float]
    latency: tuple[float, float]
    sources: tuple[str, ...]
    confidences: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """A topology in numbers. Distances are those of the default routing, rank to rank."""

    name: str
    preset: str
    routing: str
    nodes: dict[str, int]
    ranks: int
    tiers: tuple[TierFacts, ...]
    degree: tuple[int, int]
    diameter: tuple[int, int]  # links, switch traversals
    mean_distance: tuple[float, float]
    measured_from: int  # ranks that distances were taken from
    injection: tuple[float, float]  # bytes/s out of a rank, least and most
    bounds: tuple[tuple[str, float, str], ...]  # uniform all-to-all: name, algbw in bytes/s, what it counts


def describe(network: Network) -> Facts:
    """Measure a network."""
    attributes = network.graph.graph
    out = np.bincount(network.source, minlength=network.nodes)[: network.ranks]
    injection = np.bincount(network.source, weights=network.capacity[: network.links], minlength=network.nodes)
    injection = injection[: network.ranks]
    sources = np.unique(np.linspace(0, network.ranks - 1, min(network.ranks, SOURCES_AT_MOST)).astype(np.int64))
    links, switches = _distances(network, sources)
    bounds = lower_bounds(network, "all_to_all", [np.arange(network.ranks)], 1.0)
    return Facts(
        name=str(attributes.get("name", "own fabric")),
        preset=str(attributes.get("preset", "")),
        routing=str(attributes.get("routing", "shortest")),
        nodes=dict(Counter(network.kind)),
        ranks=network.ranks,
        tiers=tuple(_tier(network, index) for index in range(len(network.tiers))),
        degree=(int(out.min()), int(out.max())),
        diameter=(int(links.max().round()), int(switches.max().round())),
        mean_distance=(float(links.mean()), float(switches.mean())),
        measured_from=len(sources),
        injection=(float(injection.min()), float(injection.max())),
        bounds=tuple((b.name, 1.0 / b.time, b.detail) for b in sorted(bounds, key=lambda b: -b.time) if b.time > 0),
    )


def _distances(network: Network, sources: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Links and switch traversals of every pair from `sources` to another rank."""
    start, end = (grid.ravel() for grid in np.meshgrid(sources, np.arange(network.ranks), indexing="ij"))
    start, end = start[start != end], end[start != end]
    routes = find_routes(network, start, end)
    pair = np.repeat(np.arange(len(start)), np.diff(routes.ptr))
    into_switch = np.array([kind == "switch" for kind in network.kind])[network.destination[routes.links]]
    links = np.bincount(pair, weights=routes.share, minlength=len(start))
    return links, np.bincount(pair, weights=routes.share * into_switch, minlength=len(start))


def _tier(network: Network, index: int) -> TierFacts:
    mine = np.flatnonzero(network.tier == index)
    capacity = network.capacity[mine]
    latency = network.latency[mine[mine < network.links]]
    return TierFacts(
        network.tiers[index],
        len(mine),
        (float(capacity.min()), float(capacity.max())),
        (float(latency.min(initial=np.inf)), float(latency.max(initial=0.0))),
        tuple(sorted({network.sources[k] for k in mine} - {""})),
        tuple(sorted({network.confidences[k] for k in mine})),
    )


def text(facts: Facts) -> str:
    """The description as the command prints it."""
    preset = f", preset {facts.preset}" if facts.preset else ""
    nodes = ", ".join(f"{count} {kind}{'es' if kind == 'switch' else 's'}" for kind, count in facts.nodes.items())
    sampled = "" if facts.measured_from == facts.ranks else f"   (from {facts.measured_from} of {facts.ranks} ranks)"
    rows = [("tier", "links", "bandwidth", "latency", "confidence")]
    rows += [
        (t.tier, str(t.links), _range(t.bandwidth, format_bandwidth), _range(t.latency, format_time), ", ".join(t.confidences))
        for t in facts.tiers
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        f"# {facts.name}{preset}",
        f"  nodes                {nodes}",
        f"  routing              {facts.routing}",
        f"  links out of a rank  {_range(facts.degree, str)}",
        f"  injection per rank   {_range(facts.injection, format_bandwidth)}",
        "  rank to rank         links   switch traversals" + sampled,
        f"    diameter           {facts.diameter[0]:<7} {facts.diameter[1]}",
        f"    mean               {facts.mean_distance[0]:<7.3f} {facts.mean_distance[1]:.3f}",
        "",
        *("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows),
        "",
        "  uniform all-to-all, algbw at best",
        *(f"    {format_bandwidth(algbw):>14}  {name}: {detail}" for name, algbw, detail in facts.bounds),
        "",
        "  sources",
        *(f"    {tier.tier}: {source}" for tier in facts.tiers for source in tier.sources),
    ]
    return "\n".join(lines) + "\n"


def _range(pair: tuple[float, float], form: object) -> str:
    low, high = (form(value) for value in pair)  # type: ignore[operator]
    return low if low == high else f"{low} .. {high}"
