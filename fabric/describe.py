"""What a fabric is: its nodes and links by kind and tier, its distances, and what it can carry at best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bounds import lower_bounds
from .bounds.cuts import natural_labels
from .collectives.folded import others, stands_for
from .network import Network
from .routing import find_routes
from .schedule import FAR, NEAR, OWN
from .units import format_bandwidth, format_time

F64 = NDArray[np.float64]

PAIRS_AT_MOST = 1 << 18  # distances are taken between so many pairs: from all ranks, or from some, evenly spread


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
    folded: str  # what one machine stands for, in words; "" where nothing is folded
    tiers: tuple[TierFacts, ...]
    degree: tuple[int, int]
    diameter: tuple[int, int]  # links, switch traversals
    mean_distance: tuple[float, float]
    measured_from: int  # ranks that distances were taken from
    injection: tuple[float, float]  # bytes/s out of a rank, least and most
    balanced_cut: tuple[str, float] | None  # tiers crossed, bytes/s each way
    bounds: tuple[tuple[str, float, str], ...]  # uniform all-to-all: name, algbw in bytes/s, what it counts


def describe(network: Network) -> Facts:
    """Measure a network."""
    attributes = network.graph.graph
    out = np.bincount(network.source, minlength=network.nodes)[: network.ranks]
    machines_apart = (network.capacity, *network.slow.values())
    injection = np.array([np.bincount(network.source, one[: network.links], network.nodes) for one in machines_apart])
    injection = injection[:, : network.ranks]
    most = max(1, PAIRS_AT_MOST // network.ranks)
    sources = np.unique(np.linspace(0, network.ranks - 1, min(network.ranks, most)).astype(np.int64))
    links, switches, pairs = _distances(network, sources)
    size = 2.0**30
    bounds = lower_bounds(network, "all_to_all", [np.arange(network.ranks)], size)
    machines = int(attributes["servers"]) if network.pods else 1
    return Facts(
        name=str(attributes.get("name", "own fabric")),
        preset=str(attributes.get("preset", "")),
        routing=str(attributes.get("routing", "shortest")),
        nodes=_node_counts(network),
        ranks=network.ranks * machines,
        folded=stands_for(machines, network.pods) if network.pods else "",
        tiers=tuple(_tier(network, index) for index in range(len(network.tiers))),
        degree=(int(out.min()), int(out.max())),
        diameter=(int(links.max().round()), int(switches.max().round())),
        mean_distance=(float(np.average(links, weights=pairs)), float(np.average(switches, weights=pairs))),
        measured_from=len(sources) * machines,
        injection=(float(injection.min()), float(injection.max())),
        balanced_cut=_balanced_cut(network),
        bounds=tuple((b.name, size / b.time, b.detail) for b in sorted(bounds, key=lambda b: -b.time) if b.time > 0),
    )


def _node_counts(network: Network) -> dict[str, int]:
    """Nodes of each kind; a folded one counts as many as it stands for."""
    counts: Counter[str] = Counter()
    for node, kind in enumerate(network.kind):
        counts[kind] += network.graph.nodes[node].get("multiplicity", 1)
    return dict(counts)


def _distances(network: Network, sources: NDArray[np.int64]) -> tuple[F64, F64, F64]:
    """Links and switch traversals of every pair from `sources` to another rank, and how many pairs alike there are."""
    alike = {OWN: 1}
    if network.pods:
        alike |= {image: count for image, count in others(network.graph.graph["servers"], network.pods).items() if count}
    places = np.concatenate([np.arange(network.ranks) + image * network.ranks for image in alike])
    start, end = (grid.ravel() for grid in np.meshgrid(sources, places, indexing="ij"))
    start, end = start[start != end], end[start != end]
    pairs = np.array([alike.get(image, 0) for image in (OWN, NEAR, FAR)], dtype=np.float64)[end // network.ranks]
    routes = find_routes(network, start, end)
    pair = np.repeat(np.arange(len(start)), np.diff(routes.ptr))
    into_switch = np.array([kind == "switch" for kind in network.kind])[network.destination[routes.links]]

    def count(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(pair, weights=weights, minlength=len(start)), dtype=np.float64)

    return count(routes.share), count(routes.share * into_switch), pairs


def _balanced_cut(network: Network) -> tuple[str, float] | None:
    """The smallest cut into two halves of the ranks along coordinates, racks, servers or tiers: at least the bisection."""
    if network.pods:
        return _folded_cut(network)
    found: list[tuple[float, str]] = []
    for labels in natural_labels(network):
        parts = np.unique(labels[: network.ranks])
        sizes = np.bincount(labels[: network.ranks])[parts]
        if len(parts) % 2 or len(set(sizes.tolist())) > 1:
            continue
        ours = np.isin(labels, parts[: len(parts) // 2])
        links = np.flatnonzero(ours[network.source] & ~ours[network.destination])
        tiers = " and ".join(network.tiers[index] for index in np.unique(network.tier[links]))
        found.append((float(network.capacity[links].sum()), tiers))
    return (min(found)[1], min(found)[0]) if found else None


def _folded_cut(network: Network) -> tuple[str, float] | None:
    """Half of the pods of a folded cluster, or of its machines where there is one pod, from the other half."""
    tier = "spine" if network.pods > 1 else "leaf"
    halves, odd = divmod(network.pods if network.pods > 1 else network.graph.graph["servers"], 2)
    up = np.flatnonzero((network.tier[: network.links] == network.tiers.index(tier)) & (network.source < network.destination))
    total = float((network.capacity[up] * network.multiplicity[up]).sum())
    return None if odd or not halves else (tier, total / 2)


def _tier(network: Network, index: int) -> TierFacts:
    mine = np.flatnonzero(network.tier == index)
    capacity = np.array([one[mine] for one in (network.capacity, *network.slow.values())])
    latency = network.latency[mine[mine < network.links]]
    return TierFacts(
        network.tiers[index],
        int(network.multiplicity[mine].sum()),
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
        *([f"  folded               {facts.folded}"] if facts.folded else []),
        f"  routing              {facts.routing}",
        f"  links out of a rank  {_range(facts.degree, str)}",
        f"  injection per rank   {_range(facts.injection, format_bandwidth)}",
        "  rank to rank         links   switch traversals" + sampled,
        f"    diameter           {facts.diameter[0]:<7} {facts.diameter[1]}",
        f"    mean               {facts.mean_distance[0]:<7.3f} {facts.mean_distance[1]:.3f}",
        *_cut_lines(facts),
        "",
        *("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows),
        "",
        "  uniform all-to-all, algbw at best (for a size of 1 GiB)",
        *(f"    {format_bandwidth(algbw):>14}  {name}: {detail}" for name, algbw, detail in facts.bounds),
        "",
        "  sources",
        *(f"    {tier.tier}: {source}" for tier in facts.tiers for source in tier.sources),
    ]
    return "\n".join(lines) + "\n"


def _cut_lines(facts: Facts) -> list[str]:
    if facts.balanced_cut is None:
        return []
    tiers, bandwidth = facts.balanced_cut
    return [f"  balanced cut         {format_bandwidth(bandwidth)} each way over {tiers} (the smallest by coordinate or tier)"]


def _range(pair: tuple[float, float], form: object) -> str:
    low, high = (form(value) for value in pair)  # type: ignore[operator]
    return low if low == high else f"{low} .. {high}"
