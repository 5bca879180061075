"""Bucket: rings along the dimensions of a torus, one dimension after another on what is still held.

Σ(k-1) steps for each phase, S(n-1)/n bytes per rank. With all ports the data is cut into parts that go through the
dimensions in different orders and directions, so that all links work at the same time: S(n-1)/(2Dnc) on equal dimensions,
the least possible (Sack and Gropp, "Collective algorithms for multiported torus networks", 2015).

Parts take the stages, one for each dimension, together, and a port (a dimension and direction of a rank) sends in the
order of the steps. A part that is ahead would otherwise slow down one that is behind: on a 4x4x4 torus with a dimension of
half the bandwidth the all-gather, whose large transfers come last, would take a third longer.
"""

from __future__ import annotations

from itertools import permutations
from math import prod
from typing import Literal

import numpy as np

from ..errors import InputError, InternalError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import Schedule
from . import lines

Ports = Literal["all", "one"]
Order = tuple[int, ...]  # of the dimensions


def all_reduce(layout: Layout, ports: Ports = "all") -> Schedule:
    """All-reduce by buckets: reduce-scatter, then all-gather through the same dimensions in reverse.

    ports: "all": parts for both directions of several orders of the dimensions, weighted by their bandwidth; "one": one
        part in one direction, the fastest dimension first.
    Raises NotApplicable without a torus.
    """
    return _bucket("all_reduce", layout, ports)


def all_gather(layout: Layout, ports: Ports = "all") -> Schedule:
    """All-gather by buckets; parameters as for `all_reduce`."""
    return _bucket("all_gather", layout, ports)


def reduce_scatter(layout: Layout, ports: Ports = "all") -> Schedule:
    """Reduce-scatter by buckets; parameters as for `all_reduce`."""
    return _bucket("reduce_scatter", layout, ports)


def _bucket(collective: str, layout: Layout, ports: Ports) -> Schedule:
    if ports not in ("all", "one"):
        raise InputError(unknown("ports of bucket", ports, ["all", "one"]))
    kept = [i for i, k in enumerate(layout.dims) if k > 1]
    if not kept:
        raise NotApplicable("bucket needs a torus, these ranks have no coordinates")
    dims = tuple(layout.dims[i] for i in kept)
    bandwidth = tuple(layout.bandwidth[i] for i in kept) if layout.bandwidth else (1.0,) * len(dims)
    torus = np.arange(layout.ranks).reshape(dims, order="F")
    if ports == "one":
        fastest_first = sorted(range(len(dims)), key=lambda i: -bandwidth[i])
        shares, ways = {tuple(fastest_first): 1.0}, 1
    else:
        shares, ways = dimension_orders(dims, bandwidth), 2
    parts = [(order, share / ways, way) for order, share in shares.items() for way in range(ways)]
    grids = [np.flip(torus.transpose(order)) if way else torus.transpose(order) for order, _, way in parts]
    weights = [weight for _, weight, _ in parts]
    lanes = [[2 * dim + way for dim in order] for order, _, way in parts]
    note = ", ".join(f"{share:.1%} by {'-'.join(map(_letter, order))}" for order, share in shares.items())
    symmetry = tuple(("shift", k) for k in layout.dims)
    return lines.build(collective, "bucket", grids, weights, lanes, symmetry=symmetry, note=note, options={"ports": ports})


def _letter(dim: int) -> str:
    return "xyz"[dim] if dim < 3 else str(dim)


def dimension_orders(dims: Order, bandwidth: tuple[float, ...]) -> dict[Order, float]:
    """The orders of the dimensions that the parts take in a reduce-scatter, and the share of the data for each.

    On equal dimensions (and where one has no link left) each rotation of 0..D-1 gets 1/D: every part then has a dimension
    of its own in each step. On unequal ones the shares minimise the sum over the stages of the time of the dimension that
    is busiest in the stage, a linear program over all orders; in stage i a part is in the i-th dimension of its order.
    Totals in balance are not enough: links idle in one stage are not made good in another.
    """
    count = len(dims)
    if (len(set(dims)) == 1 and len(set(bandwidth)) == 1) or min(bandwidth) <= 0:
        return {tuple((first + i) % count for i in range(count)): 1 / count for first in range(count)}
    orders = list(permutations(range(count)))
    found = _least_stage_times(orders, dims, bandwidth)
    return {order: share for order, share in zip(orders, found) if share > 1e-9}


def _least_stage_times(orders: list[Order], dims: Order, bandwidth: tuple[float, ...]) -> list[float]:
    """The share of each order. Minimises Σ times[stage] with time >= load of every dimension in the stage."""
    from scipy.optimize import linprog

    count = len(dims)
    load = np.zeros((count, count, len(orders) + count))  # [stage, dimension, variable]: seconds per byte; then the times
    for which, order in enumerate(orders):
        for stage, dim in enumerate(order):
            both_ways = bandwidth[dim] * (2 if dims[dim] > 2 else 1)  # a ring of two has one link each way, not two
            load[stage, dim, which] = (dims[dim] - 1) / prod(dims[i] for i in order[: stage + 1]) / both_ways
    load *= min(bandwidth)  # comparable to 1, whatever the unit
    load[np.arange(count), :, len(orders) + np.arange(count)] = -1
    shares = np.concatenate((np.ones(len(orders)), np.zeros(count)))
    found = linprog(1 - shares, A_ub=load.reshape(count * count, -1), b_ub=np.zeros(count**2), A_eq=[shares], b_eq=[1])
    if found.x is None:
        raise InternalError(f"no shares of the dimension orders found: {found.message}")
    return [float(share) for share in found.x[: len(orders)]]
