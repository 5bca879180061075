"""Time against size, both logarithmic; the lower bound of each case dashed in its colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fabric.units import format_time

from .curves import bound_time, draw_curves, panel, span
from .style import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.result import Result


def panels(results: Sequence[Result]) -> list[Panel]:
    """One panel with all cases."""
    return [panel(results, draw)]


def draw(results: Sequence[Result], axes: Axes) -> None:
    """A line per case; x in bytes, y in s, ticks in units that fit."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    draw_curves(results, axes, lambda result: result.time, bound_time)
    axes.set_yscale("log")
    narrow = span([result.time for result in results] + [bound_time(result) for result in results]) < 50
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda time, _: format_time(time)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("time")
