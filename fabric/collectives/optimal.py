"""Optimal: schedules made for one fabric, whatever its shape, from trees that use it as well as anything can.

all_gather and reduce_scatter take the least time that any schedule needs, all_reduce twice that, or less where roots of
their own for the sums are better (`roots`). Switches, replica groups and lost links are all one: what counts is the capacities.
`packing` finds the trees, `timing` the step of every hop. The hops of one step over the same way are one transfer, and
transfers leave by one link in the order of their steps. Trees are kept on disk, and their certificate is checked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .. import cache
from ..bounds.allgather import worst_cut
from ..bounds.rooted import rooted_cut
from ..builder import Builder
from ..csr import pointers, ranges
from ..errors import InputError, InternalError
from ..layout import NotApplicable
from ..network import Network
from ..schedule import COPY, REDUCE, FixedRoutes, Schedule
from ..units import format_bandwidth
from ..wires import Wires
from .hops import Hops
from .packing import Demand, Forest, Progress, demand_for, demand_from, pack
from .roots import best_rates, whole_rates
from .timing import FEW, GOOD, MOVES, SLICES, Timing, choose_timing, pipeline
from .tree import check_root

I64 = NDArray[np.int64]

HOPS = 450_000
"""Of all trees together, at most: trees get coarser, and the schedule short of the optimum, where more would be needed."""
ENOUGH = 1.04
"""Times the least time of an all_reduce: with that, rates that are easier to meet than the best ones are not tried."""
SPARING = 0.95
"""Of the best rates of an all_reduce's roots."""
TREES = 64
"""From the root of a broadcast or reduce, at most."""
VERSION = 2
"""Of what the cache holds."""


def all_gather(network: Network, ranks: I64, progress: Progress, slices: int | None = None) -> Schedule:
    """All-gather in the least time there is. network, ranks: the fabric and its ranks that take part, in their order.

    slices: into how many each tree's data is cut; None = as many as keep all links busy, at most 64.
    Raises NotApplicable where no trees are found, InputError for less than one slice.
    """
    return _one_way("all_gather", network, ranks, progress, slices)


def reduce_scatter(network: Network, ranks: I64, progress: Progress, slices: int | None = None) -> Schedule:
    """Reduce-scatter in the least time there is; parameters as for `all_gather`."""
    return _one_way("reduce_scatter", network, ranks, progress, slices)


def all_reduce(network: Network, ranks: I64, progress: Progress, slices: int | None = None) -> Schedule:
    """All-reduce along trees that collect, then trees that spread, from the same roots; parameters as for `all_gather`."""
    wires = _wires(network, ranks, slices)
    sides = (wires.turn(), wires)
    equal = min(_equal_rate(network, side) for side in sides)
    progress("optimal: rates of the roots")
    phases = _best_packed(network, sides, equal, slices, progress)
    count = max(timing.slices for _, timing in phases)
    phases = [(forest, timing if timing.slices == count else choose_timing(forest, count)) for forest, timing in phases]
    trees = int(phases[0][0].demand.roots.sum())
    builder = Builder("all_reduce", "optimal", len(ranks), np.full(trees, 1 / trees), np.full(count, 1 / count))
    return _schedule(builder, phases)


def broadcast(network: Network, ranks: I64, progress: Progress, slices: int | None = None, root: int = 0) -> Schedule:
    """Broadcast along as many trees from `root` as it and the way to the farthest rank can feed.

    slices: into how many each tree's data is cut, at most 64 where nothing is said: with trees d hops deep all takes
    (slices + d - 1) / slices times as long as it would at best. Else as `all_gather`.
    """
    return _from_root("broadcast", network, ranks, progress, slices, root)


def reduce(network: Network, ranks: I64, progress: Progress, slices: int | None = None, root: int = 0) -> Schedule:
    """Reduce along trees to `root`; parameters as for `broadcast`."""
    return _from_root("reduce", network, ranks, progress, slices, root)


