"""Proof of what a case runs: of the very schedules, or of smaller ones of the same kind where that would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .bind import Placement
from .collectives import build, smaller
from .collectives.all_to_all import corner
from .collectives.conditions import affordable, prove
from .layout import Layout
from .network import Network
from .schedule import Schedule

PAIR_ABOVE = 32  # ranks of a machine of which two prove a folded schedule; of smaller machines three or four do


def prove_all(network: Network, placements: Sequence[Placement]) -> str:
    """How the schedules were proved, in words. Raises ProofError if one does not do what its collective says."""
    once = {id(placed.schedule): placed for placed in placements}.values()
    return "; ".join(dict.fromkeys(_proof(placed.schedule, network.layout(placed.ranks, placed.copies)) for placed in once))


def _proof(schedule: Schedule, layout: Layout) -> str:
    if schedule.routes is not None or (schedule.image is None and affordable(schedule)):
        return str(prove(schedule))
    layout = smaller(layout)
    if schedule.image is not None and layout.inner is not None and layout.inner.ranks > PAIR_ABOVE:
        layout = replace(layout, servers=2, ranks=2 * layout.inner.ranks)
    options: dict[str, Any] = dict(schedule.options)
    if "root" in options:
        options["root"] = 0  # ranks are counted from it, so any will do
    if schedule.collective == "all_to_all_v":
        options["matrix"] = corner(schedule.blocks, layout.ranks)
    same = build(schedule.collective, schedule.algorithm, layout, **options)
    return f"{prove(same)} (the same algorithm on {layout.ranks} ranks)"
