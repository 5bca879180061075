"""What an algorithm may know of the fabric: its logical shape, no links.

Algorithms are functions of a Layout, so a schedule can be built, and proved, on a small layout of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Layout:
    """n ranks, 0..n-1.

    dims: sizes of a torus whose rank numbers run fastest along the first dimension (rank = x + kx * (y + ky * z)), or ()
        where the ranks have no coordinates.
    bandwidth: bytes/s of one link of each dimension, one direction; as long as dims.
    servers: the ranks are `servers` equal machines, numbered one after another; 1 for a single machine.
    inner: the layout of one machine, where servers > 1.
    """

    ranks: int
    dims: tuple[int, ...] = ()
    bandwidth: tuple[float, ...] = ()
    servers: int = 1
    inner: Layout | None = None

    def __post_init__(self) -> None:
        if self.dims and prod(self.dims) != self.ranks:
            raise ValueError(f"dims {self.dims} do not make {self.ranks} ranks")
        if self.inner is not None and self.inner.ranks * self.servers != self.ranks:
            raise ValueError(f"{self.servers} machines of {self.inner.ranks} do not make {self.ranks} ranks")


class NotApplicable(Exception):
    """The algorithm does not serve this layout; the message says why."""
