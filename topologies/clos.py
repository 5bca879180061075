"""The switch layers above the ToRs of a cluster: leaves and spines, sized from port counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from .parts import Graph, Link, add_node, join, whole

__all__ = ["Clos", "add_clos", "add_folded_clos", "size_clos"]

SPINE_HOP = 0.9e-6
LEAF_LATENCY = "latency is in alpha_efa"
SPINE_LATENCY = "latency 0.9 us: guess, a merchant switch of 0.5-0.8 us and its fibre"


class Clos(NamedTuple):
    """How many switches there are.

    ToR t is in pod t // tors_per_pod, or where machines are spread, its machine is in pod machine % pods. Every pod has
    planes * leaves_per_plane leaves, every plane spines_per_plane spines, each counted pod by pod and plane by plane.
    """

    tors: int
    tors_per_pod: int
    pods: int
    planes: int
    leaves_per_plane: int
    spines_per_plane: int

    @property
    def leaves(self) -> int:
        """Leaves of a pod."""
        return self.planes * self.leaves_per_plane


def size_clos(
    tors: int,
    uplinks: int,
    *,
    unit: int,
    leaf_ports: int,
    spine_ports: int,
    planes: int | None = None,
    leaves_per_plane: int | None = None,
    spines_per_plane: int | None = None,
    equal: bool = False,
) -> Clos:
    """Layers for `tors` ToRs with `uplinks` cables each.

    Two layers if every leaf can have a cable to every ToR (tors <= leaf_ports) and no spines are asked for. Else
    three: half of a leaf's ports go down, ToRs are dealt to as few pods as these ports allow (never parting `unit`
    consecutive ToRs, those of one machine), and every plane has its own spines, which reach all leaves of the plane.
    The last pod may be smaller; with `equal` none is, for which there may be up to twice as many pods. Between two
    switches run as many cables as the ports and even division allow, so that there are as few switches as possible.
    `planes` is 1 in two layers, and in three as many as a pod has leaves. ValueError if the ports do not suffice.

    >>> size_clos(128, 36, unit=8, leaf_ports=256, spine_ports=256)
    Clos(tors=128, tors_per_pod=128, pods=1, planes=1, leaves_per_plane=18, spines_per_plane=0)
    >>> size_clos(512, 36, unit=8, leaf_ports=256, spine_ports=256)
    Clos(tors=512, tors_per_pod=128, pods=4, planes=36, leaves_per_plane=1, spines_per_plane=2)
    """
    for name, number, least in (
        ("leaf_ports", leaf_ports, 2),
        ("spine_ports", spine_ports, 1),
        ("planes", planes, 1),
        ("leaves_per_plane", leaves_per_plane, 1),
        ("spines_per_plane", spines_per_plane, 0),
    ):
        if number is not None:
            whole(name, number, least)
    stated = None if leaves_per_plane is None else (planes or 1) * leaves_per_plane
    if spines_per_plane == 0 or (spines_per_plane is None and tors <= leaf_ports):
        planes = planes or 1
        leaves = _fewest("leaves", stated, planes, uplinks, tors, leaf_ports)
        return Clos(tors, tors, 1, planes, leaves // planes, 0)
    tors_per_pod = (_equal_pod if equal else _tors_per_pod)(tors, unit, leaf_ports // 2)
    pods = math.ceil(tors / tors_per_pod)
    leaves = _fewest("leaves", stated, planes or 1, uplinks, tors_per_pod, leaf_ports // 2)
    planes = planes or (leaves if stated is None else 1)
    leaf_uplinks = tors_per_pod * uplinks // leaves
    spines = _fewest("spines", spines_per_plane, 1, leaf_uplinks, pods * leaves // planes, spine_ports)
    return Clos(tors, tors_per_pod, pods, planes, leaves // planes, spines)


def add_clos(
    graph: Graph, clos: Clos, tors: Mapping[int, float], source: str, confidence: str, spread: int | None = None
) -> None:
    """Add leaves and spines above the ToR nodes `tors`, given with the bandwidth (bytes/s) that each has upwards.

    spread: machines are spread over the pods, and have so many ToRs each; by default pods are filled one after another.
    """
    tor_bandwidths = list(tors.items())
    planes: list[list[tuple[int, float]]] = [[] for _ in range(clos.planes)]
    for pod in range(clos.pods):
        if spread:
            below = [tor for i, tor in enumerate(tor_bandwidths) if i // spread % clos.pods == pod]
        else:
            below = tor_bandwidths[pod * clos.tors_per_pod : (pod + 1) * clos.tors_per_pod]
        for leaf in range(clos.leaves):
            planes[leaf // clos.leaves_per_plane].append(_add_leaf(graph, clos, pod, leaf, below, source, confidence))
    for plane, leaves in enumerate(planes):
        for index in range(plane * clos.spines_per_plane, (plane + 1) * clos.spines_per_plane):
            spine = add_node(graph, "switch", f"spine {index}", tier="spine", plane=plane)
            for node, bandwidth in leaves:
                join(graph, node, spine, _spine_link(clos, bandwidth, source, confidence))


def add_folded_clos(
    graph: Graph, clos: Clos, tors: Mapping[int, float], source: str, confidence: str, machines: int = 1
) -> None:
    """Add the leaves and the spine that stand for all, above the ToRs of so many machines, which stand for all.

    Machine i is in pod i % pods, and all machines are images of these under steps of `machines`: so pods are alike whose
    numbers differ by a multiple of the greatest common divisor, and there is one leaf for each kind of pod. The links say how
    many they stand for; those below a leaf are counted by all machines, not by these.
    """
    own, kinds = len(tors) // machines, math.gcd(machines, clos.pods)
    copies, alike = clos.tors // len(tors), clos.pods // kinds * clos.leaves
    leaves = [
        add_node(graph, "switch", f"leaf {pod}", tier="leaf", pod=pod, plane=0, multiplicity=alike) for pod in range(kinds)
    ]
    for index, (tor, bandwidth) in enumerate(tors.items()):
        link = _leaf_link(clos, bandwidth, source, confidence)
        join(graph, tor, leaves[index // own % kinds], link, copies * clos.leaves)
    if clos.spines_per_plane:
        spines = clos.planes * clos.spines_per_plane
        spine = add_node(graph, "switch", "spine 0", tier="spine", plane=0, multiplicity=spines)
        down = copies * sum(tors.values()) / clos.pods / clos.leaves
        for leaf in leaves:
            join(graph, leaf, spine, _spine_link(clos, down, source, confidence), alike * clos.spines_per_plane)


def _add_leaf(
    graph: Graph, clos: Clos, pod: int, leaf: int, below: list[tuple[int, float]], source: str, confidence: str
) -> tuple[int, float]:
    """Add the leaf and its links to the ToRs of its pod; return the node and its bandwidth downwards."""
    name, plane = f"leaf {pod * clos.leaves + leaf}", leaf // clos.leaves_per_plane
    node = add_node(graph, "switch", name, tier="leaf", pod=pod, plane=plane)
    for tor, bandwidth in below:
        join(graph, tor, node, _leaf_link(clos, bandwidth, source, confidence))
    return node, sum(bandwidth for _, bandwidth in below) / clos.leaves


def _leaf_link(clos: Clos, bandwidth: float, source: str, confidence: str) -> Link:
    """From a ToR with so much bandwidth upwards to one of the leaves of its pod."""
    return Link(bandwidth / clos.leaves, 0.0, "leaf", f"{source}; {LEAF_LATENCY}", confidence)


def _spine_link(clos: Clos, bandwidth: float, source: str, confidence: str) -> Link:
    """From a leaf with so much bandwidth downwards to one of the spines of its plane."""
    return Link(bandwidth / clos.spines_per_plane, SPINE_HOP, "spine", f"{source}; {SPINE_LATENCY}", confidence)


def _equal_pod(tors: int, unit: int, most: int) -> int:
    """ToRs of a pod where all pods have as many machines, of `unit` ToRs each."""
    machines, fit = tors // unit, most // unit
    for pods in range(math.ceil(machines / fit), 2 * math.ceil(machines / fit) + 1) if fit else ():
        if machines % pods == 0:
            return unit * (machines // pods)
    raise ValueError(
        f"count of {machines:,} machines makes no equal pods of up to {fit} machines (the ports of a leaf); "
        f"they are needed to fold a cluster or to spread machines"
    )


def _tors_per_pod(tors: int, unit: int, most: int) -> int:
    if unit > most:
        unit = 2  # a machine too large for one pod is parted between pairs of ToRs
    units, fit = math.ceil(tors / unit), most // unit
    if not fit:
        raise ValueError(f"a leaf needs ports for at least 2 ToRs below it, not {most}; raise leaf_ports")
    pods = math.ceil(units / fit)
    return unit * math.ceil(units / pods)


def _fewest(what: str, stated: int | None, planes: int, uplinks: int, below: int, ports: int) -> int:
    """Fewest switches, or the stated number if it will do, that give those below their uplinks as equal bundles."""
    for count in range(1, uplinks + 1) if stated is None else [stated]:
        if uplinks % count == 0 and count % planes == 0 and below * (uplinks // count) <= ports:
            return count
    who = f"no number of {what} can" if stated is None else f"{stated} {what} cannot"
    raise ValueError(
        f"{who} give each of {below} switches its {uplinks} uplinks in equal bundles, "
        f"with {ports} ports per switch and {planes} planes"
    )
