"""No collective ends before the farthest two ranks that depend on each other could have exchanged one byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..units import format_time
from .limit import Limit
from .needs import Needs
from .paths import distances

if TYPE_CHECKING:
    from ..bind import Overheads
    from ..network import Network

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

# Sources times links; beyond it some sources, evenly spaced, stand for all: still a bound.
WORK = 400_000


def latency_limits(
    network: Network, needs: Needs, overheads: Overheads | None, reach_of: Callable[..., F64] | None = None
) -> Iterator[Limit]:
    """Start cost, cost of one destination, one overhead and the largest over dependent pairs of the least latency.

    reach_of: another `least_times`, for a fabric of which not every node is stored.
    """
    if overheads is None or not needs.groups:
        return
    sources = _sample(needs, max(1, WORK // max(1, network.links)))
    starts = np.array([rank for _, _, rank in sources], dtype=np.int64)
    reach = (reach_of or least_times)(network, starts, overheads)
    longest, pair = 0.0, (-1, -1)
    for row, (group, position, rank) in enumerate(sources):
        needed = needs.dependent(group, position)
        if len(needed):
            farthest = int(needed[np.argmax(reach[row, needed])])
            if pair[0] < 0 or reach[row, farthest] > longest:
                longest, pair = float(reach[row, farthest]), (rank, farthest)
    if pair[0] < 0:
        return
    fixed = overheads.start + overheads.per_destination + longest
    first, last = (network.node_names[rank] for rank in pair)
    text = f"something of {first} must reach {last}, which takes {format_time(fixed)} even for one byte"
    yield Limit("latency", 0.0, 1.0, text, fixed)


def _sample(needs: Needs, count: int) -> list[tuple[int, int, int]]:
    """(group, position in it, rank) of up to `count` ranks, evenly spaced over the groups."""
    everyone = [
        (group, position, rank) for group, ranks in enumerate(needs.groups) for position, rank in enumerate(ranks.tolist())
    ]
    return everyone[:: -(-len(everyone) // count)]


def least_times(network: Network, starts: I64, overheads: Overheads) -> F64:
    """[starts, nodes] overhead and latency of the quickest way.

    A way that crosses a NIC pays alpha_efa at least once, whatever transfers it is made of; any other pays alpha_link.
    """
    latency = network.latency if overheads.latency else np.zeros(network.links)
    inside = ~network.crosses_nic
    links = (network.source[inside], network.destination[inside], latency[inside])
    time = overheads.alpha_link + distances(network.nodes, *links, starts)
    if inside.all():
        return time
    anyhow = distances(network.nodes, network.source, network.destination, latency, starts)
    return np.minimum(time, overheads.alpha_efa + anyhow)
