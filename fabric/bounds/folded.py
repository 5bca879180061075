"""Bounds of a folded cluster: the cuts of `cuts.py` and the longest of the shortest routes of `latency.py`.

For a collective on all ranks the parts are those of its one machine, of which there are as many in every machine, and pods.
A link that stands for q on the border of a part that stands for p is one of q / p of each.

For replica groups that lie in units, any partition of the folded graph is one of the cluster: a part there is all images of
a part here. What all images of a group need adds up, and so do the links of the border, so both may be counted for one unit;
and a path between two ranks is no shorter than its image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..units import format_time
from .cuts import Partition, cut_limits, natural_labels
from .distance import distance_limits
from .latency import latency_limits, least_times
from .limit import Limit
from .needs import Needs, crossing
from .paths import components, distances

if TYPE_CHECKING:
    from ..bind import Overheads
    from ..network import Network

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "all_to_all_v")

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parts:
    """Disjoint parts that hold ranks, of which every one stands for `copies`. labels: [nodes] part of a node, -1 for none."""

    labels: I64
    copies: int

    def bandwidth(self, network: Network, ends: I64, others: I64, machine: F64) -> F64:
        """[parts] bytes/s of the links that have one end in a part and the other outside, in the parts that hold a machine
        of these capacities [K]."""
        mine = self.labels[ends]
        border = (mine >= 0) & (mine != self.labels[others])
        lost = network.capacity - machine  # by one link of all that each stands for
        total = (network.capacity * network.multiplicity / self.copies - lost)[: network.links][border]
        return np.bincount(mine[border], total, int(self.labels.max()) + 1).astype(np.float64)


def folded_limits(
    network: Network, collective: str, overheads: Overheads | None, matrix: F64 | Sequence[F64] | None = None
) -> Iterator[Limit]:
    """The limits of a collective on all ranks of a folded cluster, of which one machine is stored.

    matrix: of all_to_all_v, [g, g] bytes from each place of a machine to each place of any machine.
    Raises InputError for a collective that they do not run, and for a cluster of which several machines are stored.
    """
    if collective not in COLLECTIVES:
        raise InputError(unknown("collective of a folded cluster", collective, COLLECTIVES))
    if network.unit > 1:
        raise InputError("bounds of a collective on all ranks need a cluster folded to one machine")
    places = None if matrix is None else _at_size_one(np.asarray(matrix, dtype=np.float64), network)
    for parts in _natural_parts(network):
        yield from _limits_of(network, collective, parts, places)
    if overheads is not None:
        yield _latency_limit(network, overheads, places)


def unit_limits(network: Network, needs: Needs, overheads: Overheads | None) -> Iterator[Limit]:
    """The limits of a collective in the replica groups of every unit of a folded cluster; needs: those of one unit."""
    yield from cut_limits(network, needs)
    yield from _pod_limits(network, needs)
    yield from distance_limits(network, needs)
    yield from latency_limits(network, needs, overheads, _least_times)


def _least_times(network: Network, starts: I64, overheads: Overheads) -> F64:
    """As `least_times`; to ranks of other pods over the topmost switch, even where one leaf is stored for both pods."""
    time = least_times(network, starts, overheads)
    up, down = _ways_over_the_top(network, overheads)
    ranks = np.arange(network.ranks)
    pod = ranks // (network.ranks // network.unit) % network.pods
    apart = pod[starts][:, None] != pod
    time[:, ranks] = np.where(apart, overheads.alpha_efa + up[starts][:, None] + down, time[:, ranks])
    return time


def _pod_limits(network: Network, needs: Needs) -> Iterator[Limit]:
    """What pods must exchange. A part of the folded graph is all pods of a kind; what these exchange counts as well."""
    if network.pods < 2:
        return
    each, spine = network.ranks // network.unit, network.tiers.index("spine")
    pod = np.zeros(network.nodes, dtype=np.int64)
    pod[: network.ranks] = np.arange(network.ranks) // each % network.pods
    members = needs.members(pod)
    kept = network.tier[: network.links] != spine
    partition = Partition.of(network, components(network.nodes, network.source[kept], network.destination[kept]))
    kind = np.zeros(int(pod.max()) + 1, dtype=np.int64)
    kind[pod[: network.ranks]] = partition.labels[: network.ranks]
    every = zip(needs.across(pod, members), (partition.leave, partition.enter), ("send", "receive"))
    for needed, capacity, verb in every:
        together = np.bincount(kind, needed, len(capacity))
        worst = int(np.argmax(np.divide(together, capacity, out=np.zeros_like(together), where=together > 0)))
        text = f"the pods of a kind must {verb} {{bytes}} through {{capacity}} of spine links, for each unit"
        if together[worst] > 0:
            yield Limit("cut spine", float(together[worst]), float(capacity[worst]), text)
    messages = float((2 * np.bincount(members.group) - 2).sum())
    if needs.collective == "all_reduce" and messages:
        text = f"the groups of a unit take {messages:.0f} messages between pods: {{bytes}} through {{capacity}} of spine links"
        yield Limit("cut spine", messages, float(partition.leave[np.unique(kind)].sum()), text)


def _at_size_one(matrix: F64, network: Network) -> F64:
    """A matrix of places for which a rank holds at most one byte for all ranks together."""
    places = matrix.reshape(network.ranks, network.ranks)
    return np.asarray(places / (places.sum(axis=1).max() * network.copies))


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


def _limits_of(network: Network, collective: str, parts: Parts, places: F64 | None) -> Iterator[Limit]:
    source, destination = network.source, network.destination
    machines = network.copies
    inside = np.bincount(parts.labels[: network.ranks]) * (machines // parts.copies)
    if places is None:
        leave, enter = crossing(collective, inside, network.ranks * machines)
    else:
        leave, enter = _crossing_of_places(places, parts.labels[: network.ranks], machines // parts.copies, machines)
    each, name, links = "each rank", "injection", ""
    if inside.max() > 1:
        border = (parts.labels[source] >= 0) & (parts.labels[source] != parts.labels[destination])
        tiers = " and ".join(network.tiers[index] for index in np.unique(network.tier[: network.links][border]))
        each, name, links = f"each part of {inside.max():,} ranks", f"cut {tiers}", f" of {tiers} links"
    for who, machine in ((each, network.capacity), *((f"{each} with slow links", slow) for slow in network.slow.values())):
        out = parts.bandwidth(network, source, destination, machine)
        back = parts.bandwidth(network, destination, source, machine)
        for needed, capacity, verb in ((leave, out, "send"), (enter, back, "receive")):
            worst = int(np.argmax(needed / capacity))
            text = f"{who} must {verb} {{bytes}} through {{capacity}}{links}"
            yield Limit(name, float(needed[worst]), float(capacity[worst]), text)
    if collective == "all_reduce":
        count = len(inside) * parts.copies
        text = f"an element takes {2 * count - 2:,} messages between {count:,} {'ranks' if name == 'injection' else 'parts'}"
        text += f": {{bytes}} through {{capacity}}{links} of each"
        out = parts.bandwidth(network, source, destination, network.capacity)
        lost = sum(float((out - parts.bandwidth(network, source, destination, slow)).sum()) for slow in network.slow.values())
        yield Limit(name, (2 * count - 2) / count, float(out.mean()) - lost / count, text)


def _crossing_of_places(places: F64, labels: I64, held: int, machines: int) -> tuple[F64, F64]:
    """Bytes that must leave and enter each part, which holds the same places of `held` machines."""
    mine = labels >= 0
    parts = int(labels.max()) + 1
    same = np.where(mine[:, None] & (labels[:, None] == labels), places, 0.0).sum(axis=1)
    out, back = machines * places.sum(axis=1) - held * same, machines * places.sum(axis=0)
    leave = held * np.bincount(labels[mine], out[mine], parts)
    enter = held * np.bincount(labels[mine], (back - held * same)[mine], parts)
    return leave.astype(np.float64), enter.astype(np.float64)


def _latency_limit(network: Network, overheads: Overheads, places: F64 | None) -> Limit:
    """From a rank up to the topmost switches and down to one of the machines beyond that gets something, at the quickest."""
    up, down = _ways_over_the_top(network, overheads)
    farthest = float((up[:, None] + down).max(where=True if places is None else places > 0, initial=0.0))
    fixed = float(overheads.start + overheads.per_destination + overheads.alpha_efa) + farthest
    text = f"something of each rank must reach the farthest machine, which takes {format_time(fixed)} even for one byte"
    return Limit("latency", 0.0, 1.0, text, fixed)


def _ways_over_the_top(network: Network, overheads: Overheads) -> tuple[F64, F64]:
    """[ranks] the least latency from each rank to the topmost switch, and from there to each rank."""
    latency = network.latency if overheads.latency else np.zeros(network.links)
    top = np.array([network.nodes - 1])  # the spine, or the leaf where there is none
    down = distances(network.nodes, network.source, network.destination, latency, top)[0, : network.ranks]
    up = distances(network.nodes, network.destination, network.source, latency, top)[0, : network.ranks]
    return up, down
