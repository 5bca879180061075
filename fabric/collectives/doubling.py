"""Recursive doubling: the partner of round t is r xor 2^t, near ones first; ⌊log2 n⌋ rounds.

All-reduce exchanges the whole vector in each, S log2 n bytes per rank: the least latency that one partner at a time allows.
All-gather exchanges all that has come together, S(n-1)/n bytes. Where n is no power of two, ranks 1, 3, 5, ... below
2(n - 2^⌊log2 n⌋) stand back: each hands its data to the rank before it at first and gets the result at last. Thakur,
Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", 2005.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..builder import Builder
from ..errors import InputError, unknown
from ..layout import Layout
from ..schedule import COPY, REDUCE, Schedule, Symmetry
from . import butterfly

I64 = NDArray[np.int64]
Ports = Literal["all", "one"]


def all_reduce(layout: Layout, ports: Ports = "all") -> Schedule:
    """All-reduce by recursive doubling of the whole vector.

    ports: on a torus whose dimensions are powers of two, where the partner is a coordinate xor 2^i: "all": as many parts as
        dimensions, each of which starts in another; "one": one part, whole. Without such a torus there is one part.
    """
    parts, shares, symmetry = _parts(layout, ports)
    builder = Builder("all_reduce", "doubling", layout.ranks, np.ones(1), shares, symmetry=symmetry)
    active, folded = _folded(layout.ranks)
    begin, end = int(len(folded) > 0), 0
    for part, partners in enumerate(parts):
        builder.add(folded, folded - 1, np.full_like(folded, part), REDUCE, 0)
        end = butterfly.all_reduce(builder, active, partners, part, begin)
        builder.add(folded - 1, folded, np.full_like(folded, part), COPY, end)
    return builder.build(ports=ports)


def all_gather(layout: Layout, ports: Ports = "all") -> Schedule:
    """All-gather by recursive doubling; parameters as for `all_reduce`."""
    (parts, shares, symmetry), n = _parts(layout, ports), layout.ranks
    active, folded = _folded(n)
    builder = Builder("all_gather", "doubling", n, np.full(n, 1 / n), shares, symmetry=symmetry)
    held = active[:, np.newaxis]
    if len(folded):
        held = np.stack((active, np.where(np.isin(active + 1, folded), active + 1, -1)), axis=1)
    for part, partners in enumerate(parts):
        builder.add(folded, folded - 1, folded * len(parts) + part, COPY, 0)
        end = butterfly.all_gather(builder, active, partners, held, part, int(len(folded) > 0))
        others = np.arange(n - 1) + (np.arange(n - 1) >= folded[:, np.newaxis])
        builder.add(folded - 1, folded, others * len(parts) + part, COPY, end)
    return builder.build(ports=ports)


def _parts(layout: Layout, ports: Ports) -> tuple[list[butterfly.Rounds], NDArray[np.float64], Symmetry]:
    """The partners of each part, as places among the active ranks; the parts' shares; the symmetry of the ranks."""
    if ports not in ("all", "one"):
        raise InputError(unknown("ports of doubling", ports, ["all", "one"]))
    dims = tuple(k for k in layout.dims if k > 1)
    if not dims or any(k & (k - 1) for k in dims):
        dims = (1 << layout.ranks.bit_length() - 1,)
    parts = [butterfly.rounds(dims, first, _xor) for first in range(len(dims) if ports == "all" else 1)]
    symmetry = () if layout.ranks & (layout.ranks - 1) else (("xor", layout.ranks),)
    return parts, np.full(len(parts), 1 / len(parts)), symmetry


def _xor(x: I64, k: int, step: int) -> I64:
    return x ^ (1 << step)


def _folded(ranks: int) -> tuple[I64, I64]:
    """The ranks that take part, a power of two of them, and those that stand back."""
    folded = 2 * np.arange(ranks - (1 << ranks.bit_length() - 1)) + 1
    return np.setdiff1d(np.arange(ranks), folded), folded
