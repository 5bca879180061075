"""The exact optimum of broadcast and reduce: what the root can send to, or get from, the rank that is hardest to reach.

S over the least maximum flow between the root and a rank: that many bytes/s fit into edge-disjoint trees (Edmonds).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .allgather import WORK, in_units, reach
from .limit import Limit
from .needs import Needs

if TYPE_CHECKING:
    from ..network import Network


def rooted_limits(network: Network, needs: Needs) -> Iterator[Limit]:
    """The optimum of every group by itself; left out on other collectives and where it would take long."""
    if needs.collective not in ("broadcast", "reduce") or int(needs.sizes.sum()) * network.links > WORK:
        return
    source, destination = network.source, network.destination
    if needs.collective == "reduce":
        source, destination = destination, source
    unit, capacity = in_units(network.capacity[: network.links])
    for group in needs.groups:
        root = int(group[needs.root])
        cut = np.arange(network.nodes) == root
        while True:
            crossing = cut[source] & ~cut[destination]
            rate = int(capacity[crossing].sum())
            rates = np.array([rate if rank == root else 0 for rank in group.tolist()], dtype=object)
            closer = reach(network.nodes, source, destination, capacity, group, rates) if rate else []
            if not closer:
                break
            cut = min(closer, key=lambda one: int(capacity[one[source] & ~one[destination]].sum()))
        lacking = network.node_names[int(group[~cut[group]][0])]
        verb = "reach" if needs.collective == "broadcast" else "come from"
        text = f"the worst of all cuts, met by the best schedule: {{bytes}} must {verb} {lacking} through {{capacity}}"
        yield Limit(f"{needs.collective} optimum", 1.0, float(rate * unit), text)
