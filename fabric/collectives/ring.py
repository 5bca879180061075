"""Ring: every rank sends to its successor only, over all edge-disjoint Hamiltonian cycles of a torus in both directions.

2(n-1) steps for an all_reduce and 2S(n-1)/n bytes per rank, the least possible; R directed rings share the bytes equally.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..layout import Layout, NotApplicable
from ..schedule import Schedule
from . import hamiltonian, lines

I64 = NDArray[np.int64]
Directions = Literal[1, 2]


def all_reduce(
    layout: Layout, cycles: int | None = None, directions: Directions = 2, weights: tuple[float, ...] | None = None
) -> Schedule:
    """All-reduce by rings: reduce-scatter, then all-gather on the same rings.

    cycles: how many Hamiltonian cycles to use; None = all: one for each dimension of a torus whose dimensions are all even
        or all odd and at least 3. Any other layout has one ring, in rank order.
    directions: 1 or 2 rings on each cycle.
    weights: the shares of the rings, `directions` for each cycle in turn; None = equal.
    Raises NotApplicable where there are fewer cycles, InputError for parameters without meaning.
    """
    return _ring("all_reduce", layout, cycles, directions, weights)


def all_gather(
    layout: Layout, cycles: int | None = None, directions: Directions = 2, weights: tuple[float, ...] | None = None
) -> Schedule:
    """All-gather by rings; parameters as for `all_reduce`."""
    return _ring("all_gather", layout, cycles, directions, weights)


def reduce_scatter(
    layout: Layout, cycles: int | None = None, directions: Directions = 2, weights: tuple[float, ...] | None = None
) -> Schedule:
    """Reduce-scatter by rings; parameters as for `all_reduce`."""
    return _ring("reduce_scatter", layout, cycles, directions, weights)


def _ring(
    collective: str, layout: Layout, cycles: int | None, directions: Directions, weights: tuple[float, ...] | None
) -> Schedule:
    rings = directed_rings(layout, cycles, directions)
    if weights is None:
        weights = (1.0,) * len(rings)
    elif len(weights) != len(rings) or not all(0 < weight < np.inf for weight in weights):
        raise InputError(f"ring: {len(rings)} positive weights expected, one per ring, not {weights}")
    used = len(rings) // directions
    note = f"{used} cycle{'s' * (used > 1)} x {directions} direction{'s' * (directions > 1)}"
    options = {"cycles": used, "directions": directions, "weights": weights}
    lanes = [[lane] for lane in range(len(rings))]
    symmetry = (("shift", layout.ranks),) if (np.diff(rings[0]) == 1).all() else ()  # no such one of the cycles of a torus
    return lines.build(collective, "ring", rings, weights, lanes, symmetry=symmetry, note=note, options=options)


def directed_rings(layout: Layout, cycles: int | None, directions: Directions) -> list[I64]:
    """The rings of a layout, each [n] its ranks in order, `directions` for each cycle in turn; see `all_reduce`."""
    if directions not in (1, 2):
        raise InputError(f"directions has to be 1 or 2, not {directions}")
    if cycles is not None and cycles < 1:
        raise InputError(f"cycles has to be at least 1, not {cycles}")
    dims = tuple(k for k in layout.dims if k > 1)
    found = hamiltonian.cycles(dims) if hamiltonian.decomposable(dims) else [np.arange(layout.ranks)]
    if cycles is not None and cycles > len(found):
        raise NotApplicable(f"{cycles} edge-disjoint cycles asked for, there are {len(found)}")
    return [ring for cycle in found[:cycles] for ring in (cycle, cycle[::-1])[:directions]]