def _from_root(collective: str, network: Network, ranks: I64, progress: Progress, slices: int | None, root: int) -> Schedule:
    check_root(len(ranks), root)
    wires = _wires(network, ranks, slices)
    side = wires.turn() if collective == "reduce" else wires
    rate, _ = rooted_cut(network, side.ranks, int(side.ranks[root]), reverse=side.turned)
    if not rate:
        raise NotApplicable("optimal: a rank cannot be reached from the root, or reach it")
    forest = _kept(side, demand_from(side, root, rate, TREES), (), progress, exactly=True)
    trees = len(forest.root)
    timing = pipeline(forest, slices or max(1, min(SLICES[-1], MOVES // (trees * len(ranks)))))
    parts = np.full(timing.slices, 1 / timing.slices)
    builder = Builder(collective, "optimal", len(ranks), np.full(trees, 1 / trees), parts, root)
    return _schedule(builder, [(forest, timing)], root=root)


def _best_packed(
    network: Network, sides: tuple[Wires, Wires], equal: Fraction, slices: int | None, progress: Progress
) -> list[tuple[Forest, Timing]]:
    """Trees that collect and trees that spread, of those rates of the roots with which they take least time together."""
    best: list[tuple[Forest, Timing]] = []
    free = best_rates(sides[-1], equal)
    for rates in _choices(sides, free, equal):
        try:
            forests = _forests(network, sides, rates, progress, exactly=rates in (free, [equal] * len(rates)))
            found = [(forest, choose_timing(forest, slices)) for forest in forests]
        except NotApplicable as reason:
            progress(str(reason))
            continue
        if not best or _time(found) < _time(best):
            best = found
        if _time(best) * float(sum(free)) <= 2 * (GOOD if rates is free else ENOUGH):
            break
    if not best:
        raise NotApplicable("optimal: no trees were found for any rates of the roots")
    return best


def _choices(sides: tuple[Wires, Wires], free: list[Fraction], equal: Fraction) -> Iterator[list[Fraction]]:
    """Rates of the roots to try: the best; those of few trees; with something to spare trees are easier to find; equal ones."""
    yield free
    if len(set(free)) > 1:
        if (few := whole_rates(sides, FEW)) is not None:
            yield few
        yield best_rates(sides[-1], equal, SPARING)
        yield [equal] * len(free)


def _time(phases: Sequence[tuple[Forest, Timing]]) -> float:
    """s per byte, if no step starts before the one before it has ended."""
    return sum(timing.time / float(forest.demand.rate) for forest, timing in phases)


def _one_way(collective: str, network: Network, ranks: I64, progress: Progress, slices: int | None) -> Schedule:
    wires = _wires(network, ranks, slices)
    side = wires.turn() if collective == "reduce_scatter" else wires
    (forest,) = _forests(network, (side,), [_equal_rate(network, side)] * len(ranks), progress)
    timing = choose_timing(forest, slices)
    parts = int(forest.demand.roots[0]) * timing.slices
    builder = Builder(collective, "optimal", len(ranks), np.full(len(ranks), 1 / len(ranks)), np.full(parts, 1 / parts))
    return _schedule(builder, [(forest, timing)])


def _wires(network: Network, ranks: I64, slices: int | None) -> Wires:
    if slices is not None and slices < 1:
        raise InputError(f"slices has to be at least 1, not {slices}")
    if network.pods:
        raise NotApplicable("optimal serves no folded cluster")
    if len(ranks) < 2:
        raise NotApplicable("optimal needs at least two ranks")
    return Wires.of(network, ranks)


def _equal_rate(network: Network, wires: Wires) -> Fraction:
    """Bytes/s from every rank to all others at the same time, the most that any cut allows."""
    cut = worst_cut(network, wires.ranks, reverse=wires.turned)
    if not cut.bandwidth:
        raise NotApplicable("optimal: a rank cannot be reached from the others, or reach none")
    return cut.bandwidth / cut.inside


def _forests(
    network: Network, sides: Sequence[Wires], rates: list[Fraction], progress: Progress, exactly: bool = True
) -> list[Forest]:
    """Packed trees of the same rates for each side; from the cache where they are there and right."""
    demand = demand_for(sides, rates, max(len(rates), HOPS // len(rates)))
    whole = len(rates) == network.ranks and bool((sides[0].ranks == np.arange(network.ranks)).all())
    dims = tuple(network.graph.graph.get("dims", ())) if whole else ()
    return [_kept(side, demand, dims, progress, exactly) for side in sides]


def _kept(wires: Wires, demand: Demand, dims: tuple[int, ...], progress: Progress, exactly: bool) -> Forest:
    name = cache.digest(VERSION, wires.source, wires.destination, wires.ranks, demand.roots, demand.capacity, dims)
    found = cache.load("trees", name)
    if found is not None:
        try:
            hops = Hops(found["source"], found["destination"], found["links"])
            forest = Forest(wires, demand, hops, found["group"], found["root"], found["hop"])
            forest.check()
            return forest
        except (KeyError, IndexError, ValueError, InternalError):
            progress("optimal: the trees in the cache are damaged")
    forest = pack(wires, demand, dims, progress, exactly=exactly)
    hops = forest.hops
    ways = {"source": hops.source, "destination": hops.destination, "links": hops.links}
    cache.store("trees", name, {"group": forest.group, "root": forest.root, "hop": forest.hop, **ways})
    return forest


def _schedule(builder: Builder, phases: Sequence[tuple[Forest, Timing]], **options: object) -> Schedule:
    """The transfers of trees that collect or spread, one phase after another; tree t's slice s is chunk t * slices + s."""
    start = 0
    ways: list[I64] = []
    route: list[I64] = []
    for forest, timing in phases:
        hop, step, chunks = _transfers(forest, timing)
        hops, links = forest.hops, forest.hops.links
        source, destination, operation = hops.source[hop], hops.destination[hop], COPY
        if forest.wires.turned:
            source, destination, operation = destination, source, REDUCE
            step = timing.steps - 1 - step
            links = _reversed(links)
        builder.add(source, destination, chunks, operation, start + step, channel=links[hop, 0])
        route.append(hop + sum(len(way) for way in ways))
        ways.append(links)
        start += timing.steps
    schedule = builder.build(_note(phases), slices=phases[0][1].slices, **options)
    used, of = np.unique(np.concatenate(route), return_inverse=True)
    width = max(way.shape[1] for way in ways)
    taken = np.concatenate([np.pad(way, ((0, 0), (0, width - way.shape[1])), constant_values=-1) for way in ways])[used]
    routes = FixedRoutes(of.astype(np.int32), pointers((taken >= 0).sum(axis=1)), taken[taken >= 0])
    return _in_turn(replace(schedule, streams=np.diff(schedule.chunk_ptr), routes=routes), taken[of])


def _in_turn(schedule: Schedule, links: I64) -> Schedule:
    """With the waits that let transfers over any link, not just the first, go in the order of their steps.

    Then what is late holds up no link for what is due: streams are as many as chunks, so all transfers of a step end in the
    step's time at the latest, and the whole takes what `Timing.time` says or less. links: [T, R], -1 after the last.
    """
    transfer, position = np.nonzero(links[:, 1:] >= 0)
    place = links[transfer, position + 1] * np.int64(schedule.steps) + schedule.step[transfer]
    order = np.argsort(place, kind="stable")
    transfer, place = transfer[order], place[order]
    begins = np.flatnonzero(np.diff(place, prepend=-1))
    size = np.diff(np.append(begins, len(place)))
    link = place[begins] // schedule.steps
    after = np.flatnonzero(np.diff(link, prepend=-1) == 0)  # places with one before them on the same link
    before = np.repeat(after - 1, size[after])
    late = np.repeat(transfer[ranges(begins[after], begins[after] + size[after])], size[before])
    early = transfer[ranges(begins[before], begins[before] + size[before])]
    known = np.repeat(np.arange(schedule.transfers), np.diff(schedule.wait_ptr))
    keys = np.concatenate((known, late)) * np.int64(schedule.transfers) + np.concatenate((schedule.wait_ids, early))
    keys = np.sort(keys)
    rows, ids = np.divmod(keys[np.diff(keys, prepend=-1) != 0], schedule.transfers)
    return replace(schedule, wait_ptr=pointers(np.bincount(rows, minlength=schedule.transfers)), wait_ids=ids.astype(np.int32))


def _transfers(forest: Forest, timing: Timing) -> tuple[I64, I64, I64]:
    """[m] hop and step of each transfer, and [m, k] the chunks that go by it; -1 where there are fewer."""
    whole, slices = forest.whole(), timing.slices
    tree, rank = np.nonzero(whole.hop >= 0)
    step = forest.spread(timing.step)[tree, rank].ravel()
    hop = np.repeat(whole.hop[tree, rank], slices)
    chunk = (tree[:, np.newaxis] * slices + np.arange(slices)).ravel()
    order = np.lexsort((chunk, hop, step))
    hop, step, chunk = hop[order], step[order], chunk[order]
    first = np.flatnonzero((np.diff(hop, prepend=-1) != 0) | (np.diff(step, prepend=-1) != 0))
    count = np.diff(np.append(first, len(hop)))
    chunks = np.full((len(first), int(count.max())), -1, dtype=np.int64)
    chunks[np.repeat(np.arange(len(first)), count), np.arange(len(hop)) - np.repeat(first, count)] = chunk
    return hop[first], step[first], chunks


def _reversed(links: I64) -> I64:
    """Ways in the other direction: [H, R], -1 after the last again."""
    order = np.argsort(links[:, ::-1] < 0, axis=1, kind="stable")
    return np.take_along_axis(links[:, ::-1], order, axis=1)


def _note(phases: Sequence[tuple[Forest, Timing]]) -> str:
    forest, timing = phases[-1]
    trees, depth = int(forest.demand.roots.sum()), max(int(one.depth.max()) for one, _ in phases)
    slices = f" in {timing.slices} slices" * (timing.slices > 1)
    return f"{trees} trees, at most {depth} hops deep{slices}, together {format_bandwidth(float(forest.demand.rate))}"
