"""The exact optimum of broadcast and reduce: what the root can send to, or get from, the rank that is hardest to reach.

S over the least maximum flow between the root and a rank: that many bytes/s fit into edge-disjoint trees (Edmonds).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .allgather import WORK, in_units, reach
from .limit import Limit
from .needs import Needs

if TYPE_CHECKING:
    from ..network import Network

I64 = NDArray[np.int64]


def rooted_limits(network: Network, needs: Needs) -> Iterator[Limit]:
    """The optimum of every group by itself; left out on other collectives and where it would take long."""
    if needs.collective not in ("broadcast", "reduce") or int(needs.sizes.sum()) * network.links > WORK:
        return
    for group in needs.groups:
        rate, cut = rooted_cut(network, group, int(group[needs.root]), reverse=needs.collective == "reduce")
        lacking = network.node_names[int(group[~cut[group]][0])]
        verb = "reach" if needs.collective == "broadcast" else "come from"
        text = f"the worst of all cuts, met by the best schedule: {{bytes}} must {verb} {lacking} through {{capacity}}"
        yield Limit(f"{needs.collective} optimum", 1.0, float(rate), text)


def rooted_cut(network: Network, group: I64, root: int, *, reverse: bool = False) -> tuple[Fraction, NDArray[np.bool_]]:
    """The most bytes/s that fit from a node `root` to every other rank of `group`, and the nodes on its side of the cut.

    `reverse` turns the links. 0 where there is no way to some rank.
    """
    source, destination = network.source, network.destination
    if reverse:
        source, destination = destination, source
    unit, capacity = in_units(network.capacity[: network.links])
    cut = np.arange(network.nodes) == root
    while rate := int(capacity[cut[source] & ~cut[destination]].sum()):
        rates = np.array([rate if rank == root else 0 for rank in group.tolist()], dtype=object)
        closer = reach(network.nodes, source, destination, capacity, group, rates)
        if not closer:
            break
        cut = min(closer, key=lambda one: int(capacity[one[source] & ~one[destination]].sum()))
    return rate * unit, cut
