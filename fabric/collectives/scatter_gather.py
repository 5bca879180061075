"""Broadcast as a scatter and an all-gather, reduce as a reduce-scatter and a gather: 2S(n-1)/n bytes past the root.

Every rank carries its share of the load, in few steps: far fewer bytes than a tree, far fewer steps than a chain. After van
de Geijn, "On global combine operations", 1994.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..csr import pointers, ranges
from ..errors import InputError, unknown
from ..layout import Layout
from ..schedule import Schedule
from . import hierarchical, rooted

I64 = NDArray[np.int64]


def broadcast(layout: Layout, root: int = 0, inner: str | None = None) -> Schedule:
    """Broadcast from `root`: it sends each rank a block, then all gather them; the root has its part in that afterwards.

    inner: the algorithm of the all-gather; None = "bucket" on a torus, else "mesh".
    Raises InputError for a root or an algorithm that does not exist, NotApplicable where the algorithm does not serve.
    """
    first = rooted.scatter(layout, root)
    name, gather = _inner("all_gather", layout, inner)
    builder = Builder("broadcast", "scatter_gather", layout.ranks, gather.blocks, gather.parts, root)
    _embed(builder, _embed(builder, 0, first), _but_to(gather, root))
    built = builder.build(f"direct, then {name}", root=root, inner=name)
    begins = (built.source == root) & (built.step >= first.steps) & (np.diff(built.wait_ptr) == 0)
    return _after(built, np.flatnonzero(begins), np.arange(first.transfers))


def reduce(layout: Layout, root: int = 0, inner: str | None = None) -> Schedule:
    """Reduce to `root`: a reduce-scatter by `inner`, then every rank sends its sum there; else as `broadcast`."""
    last = rooted.gather(layout, root)
    name, scatter = _inner("reduce_scatter", layout, inner)
    builder = Builder("reduce", "scatter_gather", layout.ranks, scatter.blocks, scatter.parts, root)
    _embed(builder, _embed(builder, 0, scatter), last)
    return builder.build(f"{name}, then direct", root=root, inner=name)


def _inner(collective: str, layout: Layout, name: str | None) -> tuple[str, Schedule]:
    """The algorithm among all ranks, and its schedule."""
    algorithms = hierarchical.FLAT[collective]
    name = name or ("bucket" if any(k > 1 for k in layout.dims) else "mesh")
    if name not in algorithms:
        raise InputError(unknown(f"algorithm of {collective}", name, list(algorithms)))
    return name, algorithms[name](layout)


def _embed(builder: Builder, step: int, half: Schedule) -> int:
    """Add a schedule on the same ranks and blocks, whose parts may be fewer; returns the step after it."""
    chunks = np.arange(len(builder.blocks) * len(builder.parts)).reshape(1, half.chunks, -1)
    return builder.embed(half, np.arange(builder.ranks)[np.newaxis], chunks, step)


def _but_to(gather: Schedule, root: int) -> Schedule:
    """An all-gather without what it brings to `root`, which has it all; its waits are not kept."""
    kept = np.flatnonzero(gather.destination != root)
    first, last = gather.chunk_ptr[kept], gather.chunk_ptr[kept + 1]
    return replace(
        gather,
        source=gather.source[kept],
        destination=gather.destination[kept],
        operation=gather.operation[kept],
        step=gather.step[kept],
        channel=gather.channel[kept],
        chunk_ptr=pointers(last - first),
        chunk_ids=gather.chunk_ids[ranges(first, last)],
    )


def _after(schedule: Schedule, late: I64, early: I64) -> Schedule:
    """The schedule in which each of the transfers `late` waits for all of `early` besides."""
    rows = np.concatenate((np.repeat(np.arange(schedule.transfers), np.diff(schedule.wait_ptr)), np.repeat(late, len(early))))
    ids = np.concatenate((schedule.wait_ids, np.tile(early, len(late))))[np.argsort(rows, kind="stable")]
    wait_ptr = pointers(np.bincount(rows, minlength=schedule.transfers))
    return replace(schedule, wait_ptr=wait_ptr, wait_ids=ids.astype(np.int32))
