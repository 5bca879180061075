"""What an algorithm may know of the fabric: its logical shape, no links.

Algorithms are functions of a Layout, so a schedule can be built, and proved, on a small layout of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import NamedTuple


class Tier(NamedTuple):
    """One of the levels over which ranks differ: those that differ in it alone are a group of `size`.

    bandwidth: bytes/s that a rank sends in this tier, over all its links there, one direction; 0 where unknown.
    ring: the ranks of a group are on a ring, of which only neighbours have links; otherwise each reaches every other alike.
    """

    size: int
    bandwidth: float
    ring: bool


@dataclass(frozen=True)
class Layout:
    """n ranks, 0..n-1.

    dims: sizes of a torus whose rank numbers run fastest along the first dimension (rank = x + kx * (y + ky * z)), or ()
        where the ranks have no coordinates.
    bandwidth: bytes/s of one link of each dimension, one direction; as long as dims.
    servers: the ranks are `servers` equal machines, numbered one after another; 1 for a single machine. The sleds of a
        rack and the racks of a machine are machines in this sense too, so layouts nest.
    inner: the layout of one machine, where servers > 1.
    injection: bytes/s that a rank sends to other machines, or without machines and dimensions to the other ranks, one
        direction; 0 where unknown.
    between: how the machines lie among each other where that is a torus: the layout of one rank of each. Its links are
        shared by all ranks of a machine.
    pods: of a folded cluster, to whose pods machines are dealt in turn: a schedule holds the transfers of one machine. 0
        where a schedule holds all.
    """

    ranks: int
    dims: tuple[int, ...] = ()
    bandwidth: tuple[float, ...] = ()
    servers: int = 1
    inner: Layout | None = None
    injection: float = 0.0
    between: Layout | None = None
    pods: int = 0

    def __post_init__(self) -> None:
        if self.dims and prod(self.dims) != self.ranks:
            raise ValueError(f"dims {self.dims} do not make {self.ranks} ranks")
        if self.inner is not None and self.inner.ranks * self.servers != self.ranks:
            raise ValueError(f"{self.servers} machines of {self.inner.ranks} do not make {self.ranks} ranks")
        if self.between is not None and self.between.ranks != self.servers:
            raise ValueError(f"{self.between.ranks} places for {self.servers} machines")

    @cached_property
    def tiers(self) -> tuple[Tier, ...]:
        """From the innermost, in which neighbouring rank numbers differ, to the outermost; their sizes multiply to `ranks`."""
        if self.inner is not None and self.between is not None:
            shared = (tier._replace(bandwidth=tier.bandwidth / self.inner.ranks) for tier in self.between.tiers)
            return (*self.inner.tiers, *shared)
        if self.inner is not None:
            return (*self.inner.tiers, Tier(self.servers, self.injection, ring=False))
        if self.dims:
            links = self.bandwidth or (0.0,) * len(self.dims)
            # A ring of two has one link each way, not two.
            return tuple(Tier(k, link * (2 if k > 2 else 1), ring=True) for k, link in zip(self.dims, links))
        return (Tier(self.ranks, self.injection, ring=False),)

    def with_cores(self, core: Layout) -> Layout:
        """The layout of as many ranks on each rank of this one, a chip: a chip is a machine, and shares what it sends."""
        ranks, injection = self.ranks * core.ranks, self.injection / core.ranks
        if self.inner is not None:
            return replace(self, ranks=ranks, inner=self.inner.with_cores(core), injection=injection)
        between = self if self.dims else None
        return Layout(ranks, servers=self.ranks, inner=core, injection=injection, between=between)


class NotApplicable(Exception):
    """The algorithm does not serve this layout; the message says why."""
