"""One lower bound for all sizes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isinf

from ..units import format_bandwidth, format_size


@dataclass(frozen=True)
class Limit:
    """At least `share` times the size must pass `capacity` bytes/s; or, where the share is 0, it takes `fixed` s.

    text: the sentence, with {bytes} and {capacity} where they belong.
    """

    name: str
    share: float
    capacity: float
    text: str
    fixed: float = 0.0

    @property
    def slope(self) -> float:
        """s per byte of size; infinite where there is no way at all."""
        if not self.share:
            return 0.0
        return self.share / self.capacity if self.capacity else float("inf")

    def time(self, size: float) -> float:
        """s."""
        return self.fixed + (self.slope * size if size else 0.0)

    def detail(self, size: float) -> str:
        """The sentence for one size in bytes."""
        return self.text.format(bytes=_portion(self.share, size), capacity=format_bandwidth(self.capacity))


def _portion(share: float, size: float) -> str:
    """
    >>> _portion(0.9375, 65536), _portion(36.0, 65536), _portion(1.0, 1000)
    ('15/16 of 64 KiB', '36 times 64 KiB', '1000 B')
    """
    if share == 1 or isinf(share):
        return format_size(size)
    fraction = Fraction(share).limit_denominator(4096)
    number = str(fraction) if abs(fraction - share) <= 1e-12 and fraction < 1 else f"{share:.4g}"
    return f"{number} {'of' if share < 1 else 'times'} {format_size(size)}"
