"""Bounds from the natural partitions of a fabric: ranks, what hangs together without one tier, servers, racks, halves.

Any partition gives true bounds. For a part P with capacities B+(P) out of it and B-(P) into it, the time is at least
what must leave P over B+(P), and what must enter P over B-(P). all_reduce needs, for each element, at least 2(k-1)
messages between k parts (the gossip bound of one-way messages, with combining), and every message leaves a part that
has ranks: T >= 2(k-1) S / sum of B+ (Patarasuk and Yuan, JPDC 69(2), 2009, is the case of single ranks).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .limit import Limit
from .needs import Members, Needs
from .paths import components

if TYPE_CHECKING:
    from ..network import Network

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Partition:
    """Disjoint parts of the nodes. labels: [nodes] part of each. leave, enter: [parts] bytes/s out of and into each."""

    labels: I64
    crossing: NDArray[np.bool_]  # [L]
    leave: F64
    enter: F64

    @classmethod
    def of(cls, network: Network, labels: I64) -> Partition:
        source, destination = labels[network.source], labels[network.destination]
        crossing = source != destination
        capacity = np.where(crossing, network.together[: network.links], 0.0)
        parts = int(labels.max()) + 1
        leave, enter = (np.bincount(end, capacity, parts).astype(np.float64) for end in (source, destination))
        return cls(labels, crossing, leave, enter)


def cut_limits(network: Network, needs: Needs) -> Iterator[Limit]:
    """What the parts of every natural partition must exchange; parts of one rank each go by "injection"."""
    seen: set[bytes] = set()
    for labels in natural_labels(network):
        if labels.tobytes() not in seen and needs.groups:
            seen.add(labels.tobytes())
            yield from _limits_of(network, needs, Partition.of(network, labels))


def natural_labels(network: Network) -> Iterator[I64]:
    """[nodes] the part of each node, for every natural partition."""
    yield np.arange(network.nodes)
    tier = network.tier[: network.links]
    for index in range(len(network.tiers)):
        for kept in (tier != index, tier == index):
            yield components(network.nodes, network.source[kept], network.destination[kept])
    for attribute in ("server", "rack", "machine"):
        yield _labels_by(network, attribute)
    yield from _halves(network)


def _labels_by(network: Network, attribute: str) -> I64:
    """Nodes with the same attribute are one part; a node without it is one by itself."""
    nodes = network.graph.nodes
    keys = [(0, nodes[node][attribute]) if attribute in nodes[node] else (1, node) for node in range(network.nodes)]
    number = {key: label for label, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64)


def _halves(network: Network) -> Iterator[I64]:
    """A fabric of coordinates without switches, cut into two halves across each dimension, at every place."""
    nodes, dims = network.graph.nodes, network.graph.graph.get("dims", [])
    if not dims or not all(len(nodes[node].get("coord", ())) == len(dims) for node in range(network.nodes)):
        return
    coords = np.array([nodes[node]["coord"] for node in range(network.nodes)], dtype=np.int64)
    for dimension, size in enumerate(dims):
        for first in range(size if size % 2 else size // 2):
            yield ((coords[:, dimension] - first) % size < size // 2).astype(np.int64)


def _limits_of(network: Network, needs: Needs, partition: Partition) -> Iterator[Limit]:
    members = needs.members(partition.labels)
    leave, enter = needs.across(partition.labels, members)
    for needed, capacity, ends, verb in (
        (leave, partition.leave, network.source, "send"),
        (enter, partition.enter, network.destination, "receive"),
    ):
        slope = _slopes(needed, capacity)
        worst = int(np.argmax(slope))
        if slope[worst] > 0:
            name, links = _name(network, partition, members, partition.labels[ends] == worst)
            subject = _subject(network, partition.labels, members, slope >= slope[worst] * (1 - 1e-12))
            text = f"{subject} must {verb} {{bytes}} through {{capacity}}{links}"
            yield Limit(name, float(needed[worst]), float(capacity[worst]), text)
    if needs.collective == "all_reduce":
        yield from _message_limits(network, partition, members)


def _slopes(needed: F64, capacity: F64) -> F64:
    """needed / capacity; 0 where nothing is needed, infinite where there is no capacity for it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(needed > 0, needed / capacity, 0.0)


def _message_limits(network: Network, partition: Partition, members: Members) -> Iterator[Limit]:
    """2(k-1) messages for each element: for the group that has it worst, and for all groups together."""
    messages = (2 * np.bincount(members.group) - 2).astype(np.float64)
    spread = members.part[messages[members.group] > 0]
    if not len(spread):
        return
    capacity = np.bincount(members.group, partition.leave[members.part]).astype(np.float64)
    worst = int(np.argmax(_slopes(messages, capacity)))
    name, links = _name(network, partition, members, np.isin(partition.labels[network.source], spread))
    what = "ranks" if name == "injection" else "parts"
    text = f"an element takes {messages[worst]:.0f} messages between {messages[worst] / 2 + 1:.0f} {what}"
    yield Limit(name, float(messages[worst]), float(capacity[worst]), f"{text}: {{bytes}} through {{capacity}}{links}")
    text = f"an element of each of {len(messages)} groups takes {messages.sum():.0f} messages between {what} in all"
    together = float(partition.leave[np.unique(spread)].sum())
    yield Limit(name, float(messages.sum()), together, f"{text}: {{bytes}} through {{capacity}}{links}")


def _name(network: Network, partition: Partition, members: Members, links: NDArray[np.bool_]) -> tuple[str, str]:
    """The bound's name and, for its sentence, which links it speaks of."""
    if (_ranks_in(network, partition.labels)[members.part] == 1).all():
        return "injection", ""
    crossed = np.unique(network.tier[: network.links][partition.crossing & links])
    tiers = " and ".join(network.tiers[index] for index in crossed) or "missing"
    return f"cut {tiers}", f" of {tiers} links"


def _ranks_in(network: Network, labels: I64) -> I64:
    """[parts] ranks of the fabric in each part."""
    return np.bincount(labels[: network.ranks], minlength=int(labels.max()) + 1)


def _subject(network: Network, labels: I64, members: Members, worst: NDArray[np.bool_]) -> str:
    """The parts that have it worst, in words."""
    first = int(np.flatnonzero(worst[labels[: network.ranks]])[0])
    ranks = int(_ranks_in(network, labels)[labels[first]])
    every = bool(worst[members.part].all())
    if ranks == 1:
        return "each rank" if every else network.node_names[first]
    where = "each part" if every else "the part"
    return f"{where} of {ranks} ranks, such as that of {network.node_names[first]},"
