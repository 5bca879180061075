"""The most that an all-to-all can do on a fabric, whatever the routes: maximum concurrent flow, a linear program.

The least t such that all bytes can be routed with no link carrying more than t times its capacity. Bytes of one source need
not be told apart by destination, so there is one flow per source: ranks x links variables; symmetric ranks need one of them.

What the solver says is not taken on trust. Its prices of the links are lengths, and for any lengths

    t >= sum over pairs of bytes x distance / sum over links of capacity x length

holds (the dual), with equality at the optimum. So the bound is computed from the lengths alone, by shortest paths, and
lengths are what is kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import cache
from ..errors import InputError, RunError
from ..wires import Wires, symmetries
from .limit import Limit
from .needs import Needs
from .paths import distances

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ..network import Network

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

RANKS = 144
"""The most ranks that the linear program is offered for."""


def flow_limit(network: Network, needs: Needs, progress: Callable[[str], None]) -> Limit:
    """The bound by maximum concurrent flow. InputError on other collectives, folded clusters and more than 144 ranks."""
    if not needs.pairwise:
        raise InputError(
            f"maximum concurrent flow (lp) is a bound of collectives between pairs of ranks, not of {needs.collective}"
        )
    if network.pods or (network.multiplicity != 1).any():
        raise InputError("maximum concurrent flow (lp) needs an unfolded fabric")
    ranks = int(needs.sizes.sum())
    if ranks > RANKS:
        raise InputError(
            f"maximum concurrent flow (lp) serves at most {RANKS} ranks, not {ranks}: its program grows with ranks times links"
        )
    demand = needs.between(np.arange(network.nodes))
    np.fill_diagonal(demand, 0.0)
    starts = np.flatnonzero(demand.any(axis=1))
    if unreached(Wires.of(network, np.arange(network.ranks)), demand):
        return Limit("concurrent flow", 1.0, 0.0, "some bytes have no way at all: {bytes} through {capacity}")
    length = _lengths(network, needs, demand, progress)
    far = distances(network.nodes, network.source, network.destination, length, starts)
    share = float((demand[starts] * np.where(demand[starts] > 0, far, 0.0)).sum())
    capacity = float((network.capacity[: network.links] * length).sum())
    text = "bytes times the lengths of the ways that they must go, links as long as they are dear: {bytes} on {capacity} in all"
    return Limit("concurrent flow", share, capacity, text)


def unreached(wires: Wires, demand: F64) -> bool:
    """Whether some of the bytes from node to node, [nodes, nodes], have no way at all."""
    starts = np.flatnonzero(demand.any(axis=1))
    far = distances(wires.nodes, wires.source, wires.destination, np.ones(len(wires.capacity)), starts)
    return bool(np.isinf(far[demand[starts] > 0]).any())


def best_flows(wires: Wires, demand: F64, progress: Callable[[str], None]) -> F64:
    """[nodes, L] bytes of each source over each link, such that the links are as little loaded as can be; kept on disk.

    demand: [nodes, nodes] bytes from node to node. RunError where the program is not solved.
    """
    name = cache.digest("flows", wires.source, wires.destination, wires.capacity, demand)
    starts = np.flatnonzero(demand.any(axis=1))
    kept = cache.load("lp", name)
    if kept is None or (found := kept.get("flow", np.empty(0))).shape != (len(starts), len(wires.capacity)):
        found = _solve(wires, demand, np.arange(wires.nodes)[np.newaxis], progress)[1]
        cache.store("lp", name, {"flow": found})
    flow = np.zeros((wires.nodes, len(wires.capacity)))
    flow[starts] = found
    return flow


def _lengths(network: Network, needs: Needs, demand: F64, progress: Callable[[str], None]) -> F64:
    """[L] the prices of the links at the optimum, 1 at most; from the cache where they are there."""
    wires = Wires.of(network, np.arange(network.ranks))
    name = cache.digest("lp", wires.source, wires.destination, wires.capacity, demand)
    kept = cache.load("lp", name)
    if kept is not None and (length := kept.get("length", np.empty(0))).shape == wires.capacity.shape and _are_lengths(length):
        return np.asarray(length, dtype=np.float64)
    alike = needs.collective == "all_to_all" and len(needs.groups) == 1 and len(needs.groups[0]) == network.ranks
    group = symmetries(wires, tuple(network.graph.graph.get("dims", ())) if alike else ())
    length = _solve(wires, demand, group, progress)[0]
    cache.store("lp", name, {"length": length})
    return length


def _are_lengths(length: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(length).all() and (length >= 0).all() and (length > 0).any())


def _solve(wires: Wires, demand: F64, group: I64, progress: Callable[[str], None]) -> tuple[F64, F64]:
    """([L] the prices of the links, 1 at most; [sources, L] the bytes of one source of each class of symmetries)."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    links = len(wires.capacity)
    starts = np.unique(group[:, np.flatnonzero(demand.any(axis=1))].min(axis=0))
    images = np.array([wires.image(one) for one in group])
    classes, sizes = np.unique(images.min(axis=0), return_inverse=True, return_counts=True)[1:]
    scale = float(wires.capacity.max())

    progress(f"linear program: {len(starts)} sources, {len(sizes)} classes of links")
    balance, bytes_due = _balance(wires, starts, demand)
    flows = len(starts) * links
    # Each link of a class carries what a source sends over any of them, as often as the class has images of the source.
    share = np.tile(len(group) / sizes[classes], len(starts))
    load = csr_array((share, (np.tile(classes, len(starts)), np.arange(flows))), shape=(len(sizes), flows))
    capacity = np.zeros(len(sizes))
    capacity[classes] = wires.capacity / scale
    upper: Any = hstack((load, csr_array(-capacity[:, np.newaxis])))
    equal: Any = hstack((balance, csr_array((balance.shape[0], 1))))
    price = np.zeros(flows + 1)
    price[-1] = 1.0
    found = linprog(price, A_ub=upper, b_ub=np.zeros(len(sizes)), A_eq=equal, b_eq=bytes_due, method="highs-ipm")
    if found.x is None:
        raise RunError(f"the linear program was not solved: {found.message}")
    length = np.maximum(-np.asarray(found.ineqlin.marginals, dtype=np.float64), 0.0) / sizes
    return np.asarray((length / length.max())[classes]), np.asarray(found.x[:-1].reshape(len(starts), links))


def _balance(wires: Wires, starts: I64, demand: F64) -> tuple[csr_array[np.float64], F64]:
    """What every node keeps of each source's bytes, but for the source itself: the rows and their right sides."""
    from scipy.sparse import csr_array

    nodes, links = wires.nodes, len(wires.capacity)
    number = np.arange(len(starts))[:, np.newaxis]
    column = np.tile(np.arange(len(starts) * links), 2)
    row = np.concatenate([(number * nodes + end).ravel() for end in (wires.destination, wires.source)])
    sign = np.repeat([1.0, -1.0], len(starts) * links)
    whole = csr_array((sign, (row, column)), shape=(len(starts) * nodes, len(starts) * links))
    kept = np.ones((len(starts), nodes), dtype=np.bool_)
    kept[np.arange(len(starts)), starts] = False
    return csr_array(whole[np.flatnonzero(kept.ravel())]), demand[starts][kept]
