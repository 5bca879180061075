"""Gather, scatter and permute in one step over the best routes there are: those of a maximum concurrent flow.

The linear program (`bounds.concurrent`) says how many bytes of each source go over each link when the busiest link is as
little loaded as can be. Cut into paths, these are the routes: a block has a part for every path on which some of it goes.
All parts start at the same time, and as many equal streams carry one as it has bytes. So every part gets at least the rate
at which it ends with the busiest link: the schedule takes what the program says, and no schedule takes less.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..bounds.concurrent import best_flows, unreached
from ..builder import Builder
from ..csr import pointers
from ..errors import InputError
from ..layout import Layout, NotApplicable
from ..network import Network
from ..schedule import COPY, FixedRoutes, Schedule
from ..wires import Wires
from . import rooted
from .slices import sliced

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Progress = Callable[[str], None]
Path = tuple[int, ...]

VARIABLES = 500_000
"""Sources times links; more would take the linear program minutes."""
ROUNDING = 1e-6
"""Of what a source sends: less on a link is the rounding of the solver."""
STREAMS = 4096
"""In at most so many streams a block is divided among its paths."""


def gather(network: Network, ranks: I64, progress: Progress, slices: int | None = None, root: int = 0) -> Schedule:
    """Gather to `root`. network, ranks: the fabric and its ranks that take part, in their order.

    slices: into how many the one step is cut; None = one. InputError for less than one slice or a root that does not exist,
    NotApplicable where a rank cannot be reached or the program would take minutes.
    """
    return _routed(network, ranks, rooted.gather(Layout(len(ranks)), root), progress, slices)


def scatter(network: Network, ranks: I64, progress: Progress, slices: int | None = None, root: int = 0) -> Schedule:
    """Scatter from `root`; parameters as for `gather`."""
    return _routed(network, ranks, rooted.scatter(Layout(len(ranks)), root), progress, slices)


def permute(
    network: Network, ranks: I64, progress: Progress, slices: int | None = None, to: tuple[int, ...] | None = None
) -> Schedule:
    """Every rank sends to rank `to[rank]`, or to the next one; other parameters as for `gather`. InputError where `to` is no
    permutation."""
    return _routed(network, ranks, rooted.permute(Layout(len(ranks)), to), progress, slices)


def _routed(network: Network, ranks: I64, direct: Schedule, progress: Progress, slices: int | None) -> Schedule:
    """The transfers of a direct schedule, each of one block, over the paths of the best flow."""
    if slices is not None and slices < 1:
        raise InputError(f"slices has to be at least 1, not {slices}")
    if network.pods:
        raise NotApplicable("optimal serves no folded cluster")
    paths = _paths(Wires.of(network, ranks), direct, progress)
    streams = np.split(_streams([share for some in paths for _, share in some]), np.cumsum([len(some) for some in paths])[:-1])
    most = max(map(len, paths), default=1)
    fractions = np.full((len(direct.blocks), most), 1 / most)
    block = direct.chunk_ids
    fractions[block] = 0.0
    for row, count in zip(block, streams):
        fractions[row, : len(count)] = count / count.sum()
    transfer = np.repeat(np.arange(direct.transfers), [len(some) for some in paths])
    part = np.concatenate([np.arange(len(some)) for some in paths])
    # The first path of a block also takes its parts without bytes.
    chunks = np.where(np.arange(most) == 0, part[:, np.newaxis], -1)
    unused = np.arange(most) >= np.array([len(some) for some in paths])[transfer, np.newaxis]
    chunks = np.where(unused & (part == 0)[:, np.newaxis], np.arange(most), chunks)
    chunks = np.where(chunks >= 0, block[transfer, np.newaxis] * most + chunks, -1)
    builder = Builder(direct.collective, "optimal", direct.ranks, direct.blocks, fractions, direct.root)
    source, destination = (end.astype(np.int64)[transfer] for end in (direct.source, direct.destination))
    builder.add(source, destination, chunks, COPY, 0)
    schedule = builder.build(f"{len(part)} paths of a maximum flow", **direct.options)
    links = [link for some in paths for path, _ in some for link in path]
    ptr = pointers(np.array([len(path) for some in paths for path, _ in some]))
    routes = FixedRoutes(np.arange(len(part), dtype=np.int32), ptr, np.array(links, dtype=np.int64))
    return sliced(replace(schedule, streams=np.concatenate(streams), routes=routes), slices or 1)


def _paths(wires: Wires, direct: Schedule, progress: Progress) -> list[list[tuple[Path, float]]]:
    """Of each transfer the paths and the fraction of its bytes on each."""
    away = direct.collective == "gather"  # one source for all is one flow instead of many: a gather is a scatter turned
    ends = (direct.destination, direct.source) if away else (direct.source, direct.destination)
    source, destination = (wires.ranks[end] for end in ends)
    side = wires.turn() if away else wires
    if len(np.unique(source)) * len(side.capacity) > VARIABLES:
        raise NotApplicable(
            f"optimal: routes from {len(np.unique(source))} ranks over {len(side.capacity)} links take too long"
        )
    demand = np.zeros((side.nodes, side.nodes))
    demand[source, destination] = direct.bytes
    if unreached(side, demand):
        raise NotApplicable("optimal: a rank cannot be reached from another")
    left = best_flows(side, demand, progress)
    found = [_split(side, left[u], u, v, size) for u, v, size in zip(source.tolist(), destination.tolist(), direct.bytes)]
    return [[(path[::-1], share) for path, share in some] for some in found] if away else found


def _split(wires: Wires, left: F64, source: int, destination: int, size: float) -> list[tuple[Path, float]]:
    """The paths on which `size` bytes go and the fraction on each, taken off what is `left` on the links; shortest first."""
    found: list[tuple[Path, float]] = []
    due = size
    while due > ROUNDING * size:
        path = _shortest(wires, np.flatnonzero(left > ROUNDING * size), source, destination)
        if path is None:  # what is still due is the rounding of the solver
            break
        taken = min(due, float(left[list(path)].min()))
        left[list(path)] -= taken
        due -= taken
        found.append((path, taken / size))
    return found


def _shortest(wires: Wires, usable: I64, source: int, destination: int) -> Path | None:
    """The links of a path with the fewest of them."""
    ahead: dict[int, list[tuple[int, int]]] = {}
    for link, u, v in zip(usable.tolist(), wires.source[usable].tolist(), wires.destination[usable].tolist()):
        ahead.setdefault(u, []).append((v, link))
    reached: dict[int, Path] = {source: ()}
    edge = deque([source])
    while edge:
        node = edge.popleft()
        if node == destination:
            return reached[node]
        for after, link in ahead.get(node, ()):
            if after not in reached:
                reached[after] = (*reached[node], link)
                edge.append(after)
    return None


def _streams(shares: Sequence[float]) -> I64:
    """Small whole numbers in proportion to the shares of their blocks, which are alike, that paths take; one at least.

    >>> _streams([0.5, 0.25, 0.25]).tolist(), _streams([0.6666667, 0.3333333, 1.0]).tolist()
    ([2, 1, 1], [2, 1, 3])
    """
    share = np.asarray(shares)
    for count in range(1, STREAMS + 1):
        whole = np.rint(share * count)
        if np.abs(share * count - whole).max() < 10 * ROUNDING * count:
            break
    return np.asarray(np.maximum(whole, 1), dtype=np.int64)
