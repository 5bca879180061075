"""All-to-alls: each byte must cross at least so many links, and all links together carry only so much.

T >= sum over pairs of bytes x distance / sum over links of capacity x length, whatever lengths the links are given (the
dual of the maximum concurrent flow): here 1 for every link, or 1 for the links of one tier and 0 for all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .limit import Limit
from .needs import Needs
from .paths import components, distances

if TYPE_CHECKING:
    from ..network import Network

# Starts times links beyond which the shortest paths would take longer than the bound is worth (about 0.3 s).
WORK = 400_000


def distance_limits(network: Network, needs: Needs) -> Iterator[Limit]:
    """One bound for all links and one for each tier; left out where there are too many paths."""
    if not (needs.pairwise and needs.groups):
        return
    tier = network.tier[: network.links]
    everything = np.arange(network.nodes)
    yield from _limit(network, needs, everything, np.ones(network.links, dtype=np.bool_), "")
    for index, name in enumerate(network.tiers):
        mine = tier == index
        # Nodes that the other tiers join are at distance 0: one node.
        labels = components(network.nodes, network.source[~mine], network.destination[~mine])
        yield from _limit(network, needs, labels, mine, f"{name} ")


def _limit(network: Network, needs: Needs, labels: NDArray[np.int64], counted: NDArray[np.bool_], tier: str) -> Iterator[Limit]:
    source, destination = labels[network.source[counted]], labels[network.destination[counted]]
    starts = np.unique(labels[np.concatenate(needs.groups)])
    if len(starts) * len(source) > WORK:
        return
    demand = needs.between(labels)[starts]
    distance = distances(int(labels.max()) + 1, source, destination, np.ones(len(source)), starts)
    crossings = float((demand * np.where(demand > 0, distance, 0.0)).sum())
    if crossings > 0:
        text = f"bytes times the {tier}links that they must cross, at the least: {{bytes}} on {{capacity}} in all"
        yield Limit("distance", crossings, float(network.together[: network.links][counted].sum()), text)
