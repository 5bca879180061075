"""Hierarchical: inside each machine, then among the ranks of equal place in their machines, then inside again.

Inside, the reduce-scatter leaves each of the g ranks of a machine with 1/g of the data, so that all of them, and all their
NICs, work at the second tier. Per rank S(g-1)/g bytes inside and S(m-1)/(gm) between m machines in each phase.

A machine may be made of machines, such as the racks and the sleds of an UltraServer: then what is inside may be
hierarchical itself, and every tier has its own algorithm (Cho, Finkler, Kung and Hunter, "BlueConnect: decomposing
all-reduce for deep learning on heterogeneous network hierarchy", 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..builder import Builder
from ..errors import InputError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import Schedule, Symmetry
from . import bruck, bucket, double_tree, doubling, folded, kangaring, mesh, pat, rdh, ring, swing, themis
from .lines import check_count

Inner = str | tuple[str, ...]

FLAT: Mapping[str, Mapping[str, Callable[..., Schedule]]] = {
    "all_reduce": {
        "ring": ring.all_reduce,
        "mesh": mesh.all_reduce,
        "rdh": rdh.all_reduce,
        "bucket": bucket.all_reduce,
        "themis": themis.all_reduce,
        "mesh_one_shot": mesh.one_shot,
        "doubling": doubling.all_reduce,
        "swing": swing.all_reduce,
        "swing_whole": swing.whole_all_reduce,
        "double_tree": double_tree.all_reduce,
        "pat": pat.all_reduce,
        "kangaring": kangaring.all_reduce,
    },
    "all_gather": {
        "ring": ring.all_gather,
        "mesh": mesh.all_gather,
        "rdh": rdh.all_gather,
        "bucket": bucket.all_gather,
        "themis": themis.all_gather,
        "doubling": doubling.all_gather,
        "swing": swing.all_gather,
        "bruck": bruck.all_gather,
        "pat": pat.all_gather,
        "kangaring": kangaring.all_gather,
    },
    "reduce_scatter": {
        "ring": ring.reduce_scatter,
        "mesh": mesh.reduce_scatter,
        "rdh": rdh.reduce_scatter,
        "bucket": bucket.reduce_scatter,
        "themis": themis.reduce_scatter,
        "swing": swing.reduce_scatter,
        "pat": pat.reduce_scatter,
        "kangaring": kangaring.reduce_scatter,
    },
}
"""The algorithms that may serve as a tier, by collective and name."""


OUTER = ("ring", "rdh", "pat")
"""The algorithms between machines that are tried where none is asked for, unless the machines are on a torus. A mesh is not:
it would pay one delay for any number of destinations at once."""


def variants(layout: Layout) -> list[dict[str, str]]:
    """The values of `inner` and `outer` that are worth a try on a layout.

    In full, themis takes all tiers by itself; a folded cluster it serves only as what is inside the machines.
    """
    outers = [{"outer": name} for name in OUTER] if layout.between is None else [{}]
    nested = layout.inner is not None and layout.inner.inner is not None
    inners = [{}, {"inner": "themis"}] if nested and layout.pods else [{}]
    return [{**inner, **outer} for inner in inners for outer in outers]


def all_reduce(
    layout: Layout, inner: Inner | None = None, outer: str | None = None, directions: ring.Directions = 1
) -> Schedule:
    """All-reduce in three stages: reduce-scatter inside, all-reduce between machines, all-gather inside.

    inner: the algorithm inside a machine; where machines nest, one for all that is inside ("hierarchical" is one too), or
        one for each tier, innermost first. None = "bucket" on a torus, "hierarchical" of these where machines nest,
        else "mesh".
    outer: the algorithm between machines. None = "bucket" where they are on a torus, else "ring".
    directions: of an outer ring. One is enough: a NIC sends and receives at full rate, whichever way the ring turns.
    Raises NotApplicable on a single machine or where a tier's algorithm does not serve it.
    """
    return _hierarchical("all_reduce", layout, ["reduce_scatter", "outer", "all_gather"], inner, outer, directions)


def all_gather(
    layout: Layout, inner: Inner | None = None, outer: str | None = None, directions: ring.Directions = 1
) -> Schedule:
    """All-gather between machines first, then inside; parameters as for `all_reduce`."""
    return _hierarchical("all_gather", layout, ["outer", "all_gather"], inner, outer, directions)


def reduce_scatter(
    layout: Layout, inner: Inner | None = None, outer: str | None = None, directions: ring.Directions = 1
) -> Schedule:
    """Reduce-scatter inside first, then between machines; parameters as for `all_reduce`."""
    return _hierarchical("reduce_scatter", layout, ["reduce_scatter", "outer"], inner, outer, directions)


def _hierarchical(
    collective: str, layout: Layout, stages: list[str], inner: Inner | None, outer: str | None, directions: ring.Directions
) -> Schedule:
    """`stages`: the collective of each stage inside the machines, or "outer" for the one between them."""
    if layout.servers < 2 or layout.inner is None:
        raise NotApplicable("hierarchical needs more than one machine")
    m, g = layout.servers, layout.inner.ranks
    if inner is None:
        inner = _default(layout.inner)
    elif not isinstance(inner, str):
        inner = tuple(inner)
        if not inner:
            raise InputError("hierarchical: inner names no algorithm")
    outer = outer or ("ring" if layout.between is None else "bucket")
    inside = {stage: _inside(stage, inner, layout.inner) for stage in stages if stage != "outer"}
    options = {"directions": directions} if outer == "ring" else {}
    if layout.pods:
        stored, between = 1, folded.between(collective, outer, layout, **options)
    else:
        stored, between = m, _tier(collective, outer, layout.between or Layout(m, injection=layout.injection), **options)
    tiers = [(between, g) if stage == "outer" else (inside[stage], stored) for stage in stages]
    inner_parts = next(iter(inside.values())).parts
    check_count(
        "hierarchical",
        layout.ranks,
        sum(tier.transfers * copies for tier, copies in tiers),
        carried=sum(len(t.chunk_ids) * copies * (len(inner_parts) if t is between else between.chunks) for t, copies in tiers),
    )

    # A block of the tier between the machines is cut into g, one for each rank inside; parts are parts of both tiers.
    blocks = np.repeat(between.blocks / g, g)
    parts = np.outer(inner_parts, between.parts).ravel()
    chunks = np.arange(len(blocks) * len(parts)).reshape(len(between.blocks), g, len(inner_parts), len(between.parts))
    inner_chunks = np.broadcast_to(chunks, (stored, *chunks.shape)).transpose(0, 2, 3, 1, 4)
    inner_chunks = inner_chunks.reshape(stored, g * len(inner_parts), -1)
    outer_chunks = chunks.transpose(1, 0, 3, 2).reshape(g, -1, len(inner_parts))
    ranks = np.arange(stored * g).reshape(stored, g)
    lanes = 1 + max(int(tier.channel.max(initial=-1)) for tier in inside.values())
    symmetry = _product([schedule.symmetry for schedule in (*inside.values(), between)])
    builder, step = Builder(collective, "hierarchical", layout.ranks, blocks=blocks, parts=parts, symmetry=symmetry), 0
    for tier, _ in tiers:
        if tier is between:
            step = builder.embed(between, ranks.T, outer_chunks, step, channel=lanes)
        else:
            step = builder.embed(tier, ranks, inner_chunks, step)
    names = inner if isinstance(inner, str) else ", ".join(inner)
    built = builder.build(f"{names} inside, {outer} between", inner=inner, outer=outer, directions=directions)
    return folded.of_one_machine(built, layout, tiers) if layout.pods else built


def _product(tiers: list[Symmetry]) -> Symmetry:
    """The symmetry of the stages inside, if they have the same, with that between the machines."""
    *inside, between = tiers
    return (*inside[0], *between) if inside[0] and between and len(set(inside)) == 1 else ()


def _default(machine: Layout) -> Inner:
    if machine.inner is None:
        return "bucket" if machine.dims else "mesh"
    deeper = _default(machine.inner)
    return (*((deeper,) if isinstance(deeper, str) else deeper), "mesh" if machine.between is None else "bucket")


def _inside(collective: str, names: Inner, machine: Layout) -> Schedule:
    """The stage inside a machine, by one algorithm or by one for each tier."""
    if isinstance(names, str) or len(names) == 1:
        return _tier(collective, names if isinstance(names, str) else names[0], machine)
    if machine.inner is None:
        raise NotApplicable(f"hierarchical: {len(names)} algorithms for one tier, the ranks of a machine")
    return _tier(collective, "hierarchical", machine, inner=names[:-1], outer=names[-1])


def _tier(collective: str, name: str, layout: Layout, **options: object) -> Schedule:
    nested: Callable[..., Schedule] = {
        "all_reduce": all_reduce,
        "all_gather": all_gather,
        "reduce_scatter": reduce_scatter,
    }[collective]
    algorithms = {**FLAT[collective], "hierarchical": nested}
    if name not in algorithms:
        raise InputError(unknown("algorithm of a tier", name, list(algorithms)))
    return algorithms[name](layout, **options)
