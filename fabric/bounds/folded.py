"""Bounds of a folded cluster: the cuts of `cuts.py` and the longest of the shortest routes of `latency.py`.

The parts are those of its one machine, of which there are as many in every machine, and pods. A link that stands for q
on the border of a part that stands for p is one of q / p of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..units import format_time
from .cuts import natural_labels
from .limit import Limit
from .needs import crossing
from .paths import distances

if TYPE_CHECKING:
    from ..bind import Overheads
    from ..network import Network

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parts:
    """Disjoint parts that hold ranks, of which every one stands for `copies`. labels: [nodes] part of a node, -1 for none."""

    labels: I64
    copies: int

    def bandwidth(self, network: Network, ends: I64, others: I64) -> F64:
        """[parts] bytes/s of the links that have one end in a part and the other outside."""
        mine = self.labels[ends]
        border = (mine >= 0) & (mine != self.labels[others])
        total = (network.capacity * network.multiplicity)[: network.links][border] / self.copies
        return np.bincount(mine[border], total, int(self.labels.max()) + 1).astype(np.float64)


def folded_limits(network: Network, collective: str, overheads: Overheads | None) -> Iterator[Limit]:
    """The limits of a collective on all ranks of a folded cluster. Raises InputError for any that they do not run."""
    if collective not in COLLECTIVES:
        raise InputError(unknown("collective of a folded cluster", collective, COLLECTIVES))
    for parts in _natural_parts(network):
        yield from _limits_of(network, collective, parts)
    if overheads is not None:
        yield _latency_limit(network, overheads)


def _natural_parts(network: Network) -> Iterator[Parts]:
    """The natural partitions in as far as they part machines or pods. The last node is the topmost switch, which all share;
    what hangs together with a leaf below it is a pod."""
    leaves = [node for node in range(network.nodes) if network.graph.nodes[node].get("tier") == "leaf"]
    for labels in natural_labels(network):
        held, number = np.unique(labels[: network.ranks], return_inverse=True)
        if labels[-1] in held:
            continue
        place = np.full(int(labels.max()) + 1, -1)
        place[labels[: network.ranks]] = number
        yield Parts(place[labels], network.pods if np.isin(labels[leaves], held).any() else network.graph.graph["servers"])


def _limits_of(network: Network, collective: str, parts: Parts) -> Iterator[Limit]:
    source, destination = network.source, network.destination
    machines = network.graph.graph["servers"]
    inside = np.bincount(parts.labels[: network.ranks]) * (machines // parts.copies)
    leave, enter = crossing(collective, inside, network.ranks * machines)
    out, back = parts.bandwidth(network, source, destination), parts.bandwidth(network, destination, source)
    each, name, links = "each rank", "injection", ""
    if inside.max() > 1:
        border = (parts.labels[source] >= 0) & (parts.labels[source] != parts.labels[destination])
        tiers = " and ".join(network.tiers[index] for index in np.unique(network.tier[: network.links][border]))
        each, name, links = f"each part of {inside.max():,} ranks", f"cut {tiers}", f" of {tiers} links"
    for needed, capacity, verb in ((leave, out, "send"), (enter, back, "receive")):
        worst = int(np.argmax(needed / capacity))
        text = f"{each} must {verb} {{bytes}} through {{capacity}}{links}"
        yield Limit(name, float(needed[worst]), float(capacity[worst]), text)
    if collective == "all_reduce":
        count = len(inside) * parts.copies
        text = f"an element takes {2 * count - 2:,} messages between {count:,} {'ranks' if name == 'injection' else 'parts'}"
        text += f": {{bytes}} through {{capacity}}{links} of each"
        yield Limit(name, (2 * count - 2) / count, float(out.mean()), text)


def _latency_limit(network: Network, overheads: Overheads) -> Limit:
    """From a rank up to the topmost switches and down to a rank of the machines beyond, at the quickest."""
    latency = network.latency if overheads.latency else np.zeros(network.links)
    top = np.array([network.nodes - 1])  # the spine, or the leaf where there is none
    down = distances(network.nodes, network.source, network.destination, latency, top)[0, : network.ranks]
    up = distances(network.nodes, network.destination, network.source, latency, top)[0, : network.ranks]
    fixed = float(overheads.start + overheads.per_destination + overheads.alpha_efa + up.max() + down.max())
    text = f"something of each rank must reach the farthest machine, which takes {format_time(fixed)} even for one byte"
    return Limit("latency", 0.0, 1.0, text, fixed)
