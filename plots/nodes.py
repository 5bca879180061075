"""What the figures of a fabric need to know of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fabric.network import Network

I64 = NDArray[np.int64]
RANKS = ("chip", "core")
PLURALS = {"switch": "switches", "ToR": "ToRs", "leaf": "leaves"}


def levels(network: Network) -> I64:
    """[N] links from the nearest rank: chips are 0, the NICs and switches that they are linked to 1, and so on."""
    level = np.where([kind in RANKS for kind in network.kind], 0, -1)
    for distance in range(network.nodes):
        reached = network.destination[(level[network.source] == distance) & (level[network.destination] < 0)]
        if not len(reached):
            break
        level[reached] = distance + 1
    return level


def attribute(network: Network, name: str) -> I64:
    """[N] an integer attribute of the nodes, -1 where a node has none."""
    found = (network.graph.nodes[node].get(name) for node in range(network.nodes))
    return np.array([value if isinstance(value, int) else -1 for value in found], dtype=np.int64)


def machines(network: Network) -> I64:
    """[N] the machine of each node of a cluster, -1 for what is between machines; all -1 on a single machine."""
    machine = attribute(network, "machine")
    return machine if machine.max(initial=-1) > 0 else np.full(network.nodes, -1, dtype=np.int64)


def words(network: Network) -> list[str]:
    """[N] what each node is: "chip", "nic", "sled switch", "ToR", "leaf"."""
    named = {"nic": "NIC", "tor": "ToR", "sled": "sled switch", "rack": "rack switch"}
    nodes = network.graph.nodes
    found = [nodes[node].get("tier", kind) if kind == "switch" else kind for node, kind in enumerate(network.kind)]
    return [named.get(word, word) for word in found]


def plural(count: int, word: str) -> str:
    """ "1 chip", "2 switches"."""
    return f"{count:,} {word if count == 1 else _plural(word)}"


def _plural(word: str) -> str:
    return PLURALS.get(word) or (word[:-6] + "switches" if word.endswith("switch") else word + "s")


def lost(network: Network) -> list[tuple[int, int]]:
    """The links that were taken down, as node ids."""
    ids = {name: node for node, name in enumerate(network.node_names)}
    return [(ids[start], ids[end]) for start, end, factor in degraded(network) if factor == 0 and start in ids and end in ids]


def degraded(network: Network) -> list[tuple[str, str, float]]:
    """Names of both ends, and the factor on the bandwidth, of each degraded link; what is not such a record is ignored."""
    records = network.graph.graph.get("degraded")
    records = [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
    return [(str(link.get("from")), str(link.get("to")), float(link.get("factor", 1.0))) for link in records]


def bandwidths(network: Network, tier: int) -> str:
    """ "128 GB/s", or the range where the links of a tier differ."""
    capacity = network.capacity[: network.links][network.tier[: network.links] == tier] / 1e9
    low, high = capacity.min(), capacity.max()
    return f"{high:.4g} GB/s" if high - low <= 1e-9 * high else f"{low:.4g} to {high:.4g} GB/s"
