"""The exact optimum of all_gather and reduce_scatter on any fabric, by maximum flows.

T = (S/n) max over cuts A of |ranks in A| / B+(A), where A lacks at least one rank: the blocks of its ranks must leave
A. Packed spanning trees reach it (ForestColl, arXiv 2402.06787), so it is the optimum and not just a bound. For a guess
r of the maximum, add a source with a link of capacity 1/r to every rank. Some cut is worse than r if and only if the
maximum flow from that source to some rank is less than n/r, and the minimum cut is one. With its ratio as the next
guess (Dinkelbach) few steps are needed, and a rank that passed stays passed as r grows. reduce_scatter is the same on
turned links.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .limit import Limit
from .needs import Needs

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ..network import Network

I64 = NDArray[np.int64]

# Ranks times links beyond which the flows would take more than about a second.
WORK = 10_000_000
# scipy's flows are 32-bit integers; a residual capacity is at most twice the total flow.
LARGEST_FLOW = 2**30


@dataclass(frozen=True)
class Cut:
    """A set of nodes: `inside` ranks of the group are in it, `outside` are not; `bandwidth` is what leads out of it."""

    inside: int
    outside: tuple[int, ...]
    bandwidth: Fraction

    @property
    def ratio(self) -> Fraction | float:
        """Ranks per bandwidth; infinite where nothing leads out."""
        return self.inside / self.bandwidth if self.bandwidth else float("inf")


def optimum_limits(network: Network, needs: Needs) -> Iterator[Limit]:
    """The optimum of every group by itself; left out on other collectives and where it would take long."""
    ranks = int(needs.sizes.sum())
    if needs.collective not in ("all_gather", "reduce_scatter") or ranks * network.links > WORK:
        return
    verb = "receive" if needs.collective == "all_gather" else "send"
    for group in needs.groups:
        cut = worst_cut(network, group, reverse=needs.collective == "reduce_scatter")
        count, first = len(cut.outside), network.node_names[cut.outside[0]]
        subject = first if count == 1 else f"{count} ranks with {first} among them"
        text = f"the worst of all cuts, met by the best schedule: {subject} must {verb} {{bytes}} through {{capacity}}"
        yield Limit(f"{needs.collective} optimum", cut.inside / len(group), float(cut.bandwidth), text)


def worst_cut(network: Network, group: I64, *, reverse: bool = False) -> Cut:
    """The cut with the most ranks of `group` inside, though not all, per byte/s out of it; `reverse` turns the links.

    Every other node only passes on. Exact where the capacities are small multiples of a common unit, as they are on the
    machines of `topologies`; else a true cut whose ratio is the largest to about 1e-6.
    """
    source, destination = network.source, network.destination
    if reverse:
        source, destination = destination, source
    unit, capacity = in_units(network.capacity[: network.links])
    cut = _Search(network.nodes, source, destination, capacity, group).worst()
    return Cut(cut.inside, cut.outside, cut.bandwidth * unit)


def in_units(capacity: NDArray[np.float64]) -> tuple[Fraction, NDArray[Any]]:
    """The largest unit of which all are whole multiples, and the multiples as Python integers."""
    values, index = np.unique(capacity, return_inverse=True)
    exact = [Fraction(value) for value in values.tolist()]
    denominator = lcm(*(value.denominator for value in exact))
    whole = [int(value * denominator) for value in exact]
    common = gcd(*whole)
    return Fraction(common, denominator), np.array([value // common for value in whole], dtype=object)[index]


@dataclass(frozen=True, eq=False)
class _Search:
    """Dinkelbach's steps on a graph of integer capacities."""

    nodes: int
    source: I64
    destination: I64
    capacity: NDArray[Any]
    group: I64

    def worst(self) -> Cut:
        cut = max((self._cut(np.arange(self.nodes) != rank) for rank in self.group), key=lambda cut: cut.ratio)
        flows = self._flows(cut)
        for rank in self.group.tolist():
            while cut.bandwidth and (inside := self._short(*flows, rank)) is not None:
                cut = self._cut(inside)
                flows = self._flows(cut)
        return cut

    def _cut(self, inside: NDArray[np.bool_]) -> Cut:
        leaving = inside[self.source] & ~inside[self.destination]
        members = inside[self.group]
        bandwidth = Fraction(int(self.capacity[leaving].sum()))
        return Cut(int(members.sum()), tuple(self.group[~members].tolist()), bandwidth)

    def _flows(self, cut: Cut) -> tuple[csr_array[np.int32], int]:
        """The links and, from one more node, 1 / ratio to every rank, in 32 bits; and the flow that is needed."""
        from scipy.sparse import csr_array

        ranks, ratio = len(self.group), Fraction(cut.ratio) if cut.bandwidth else Fraction(1)
        share = min(ratio.denominator, LARGEST_FLOW // ranks)
        # Where it must be rounded it is rounded up: a cut that falls short then really is worse. No link needs more
        # than the whole flow.
        scaled = -(-self.capacity * (ratio.numerator * share) // ratio.denominator)
        capacity = np.concatenate((np.minimum(scaled, ranks * share), np.full(ranks, share))).astype(np.int32)
        source = np.concatenate((self.source, np.full(ranks, self.nodes)))
        destination = np.concatenate((self.destination, self.group))
        shape = (self.nodes + 1, self.nodes + 1)
        return csr_array((capacity, (source, destination)), shape=shape), ranks * share

    def _short(self, flows: csr_array[np.int32], needed: int, rank: int) -> NDArray[np.bool_] | None:
        """[nodes] the source's side of a minimum cut, where less than `needed` reaches `rank`; None where it does."""
        return _short(flows, self.nodes, rank, needed)


def _short(flows: csr_array[np.int32], start: int, rank: int, needed: int) -> NDArray[np.bool_] | None:
    """[start] the side of node `start`, the last one, of a minimum cut, where less than `needed` flows to `rank`; else None."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    result = maximum_flow(flows, start, rank)
    if result.flow_value >= needed:
        return None
    residual = csr_array(flows - result.flow)
    residual.eliminate_zeros()
    inside = np.zeros(start + 1, dtype=np.bool_)
    inside[breadth_first_order(residual, start, return_predecessors=False)] = True
    return inside[:start]


def reach(
    nodes: int, source: I64, destination: I64, capacity: NDArray[Any], group: I64, rates: NDArray[Any]
) -> list[NDArray[np.bool_]] | None:
    """The cuts in the way of `rates` from every rank of a group to all others at the same time; none where they fit.

    capacity: [L] and rates: [n], whole numbers. A cut is the [nodes] side of those from which too little leads out. None where
    the numbers are too large for the flows.
    """
    from scipy.sparse import csr_array

    common = gcd(*capacity.tolist(), *rates.tolist())
    needed = int(rates.sum()) // common
    if needed > LARGEST_FLOW:
        return None
    kept = np.minimum(capacity // common, needed)
    entries = np.concatenate((kept, rates // common)).astype(np.int32)
    ends = np.concatenate((source, np.full(len(group), nodes))), np.concatenate((destination, group))
    flows = csr_array((entries, ends), shape=(nodes + 1, nodes + 1))
    found = (_short(flows, nodes, rank, needed) for rank in group.tolist())
    return [cut for cut in found if cut is not None]
