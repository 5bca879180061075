"""Time against size, both logarithmic; the lower bound of each case dashed in its colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fabric.units import format_time

from .curves import apart, bound_time, draw_curves, extremes, panel
from .style import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.result import Result

MARGIN = 1.6  # above and below the times


def panels(results: Sequence[Result]) -> list[Panel]:
    """One panel with all cases; MoE layers have one of their own."""
    return [panel(kind, draw) for kind in apart(results)]


def draw(results: Sequence[Result], axes: Axes) -> None:
    """A line per case; x in bytes (tokens of MoE layers), y in s, ticks in units that fit."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    draw_curves(results, axes, lambda result: result.time, bound_time)
    low, high = extremes([result.time for result in results] + [bound_time(result) for result in results])
    narrow = high / low < 50
    axes.set_yscale("log")
    axes.set_ylim(low / MARGIN, high * MARGIN)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda time, _: format_time(time)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if narrow:
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("time")
