"""The collectives and their algorithms: functions from a Layout to a Schedule at size 1 byte.

Every algorithm raises NotApplicable with the reason where it does not serve a layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

from ..errors import InputError, unknown
from ..layout import Layout, NotApplicable
from ..schedule import Schedule
from . import (
    all_to_all,
    birkhoff,
    chain,
    dimensionwise,
    hierarchical,
    optimal,
    rooted,
    routed,
    scatter_gather,
    tree,
    two_level,
)
from .slices import sliced

ALGORITHMS: Mapping[str, Mapping[str, Callable[..., Schedule]]] = {
    "all_reduce": {
        **hierarchical.FLAT["all_reduce"],
        "hierarchical": hierarchical.all_reduce,
    },
    "all_gather": {
        **hierarchical.FLAT["all_gather"],
        "hierarchical": hierarchical.all_gather,
    },
    "reduce_scatter": {
        **hierarchical.FLAT["reduce_scatter"],
        "hierarchical": hierarchical.reduce_scatter,
    },
    "all_to_all": {
        "direct": all_to_all.direct,
        "pairwise": all_to_all.pairwise,
        "bruck": all_to_all.bruck,
        "dimensionwise": dimensionwise.all_to_all,
        "two_level": two_level.two_level,
        "rail": two_level.rail,
        "three_step": two_level.three_step,
    },
    "all_to_all_v": {"direct": all_to_all.direct_v, "birkhoff": birkhoff.all_to_all_v},
    "broadcast": {
        "tree": tree.broadcast,
        "chain": chain.broadcast,
        "scatter_gather": scatter_gather.broadcast,
        "direct": rooted.broadcast,
    },
    "reduce": {
        "tree": tree.reduce,
        "chain": chain.reduce,
        "scatter_gather": scatter_gather.reduce,
        "direct": rooted.reduce,
    },
    "gather": {"tree": tree.gather, "direct": rooted.gather},
    "scatter": {"tree": tree.scatter, "direct": rooted.scatter},
    "permute": {"direct": rooted.permute},
}
"""By collective and name. `all_to_all_v` takes the matrix of bytes as an option and keeps its bytes."""

FITTED: Mapping[str, Mapping[str, Callable[..., Schedule]]] = {
    "all_reduce": {"optimal": optimal.all_reduce},
    "all_gather": {"optimal": optimal.all_gather},
    "reduce_scatter": {"optimal": optimal.reduce_scatter},
    "broadcast": {"optimal": optimal.broadcast},
    "reduce": {"optimal": optimal.reduce},
    "gather": {"optimal": routed.gather},
    "scatter": {"optimal": routed.scatter},
    "permute": {"optimal": routed.permute},
}
"""Algorithms made for one fabric: functions of the network, its ranks that take part, and something to say progress with."""

FOLDED: Mapping[str, tuple[str, ...]] = {
    "all_reduce": ("hierarchical",),
    "all_gather": ("hierarchical",),
    "reduce_scatter": ("hierarchical",),
    "all_to_all": ("direct",),
    "all_to_all_v": ("direct",),
}
"""The algorithms that serve folded clusters, by collective."""

SLICES: Mapping[str, int] = {"chain": 32, "double_tree": 8}
"""How many slices an algorithm cuts its transfers into where nothing is said; 1 for all others."""

ALIASES: Mapping[str, str] = {
    "allr": "all_reduce",
    "allg": "all_gather",
    "redsct": "reduce_scatter",
    "alltoall": "all_to_all",
    "alltoallv": "all_to_all_v",
    "bcast": "broadcast",
    "sendrecv": "permute",
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


def build(collective: str, name: str, layout: Layout, *, slices: int | None = None, **options: object) -> Schedule:
    """The schedule of an algorithm on a layout, cut into `slices`; NotApplicable where it does not serve it."""
    if layout.pods and name not in FOLDED.get(canonical(collective), ()):
        served = ", ".join(f"{one} by {' and '.join(names)}" for one, names in FOLDED.items())
        asked = f"{canonical(collective)} by {name}" if canonical(collective) in FOLDED else canonical(collective)
        raise NotApplicable(f"a folded cluster serves {served}; not {asked}")
    return sliced(algorithm(collective, name)(layout, **options), SLICES.get(name, 1) if slices is None else slices)


def applicable(collective: str, layout: Layout, **options: Any) -> dict[str, Schedule | str]:
    """What each algorithm of a collective makes of a layout: its schedule, or the reason why it does not serve it.

    By name; of `hierarchical` there is one for each choice of its tiers' algorithms. options: such as serve all of them.
    """

    def attempt(name: str, chosen: Mapping[str, Any]) -> Schedule | str:
        try:
            return build(collective, name, layout, **chosen, **options)
        except NotApplicable as reason:
            return str(reason)

    usual: list[dict[str, str]] = [{}]
    choices = dict.fromkeys(ALGORITHMS[canonical(collective)], usual)
    if "hierarchical" in choices and layout.servers > 1:
        choices["hierarchical"] = hierarchical.variants(layout)
    return {
        " ".join((name, *chosen.values())): attempt(name, chosen) for name, several in choices.items() for chosen in several
    }


def smaller(layout: Layout) -> Layout:
    """A small layout of the same kind, on which the same algorithms with the same options can be proved instead.

    Dimensions keep their number and parity, machines and ranks without coordinates stay a power of two if they are one.
    """
    if layout.inner is not None:
        inner, between = smaller(layout.inner), smaller(layout.between) if layout.between is not None else None
        servers = _fewer(layout.servers) if between is None else between.ranks
        return replace(layout, ranks=inner.ranks * servers, servers=servers, inner=inner, between=between, pods=0)
    if layout.dims:
        dims = tuple(min(k, 4 - k % 2) for k in layout.dims)
        return Layout(prod(dims), dims, layout.bandwidth)
    return replace(layout, ranks=_fewer(layout.ranks))


def _fewer(count: int) -> int:
    return min(count, 3 if count & (count - 1) else 4)
