"""From a schedule on a network to the engine's own words: capacities, coefficients, bytes, delays, waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .csr import pointers, ranges
from .engine.flows import Flows
from .errors import InputError
from .network import Network
from .routing import Routes, Rule, find_routes
from .schedule import OWN, REDUCE, FixedRoutes, Schedule

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Overheads:
    """Fixed costs in s. Every transfer pays one overhead and the latency of its route.

    alpha_link: of a transfer that stays off the NICs. alpha_efa: of one that crosses a NIC, end to end.
    start: once, before the first transfers of a collective. per_destination: a rank issues the transfers of one step one
    after another; the j-th (from 1) starts j times this later. latency: False ignores the links' latencies.
    """

    alpha_link: float = 0.0
    alpha_efa: float = 0.0
    start: float = 0.0
    per_destination: float = 0.0
    latency: bool = True


NO_OVERHEADS = Overheads(latency=False)


@dataclass(frozen=True, eq=False)
class Placement:
    """A schedule and the network's rank for each of its ranks.

    copies: of a folded cluster, how many of its units run the schedule at the same time, each on its own ranks.
    """

    schedule: Schedule
    ranks: I64
    copies: int = 1

    @property
    def streams(self) -> F64:
        """[T] how many flows at once a transfer stands for."""
        schedule, count = self.schedule, self.schedule.transfers
        return self.copies * _or_ones(schedule.multiplicity, count) * _or_ones(schedule.streams, count)

    @property
    def image(self) -> NDArray[np.int32]:
        """[T] how far a transfer of a folded cluster goes: see `fabric.schedule`."""
        given = self.schedule.image
        return np.full(self.schedule.transfers, OWN, dtype=np.int32) if given is None else given


@dataclass(frozen=True, eq=False)
class Traffic:
    """Which routes the transfers of some placements take: independent of sizes, so found once for all of them.

    pair: [T] index into `routes` of every transfer, placement after placement.
    """

    routes: Routes
    pair: I64


def route_traffic(network: Network, placements: Sequence[Placement], rule: Rule | None = None) -> Traffic:
    """Find the route of every distinct pair of ranks that exchanges anything.

    A schedule with routes of its own takes those. In a folded cluster a rank of a NEAR or FAR machine has the number of that
    place plus once or twice the ranks. Raises InputError for routes that do not join the ranks.
    """
    if any(placed.schedule.routes is not None for placed in placements):
        return _joined(
            [
                _fixed(network, p, p.schedule.routes) if p.schedule.routes else route_traffic(network, [p], rule)
                for p in placements
            ]
        )
    source = np.concatenate([placed.ranks[placed.schedule.source] for placed in placements])
    destination = np.concatenate([placed.ranks[placed.schedule.destination] for placed in placements])
    if any((placed.schedule.image is None) != (placed.copies == network.copies) for placed in placements):
        raise InputError("a folded cluster takes the schedules of algorithms that serve one, and no other fabric takes those")
    if network.pods:
        destination = destination + network.ranks * np.concatenate([placed.image for placed in placements])
    ends = int(destination.max(initial=0)) + 1
    pairs, inverse = np.unique(source * ends + destination, return_inverse=True)
    return Traffic(find_routes(network, pairs // ends, pairs % ends, rule), inverse.astype(np.int64))


def _fixed(network: Network, placed: Placement, routes: FixedRoutes) -> Traffic:
    """The routes that a schedule was made for, if it runs where it was made for."""
    first, last = routes.links[routes.ptr[:-1]][routes.of], routes.links[routes.ptr[1:] - 1][routes.of]
    starts, ends = placed.ranks[placed.schedule.source], placed.ranks[placed.schedule.destination]
    known = network.links > int(routes.links.max(initial=0))
    if not known or (network.source[first] != starts).any() or (network.destination[last] != ends).any():
        raise InputError(f"the schedule {placed.schedule.algorithm} was made for another fabric or for other ranks of it")
    latency = np.add.reduceat(network.latency[routes.links], routes.ptr[:-1]) if len(routes.links) else np.empty(0)
    efa = np.add.reduceat(network.crosses_nic[routes.links].astype(np.int64), routes.ptr[:-1]) > 0
    return Traffic(Routes(routes.ptr, routes.links, np.ones(len(routes.links)), latency, efa), routes.of.astype(np.int64))


def _joined(parts: Sequence[Traffic]) -> Traffic:
    """The traffic of several placements as that of all of them."""
    offsets = np.cumsum([0] + [len(part.routes.latency) for part in parts])
    columns = [np.concatenate([getattr(part.routes, name) for part in parts]) for name in ("links", "share", "latency", "efa")]
    ptr = pointers(np.concatenate([np.diff(part.routes.ptr) for part in parts]))
    return Traffic(Routes(ptr, *columns), np.concatenate([part.pair + offset for part, offset in zip(parts, offsets)]))


def bind(network: Network, placements: Sequence[Placement], traffic: Traffic, overheads: Overheads) -> Flows:
    """The flows of some placements that run at the same time: one per transfer, placement after placement.

    The streams of a transfer are alike in all, so one of them is run, which loads its links so many times.
    """
    schedules = [placed.schedule for placed in placements]
    sizes = np.concatenate([one.bytes / _or_ones(one.streams, one.transfers) for one in schedules])
    flow, capacity, coefficient = _uses(network, placements, traffic)
    order = np.argsort(flow, kind="stable")
    offsets = np.cumsum([0] + [schedule.transfers for schedule in schedules])
    wait_ptr = pointers(np.concatenate([np.diff(schedule.wait_ptr) for schedule in schedules]))
    wait_ids = np.concatenate([schedule.wait_ids + offset for schedule, offset in zip(schedules, offsets)])
    return Flows.build(
        network.capacity,
        sizes,
        (pointers(np.bincount(flow, minlength=len(sizes))), capacity[order]),
        coefficients=coefficient[order],
        delay=_delays(network, placements, traffic, overheads),
        start=overheads.start,
        waits=(wait_ptr, wait_ids),
        repeat=np.concatenate([_or_ones(schedule.repeat, schedule.transfers) for schedule in schedules]).astype(np.int64),
        label=np.concatenate([schedule.step for schedule in schedules]),
    )


def _uses(network: Network, placements: Sequence[Placement], traffic: Traffic) -> tuple[I64, I64, F64]:
    """(flow, capacity, coefficient) of every use: the links of the route and the resources at both ends.

    A stored transfer of multiplicity p on a capacity that stands for q loads each of them p / q times (orbit counting).
    """
    ptr, pair = traffic.routes.ptr, traffic.pair
    count = np.diff(ptr)[pair]
    hops = ranges(ptr[pair], ptr[pair + 1])
    flow = np.repeat(np.arange(len(pair)), count)
    capacity, coefficient = traffic.routes.links[hops], traffic.routes.share[hops]
    if network.resources:
        ends = _resource_uses(network, placements)
        flow, capacity, coefficient = (np.concatenate(both) for both in zip((flow, capacity, coefficient), ends))
    stands = np.concatenate([placed.streams for placed in placements])
    return flow, capacity, coefficient * stands[flow] / network.multiplicity[capacity]


def _resource_uses(network: Network, placements: Sequence[Placement]) -> tuple[I64, I64, F64]:
    """(flow, capacity, coefficient) of the resources of the ranks where transfers start and end."""
    source = np.concatenate([placed.ranks[placed.schedule.source] for placed in placements])
    destination = np.concatenate([placed.ranks[placed.schedule.destination] for placed in placements])
    reduces = np.concatenate([placed.schedule.operation for placed in placements]) == REDUCE
    flows, capacities, coefficients = [], [], []
    for index, (node, data) in enumerate(network.resources):
        receive = data.get("receive", 0.0)
        for mask, use in (
            (source == node, data.get("send", 0.0)),
            ((destination == node) & ~reduces, receive),
            ((destination == node) & reduces, data.get("reduce", receive)),
        ):
            flow = np.flatnonzero(mask) if use else np.empty(0, dtype=np.int64)
            flows.append(flow)
            capacities.append(np.full(len(flow), network.links + index))
            coefficients.append(np.full(len(flow), float(use)))
    return np.concatenate(flows), np.concatenate(capacities), np.concatenate(coefficients)


def _delays(network: Network, placements: Sequence[Placement], traffic: Traffic, overheads: Overheads) -> F64:
    """[T] the fixed delay of every transfer; compute, from a rank to itself, has its pause and no overhead."""
    efa, latency = traffic.routes.efa[traffic.pair], traffic.routes.latency[traffic.pair]
    delay = np.where(efa, overheads.alpha_efa, overheads.alpha_link)
    if overheads.latency:
        delay = delay + latency
    if overheads.per_destination:
        if any(len(np.unique(_or_ones(placed.schedule.multiplicity, 0))) > 1 for placed in placements):
            raise InputError("per_destination sets apart transfers that a folded cluster takes as one: set fold: false")
        delay = delay + overheads.per_destination * np.concatenate([_issue_order(p.schedule) for p in placements])
    if any(placed.schedule.pause is not None for placed in placements):
        moves = np.concatenate([placed.schedule.source != placed.schedule.destination for placed in placements])
        delay = np.where(moves, delay, 0.0)
        delay += np.concatenate([_or_zeros(placed.schedule.pause, placed.schedule.transfers) for placed in placements])
    return delay


def _issue_order(schedule: Schedule) -> F64:
    """[T] 1, 2, ... among the transfers of one rank and step, nearest higher rank first (so all ranks do alike)."""
    distance = (schedule.destination - schedule.source - 1) % schedule.ranks  # compute, from a rank to itself, comes last
    order = np.lexsort((distance, schedule.step, schedule.source))
    source, step = schedule.source[order], schedule.step[order]
    first = np.concatenate(([True], (source[1:] != source[:-1]) | (step[1:] != step[:-1])))
    position = np.arange(len(order))
    place = np.empty(len(order))
    place[order] = position - np.maximum.accumulate(np.where(first, position, 0)) + 1
    return place


def _or_zeros(values: F64 | None, count: int) -> F64:
    return np.zeros(count) if values is None else values


def _or_ones(values: NDArray[np.float64] | NDArray[np.int64] | None, count: int) -> F64:
    return np.ones(count) if values is None else values.astype(np.float64)
