"""The collectives and their algorithms: functions from a Layout to a Schedule at size 1 byte.

Every algorithm raises NotApplicable with the reason where it does not serve a layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from ..errors import InputError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import Schedule
from . import all_to_all, hierarchical

ALGORITHMS: Mapping[str, Mapping[str, Callable[..., Schedule]]] = {
    "all_reduce": {**hierarchical.FLAT["all_reduce"], "hierarchical": hierarchical.all_reduce},
    "all_gather": {**hierarchical.FLAT["all_gather"], "hierarchical": hierarchical.all_gather},
    "reduce_scatter": {**hierarchical.FLAT["reduce_scatter"], "hierarchical": hierarchical.reduce_scatter},
    "all_to_all": {"direct": all_to_all.direct},
    "all_to_all_v": {"direct": all_to_all.direct_v},
}
"""By collective and name. `all_to_all_v` takes the matrix of bytes as an option and keeps its bytes."""

ALIASES: Mapping[str, str] = {
    "allr": "all_reduce",
    "allg": "all_gather",
    "redsct": "reduce_scatter",
    "alltoall": "all_to_all",
    "alltoallv": "all_to_all_v",
}
"""The short names of nccom-test and nccl-tests."""


def canonical(name: str) -> str:
    """The collective that a name or an alias stands for; InputError with the nearest known name where there is none."""
    collective = ALIASES.get(name, name)
    if collective not in ALGORITHMS:
        raise InputError(unknown("collective", name, [*ALGORITHMS, *ALIASES]))
    return collective


def algorithm(collective: str, name: str) -> Callable[..., Schedule]:
    """The algorithm of that name; InputError with the nearest known name where there is none."""
    known = ALGORITHMS[canonical(collective)]
    if name not in known:
        raise InputError(unknown(f"algorithm of {canonical(collective)}", name, list(known)))
    return known[name]


def applicable(collective: str, layout: Layout, **options: object) -> dict[str, Schedule | str]:
    """What each algorithm of a collective makes of a layout: its schedule, or the reason why it does not serve it."""

    def attempt(build: Callable[..., Schedule]) -> Schedule | str:
        try:
            return build(layout, **options)
        except NotApplicable as reason:
            return str(reason)

    return {name: attempt(build) for name, build in ALGORITHMS[canonical(collective)].items()}


def smaller(layout: Layout) -> Layout:
    """A small layout of the same kind, on which the same algorithms with the same options can be proved instead.

    Dimensions keep their number and parity, machines and ranks without coordinates stay a power of two if they are one.
    """
    if layout.inner is not None:
        inner, servers = smaller(layout.inner), _fewer(layout.servers)
        return Layout(inner.ranks * servers, servers=servers, inner=inner)
    if layout.dims:
        dims = tuple(min(k, 4 - k % 2) for k in layout.dims)
        return Layout(prod(dims), dims, layout.bandwidth)
    return Layout(_fewer(layout.ranks))


def _fewer(count: int) -> int:
    return min(count, 3 if count & (count - 1) else 4)
