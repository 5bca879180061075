"""All-to-all on a torus, one dimension after another.

A stage takes every block to the place of its destination in one dimension: each rank bundles what has the same place and
sends it along its line, to all places at once. With as many parts as dimensions, whose orders are rotated, every dimension
is in use in every stage: S·max(k/8c) for even rings of k and links of c, the least possible, where one dimension at a
time takes S·Σ(k/8c).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..layout import Layout, NotApplicable
from ..schedule import COPY, Schedule
from .lines import check_count
from .mesh import pairs


def all_to_all(layout: Layout, rotated: bool = True) -> Schedule:
    """All-to-all of equal blocks through the dimensions of a torus: one step for each, one message per rank in a line.

    rotated: a part of the data for each dimension, each of which starts in another one; else one part, x first.
    Raises NotApplicable without a torus of two dimensions.
    """
    n, dims = layout.ranks, [dim for dim, k in enumerate(layout.dims) if k > 1]
    if len(dims) < 2:
        raise NotApplicable("dimensionwise needs a torus of two dimensions at least")
    parts = len(dims) if rotated else 1
    sizes = [layout.dims[dim] for dim in dims]
    check_count("dimensionwise", n, n * parts * sum(k - 1 for k in sizes), carried=n * n * parts * len(dims))
    shares, symmetry = np.full(parts, 1 / parts), tuple(("shift", k) for k in layout.dims)
    builder = Builder("all_to_all", "dimensionwise", n, np.full(n * n, 1 / n), shares, symmetry=symmetry)
    grid = np.arange(n).reshape(sizes, order="F")
    for part in range(parts):
        order = [(part + stage) % len(dims) for stage in range(len(dims))]
        for stage in range(len(order)):
            _stage(builder, grid.transpose(order), stage, part)
    return builder.build(rotated=rotated)


def _stage(builder: Builder, grid: NDArray[np.int64], stage: int, part: int) -> None:
    """Add the transfers along one axis. A rank holds the blocks for the ranks that agree with it in the axes before, from
    the ranks that agree with it in this axis and those after."""
    k = grid.shape[stage]
    lines = grid.reshape(int(np.prod(grid.shape[:stage])), k, -1)
    source, destination = pairs(k)
    origins = lines[:, source].transpose(1, 2, 0)[None, ..., None]  # [., pair, rest of the sender, origin, .]
    targets = lines[:, destination][:, :, None, None]  # [line, pair, ., ., target]
    blocks = origins * builder.ranks + targets
    chunks = blocks.reshape(-1, blocks.shape[3] * blocks.shape[4]) * len(builder.parts) + part
    builder.add(lines[:, source].ravel(), lines[:, destination].ravel(), chunks, COPY, stage)
