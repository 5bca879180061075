"""Hierarchical: inside each machine, then among the ranks of equal place in their machines, then inside again.

Inside, the reduce-scatter leaves each of the g ranks of a machine with 1/g of the data, so that all of them, and all their
NICs, work at the second tier. Per rank S(g-1)/g bytes inside and S(m-1)/(gm) between m machines in each phase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from ..errors import InputError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import Builder, Schedule
from . import bucket, mesh, rdh, ring
from .lines import check_count

Tier = Literal["ring", "mesh", "rdh", "bucket"]

FLAT: Mapping[str, Mapping[str, Callable[..., Schedule]]] = {
    "all_reduce": {
        "ring": ring.all_reduce,
        "mesh": mesh.all_reduce,
        "rdh": rdh.all_reduce,
        "bucket": bucket.all_reduce,
    },
    "all_gather": {
        "ring": ring.all_gather,
        "mesh": mesh.all_gather,
        "rdh": rdh.all_gather,
        "bucket": bucket.all_gather,
    },
    "reduce_scatter": {
        "ring": ring.reduce_scatter,
        "mesh": mesh.reduce_scatter,
        "rdh": rdh.reduce_scatter,
        "bucket": bucket.reduce_scatter,
    },
}
"""The algorithms that may serve as a tier, by collective and name."""


def all_reduce(layout: Layout, inner: Tier | None = None, outer: Tier = "ring", directions: ring.Directions = 1) -> Schedule:
    """All-reduce in three stages: reduce-scatter inside, all-reduce between machines, all-gather inside.

    inner: algorithm inside a machine; None = "bucket" on a torus, else "mesh".
    outer: algorithm between machines.
    directions: of an outer ring. One is enough: a NIC sends and receives at full rate, whichever way the ring turns.
    Raises NotApplicable on a single machine or where a tier's algorithm does not serve it.
    """
    return _hierarchical("all_reduce", layout, ["reduce_scatter", "outer", "all_gather"], inner, outer, directions)


def all_gather(layout: Layout, inner: Tier | None = None, outer: Tier = "ring", directions: ring.Directions = 1) -> Schedule:
    """All-gather between machines first, then inside; parameters as for `all_reduce`."""
    return _hierarchical("all_gather", layout, ["outer", "all_gather"], inner, outer, directions)


def reduce_scatter(
    layout: Layout, inner: Tier | None = None, outer: Tier = "ring", directions: ring.Directions = 1
) -> Schedule:
    """Reduce-scatter inside first, then between machines; parameters as for `all_reduce`."""
    return _hierarchical("reduce_scatter", layout, ["reduce_scatter", "outer"], inner, outer, directions)


def _hierarchical(
    collective: str, layout: Layout, stages: list[str], inner: Tier | None, outer: Tier, directions: ring.Directions
) -> Schedule:
    """`stages`: the collective of each stage inside the machines, or "outer" for the one between them."""
    if layout.servers < 2 or layout.inner is None:
        raise NotApplicable("hierarchical needs more than one machine")
    m, g = layout.servers, layout.inner.ranks
    inner = inner or ("bucket" if layout.inner.dims else "mesh")
    inside = {stage: _tier(stage, inner, layout.inner) for stage in stages if stage != "outer"}
    between = _tier(collective, outer, Layout(m), **({"directions": directions} if outer == "ring" else {}))
    check_count("hierarchical", layout.ranks, m * sum(tier.transfers for tier in inside.values()) + g * between.transfers)

    # A block of the tier between the machines is cut into g, one for each rank inside; parts are parts of both tiers.
    inner_parts = next(iter(inside.values())).parts
    blocks = np.repeat(between.blocks / g, g)
    parts = np.outer(inner_parts, between.parts).ravel()
    chunks = np.arange(len(blocks) * len(parts)).reshape(len(between.blocks), g, len(inner_parts), len(between.parts))
    inner_chunks = np.broadcast_to(chunks, (m, *chunks.shape)).transpose(0, 2, 3, 1, 4).reshape(m, g * len(inner_parts), -1)
    outer_chunks = chunks.transpose(1, 0, 3, 2).reshape(g, -1, len(inner_parts))
    ranks = np.arange(layout.ranks).reshape(m, g)
    lanes = 1 + max(int(tier.channel.max(initial=-1)) for tier in inside.values())
    builder, step = Builder(collective, "hierarchical", layout.ranks, blocks=blocks, parts=parts), 0
    for stage in stages:
        if stage == "outer":
            step = builder.embed(between, ranks.T, outer_chunks, step, channel=lanes)
        else:
            step = builder.embed(inside[stage], ranks, inner_chunks, step)
    return builder.build(f"{inner} inside, {outer} between", inner=inner, outer=outer, directions=directions)


def _tier(collective: str, name: str, layout: Layout, **options: int) -> Schedule:
    algorithms = FLAT[collective]
    if name not in algorithms:
        raise InputError(unknown("algorithm of a tier", name, list(algorithms)))
    return algorithms[name](layout, **options)
