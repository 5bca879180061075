"""Lower bounds: times that no schedule and no routing can beat on a fabric.

They count bytes that must pass somewhere, whatever the algorithm: ranks may copy data and combine partial sums,
switches only pass on. A bound that is too large would call a right result wrong, so each rests on a proof, and errs on
the low side where it has to approximate.

    injection    what every rank must send and receive, over its links
    cut TIER     what every part of the fabric must send and receive, over the links of that tier around it
    COLLECTIVE optimum   all_gather, reduce_scatter, broadcast and reduce: the worst of all cuts, found by maximum flows
    distance     all-to-alls: bytes times the links that they must at least cross, over all links together
    latency      one overhead and the longest of the shortest routes
    concurrent flow      all-to-alls, on request (`concurrent`): the best routing of all, a linear program
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..result import Bound
from .allgather import optimum_limits
from .cuts import cut_limits
from .distance import distance_limits
from .folded import folded_limits, unit_limits
from .latency import latency_limits
from .limit import Limit
from .needs import Needs
from .rooted import rooted_limits

if TYPE_CHECKING:
    from ..bind import Overheads
    from ..network import Network

__all__ = ["Limit", "bounds_at", "find_limits", "lower_bounds"]


def lower_bounds(
    network: Network,
    collective: str,
    groups: Sequence[NDArray[np.int64]],
    size: float,
    *,
    matrix: NDArray[np.float64] | Sequence[NDArray[np.float64]] | None = None,
    root: int = 0,
    overheads: Overheads | None = None,
    copies: int = 1,
) -> list[Bound]:
    """The lower bounds of a collective that runs in all `groups` at the same time, in s; the largest binds.

    groups: the ranks of each replica group. size: S of nccl-tests, bytes. matrix: [n, n] what each rank of a group
    sends to each, diagonal included, scaled here to a largest row sum of `size`; one for all groups or one for each;
    all_to_all_v and permute only. root: of a broadcast, reduce, gather or scatter, its position in every group. overheads:
    the fixed costs; without them there is no bound by latency. copies: as in `find_limits`.

    For several sizes find the limits once (`find_limits`) and ask for each size (`bounds_at`).
    Raises InputError on an unknown collective or a matrix that does not fit.
    """
    limits = find_limits(network, collective, groups, matrix=matrix, root=root, overheads=overheads, copies=copies)
    return bounds_at(limits, size)


def find_limits(
    network: Network,
    collective: str,
    groups: Sequence[NDArray[np.int64]],
    *,
    matrix: NDArray[np.float64] | Sequence[NDArray[np.float64]] | None = None,
    root: int = 0,
    overheads: Overheads | None = None,
    copies: int = 1,
) -> list[Limit]:
    """The lower bounds for any size: of each name the one that is largest for large sizes. See `lower_bounds`.

    copies: of a folded cluster, how many of its units have such groups. With 1 the one group is all its ranks, and a matrix
    is that between the places of any two machines.
    """
    if network.pods and copies != network.copies:
        every = folded_limits(network, collective, overheads, matrix)
    elif network.pods:
        every = unit_limits(network, Needs.of(collective, groups, matrix, root), overheads)
    elif (network.multiplicity != 1).any():
        raise InputError("lower bounds are for unfolded fabrics and folded clusters: here a link stands for several")
    else:
        every = _every_limit(network, Needs.of(collective, groups, matrix, root), overheads)
    largest: dict[str, Limit] = {}
    for limit in every:
        known = largest.get(limit.name)
        # The margin keeps the first of equals, whatever the rounding.
        if known is None or limit.slope > known.slope * (1 + 1e-12):
            largest[limit.name] = limit
    return list(largest.values()) or [Limit("injection", 0.0, 1.0, "no rank has anything to send")]


def _every_limit(network: Network, needs: Needs, overheads: Overheads | None) -> Iterator[Limit]:
    yield from cut_limits(network, needs)
    yield from optimum_limits(network, needs)
    yield from rooted_limits(network, needs)
    yield from distance_limits(network, needs)
    yield from latency_limits(network, needs, overheads)


def bounds_at(limits: Sequence[Limit], size: float) -> list[Bound]:
    """The bounds for a size in bytes. Those that differ by rounding alone get one time: the first of them binds."""
    bounds: list[Bound] = []
    for limit in limits:
        time = limit.time(size)
        equal = [bound.time for bound in bounds if abs(bound.time - time) <= 1e-12 * time]
        bounds.append(Bound(limit.name, equal[0] if equal else time, limit.detail(size)))
    return bounds
