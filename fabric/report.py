"""Results as text: the table in the manner of nccom-test, utilisation by tier, the busiest links, the bottleneck."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from .result import Bound, Busy, Result
from .units import format_bandwidth, format_size, format_time

if TYPE_CHECKING:
    import numpy.typing as npt

COLUMNS = (
    "size(B)", "count(elems)", "type", "time(us)", "algbw(GB/s)", "busbw(GB/s)", "algorithm", "bound(us)", "gap",
)  # fmt: skip


def tables(results: Sequence[Result], links: int = 5) -> str:
    """All cases, one after another."""
    cases = [list(rows) for _, rows in groupby(results, key=lambda result: result.case)]
    return "\n".join(case_table(rows, links) for rows in cases)


def case_table(results: Sequence[Result], links: int = 5) -> str:
    """One case: a row per size, then what the largest size did to the fabric."""
    first, largest = results[0], max(results, key=lambda result: (result.size, result.phase == "total"))
    lines = [_title(first), *_table([_row(result) for result in results]), ""]
    lines += _explain(largest, links)
    return "\n".join(lines) + "\n"


def _title(result: Result) -> str:
    graph = result.network.graph.graph
    preset = f", preset {graph['preset']}" if graph.get("preset") else ""
    groups = f", {result.groups:,} replica groups" if result.groups > 1 else ""
    what = "moe" if result.phase else result.collective
    return f"# {result.case}: {what} on {result.ranks} ranks of {graph.get('name', 'own fabric')}{preset}{groups}"


def _row(result: Result) -> list[str]:
    algorithm = f"{result.label} ({result.phase})" if result.phase else result.label
    return [
        f"{result.size:.0f}",
        str(result.count),
        result.type,
        f"{result.time * 1e6:.2f}",
        f"{result.algbw / 1e9:.2f}",
        f"{result.busbw / 1e9:.2f}",
        algorithm,
        f"{result.bound.time * 1e6:.2f}",
        f"{result.gap:.3f}",
    ]


def _table(rows: list[list[str]]) -> list[str]:
    everything = [list(COLUMNS), *rows]
    widths = [max(len(row[i]) for row in everything) for i in range(len(COLUMNS))]
    return ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in everything]


def _explain(result: Result, links: int) -> list[str]:
    busiest = result.bottleneck(max(links, 5))
    lines = [
        f"  at {format_size(result.size)}: bound by {result.bound.name}: {result.bound.detail}",
        f"  {result.transfers} transfers in {result.steps} steps ({result.classes} classes simulated); {result.proof}",
    ]
    if result.certified:
        lines.append(f"  certified max-min fair in each of {result.epochs} epochs")
    if result.note:
        lines.append(f"  {result.note}")
    lines += [f"  warning: {warning}" for warning in result.warnings]
    lines += ["", *_tier_table(result), "", "  busiest links        utilisation  full"]
    lines += [
        f"    {b.name:<28} {b.utilisation:6.1%}  {_share(b.full):>6}  {b.tier}, {format_bandwidth(b.bandwidth)}"
        for b in busiest[:links]
    ]
    lines.append(f"  bottleneck: {bottleneck_sentence(result)}")
    lines += ["  confidence of the numbers that bind:", *(f"    {line}" for line in _confidence(busiest))]
    return lines


def _tier_table(result: Result) -> list[str]:
    rows = [("tier", "links", "carried", "utilisation mean", "max")]
    rows += [
        (
            tier.tier,
            str(tier.links),
            f"{tier.bytes / 1e9:.4g} GB",
            f"{tier.utilisation_mean:.1%}",
            f"{tier.utilisation_max:.1%}",
        )
        for tier in result.tiers()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + row[0].ljust(widths[0]) + "".join("  " + c.rjust(w) for c, w in zip(row[1:], widths[1:])) for row in rows]


def bottleneck_sentence(result: Result) -> str:
    """What holds the collective back, in one sentence."""
    busiest: Busy = result.bottleneck(1)[0]
    if result.time <= 0 or busiest.utilisation == 0:
        return "nothing is carried: the time is overhead and latency alone"
    where = f"{busiest.tier} links, {format_bandwidth(busiest.bandwidth)} ({busiest.confidence})"
    if busiest.full != busiest.full:
        return where
    if busiest.full < 0.5:
        return f"overhead and latency: even {where}, are full for only {busiest.full:.0%} of {format_time(result.time)}"
    return f"{where}, full for {busiest.full:.1%} of the time"


def _share(value: float) -> str:
    """ "12.3%", or "-" where it is not known."""
    return f"{value:.1%}" if value == value else "-"


def _confidence(busiest: Sequence[Busy]) -> list[str]:
    """A line for each tier among the busiest capacities: how far its bandwidth can be trusted, and why."""
    binding = {(b.tier, b.confidence, b.source) for b in busiest if b.utilisation > 0.99 * busiest[0].utilisation}
    return [f"{tier}: {confidence}{f' ({source})' if source else ''}" for tier, confidence, source in sorted(binding)]


def bound_table(bounds: Sequence[Bound], size: str) -> str:
    """Lower bounds, the one that binds first."""
    rows = [(format_time(bound.time), bound.name, bound.detail) for bound in bounds]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"  {time:>{widths[0]}}  {name:<{widths[1]}}  {detail}" for time, name, detail in rows]
    return "\n".join([f"# lower bounds at {size}; the first one binds", *lines]) + "\n"


def link_arrays(results: Sequence[Result]) -> dict[str, npt.ArrayLike]:
    """Every capacity of every row, by name: "0.link_bytes" is that of the first row. A folded link stands for many.

    link, tier: names; link_bw: bytes/s; link_bytes; link_busy, link_full: s; and, but for rows of several runs one after
    another, slice_time: s, where slices of time begin and the last one ends; link_load: bytes/s, slices x links.
    """
    arrays: dict[str, npt.ArrayLike] = {}
    for index, row in enumerate(results):
        network, history = row.network, row.history
        named: dict[str, npt.ArrayLike] = {
            "link": network.names,
            "tier": [network.tiers[tier] for tier in network.tier],
            "link_bw": network.capacity,
            "link_bytes": row.carried,
            "link_busy": row.busy,
            "link_full": row.full,
        }
        named |= {"slice_time": history.times, "link_load": history.loads} if history else {}
        arrays |= {f"{index}.{name}": values for name, values in named.items()}
    return arrays


def to_csv(results: Iterable[Result]) -> str:
    """One row per result; plain numbers in bytes, seconds and bytes/s."""
    names = (
        "case", "topology", "preset", "collective", "phase", "tokens", "algorithm", "ranks", "size_bytes", "count", "type",
        "time_s", "algbw_Bps", "busbw_Bps", "bound_s", "bound", "gap", "steps", "transfers", "classes",
    )  # fmt: skip
    out = io.StringIO()
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerow(result.to_dict(links=1))
    return out.getvalue()
