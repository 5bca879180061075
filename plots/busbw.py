"""Bus bandwidth against size; what the lower bound allows dashed in the colour of the case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .curves import apart, bound_time, draw_curves, panel
from .style import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.result import Result


def panels(results: Sequence[Result]) -> list[Panel]:
    """One panel with all cases; MoE layers have one of their own."""
    return [panel(kind, draw) for kind in apart(results)]


def draw(results: Sequence[Result], axes: Axes) -> None:
    """A line per case; x in bytes (tokens of MoE layers), y in GB/s from zero."""
    draw_curves(results, axes, lambda result: result.busbw / 1e9, bound_busbw)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("bus bandwidth (GB/s)")


def bound_busbw(result: Result) -> float:
    """GB/s: the bus bandwidth of a run that takes exactly the lower bound; nan where that is no time."""
    bound = bound_time(result)
    return result.busbw * result.time / bound / 1e9 if bound > 0 else float("nan")
