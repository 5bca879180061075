"""Lines over sizes, one per case, and the lower bound that belongs to each. MoE layers are drawn over tokens: at a number
of tokens dispatch and combine have sizes of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, floor, inf, isfinite, log2, nan
from typing import TYPE_CHECKING

from fabric.units import format_size

from .style import COLOURS, MARKERS, WIDTH, Panel, case_of, legend_columns, legend_height, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from fabric.result import Result

Points = tuple[tuple[float, float], ...]

PLOT_HEIGHT = 7.6  # cm
LEFT, RIGHT, TOP = 1.75, 0.5, 0.3  # cm around the plot
BELOW = 1.15  # cm for ticks and label of the size axis
GREY = "0.45"
DASHES = (0, (4, 2))
MOST_TICKS = 8


@dataclass(frozen=True)
class Curve:
    """The results of one line, by size or tokens."""

    label: str
    results: tuple[Result, ...]


def apart(results: Sequence[Result]) -> list[list[Result]]:
    """Results over sizes and results over tokens; those that there are."""
    kinds = ([r for r in results if not r.tokens], [r for r in results if r.tokens])
    return [kind for kind in kinds if kind]


def position(result: Result) -> float:
    """Where a result stands on its axis: tokens per rank of a MoE layer, else bytes."""
    return float(result.tokens or result.size)


def curves(results: Sequence[Result]) -> list[Curve]:
    """One curve per case, and per phase and algorithm where a case has several, in the order of the results."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((case_of(result), result.phase), []).append(result)
    return [curve for key, group in groups.items() for curve in _split(", ".join(filter(None, key)), group)]


def _split(label: str, group: list[Result]) -> list[Curve]:
    """Several results of one size are several algorithms; one of each size is one line, whatever was fastest there."""
    by_size = sorted(group, key=position)
    if max(Counter(position(result) for result in group).values()) == 1:
        used = list(dict.fromkeys(result.label for result in by_size))
        return [Curve(f"{label} ({', '.join(used)})" if len(used) > 1 else label, tuple(by_size))]
    lines: dict[tuple[str, str], list[Result]] = {}
    for result in by_size:
        options = ", ".join(f"{name} {value}" for name, value in result.options.items())
        lines.setdefault((result.algorithm, options), []).append(result)
    variants = Counter(algorithm for algorithm, _ in lines)
    return [
        Curve(f"{label}, {algorithm}" + (f" ({options})" if variants[algorithm] > 1 and options else ""), tuple(line))
        for (algorithm, options), line in lines.items()
    ]


def bound_time(result: Result) -> float:
    """s; nan where no bound is known."""
    return max((bound.time for bound in result.bounds), default=nan)


def panel(results: Sequence[Result], draw: Callable[[Sequence[Result], Axes], None]) -> Panel:
    """One panel as wide as the page, with room for the legend below; the results are of one of the kinds of `apart`."""
    labels = _labels(curves(results))
    below = BELOW + legend_height(labels)
    return Panel(partial(draw, results), WIDTH, PLOT_HEIGHT + below, LEFT, RIGHT, TOP, below)


def draw_curves(
    results: Sequence[Result], axes: Axes, value: Callable[[Result], float], bound: Callable[[Result], float]
) -> None:
    """Draw every curve, and dashed every bound; one that several curves share is drawn once, in grey."""
    lines = curves(results)
    handles: list[Line2D] = []
    dashed: dict[Points, list[str]] = {}
    for index, curve in enumerate(lines):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        sizes = [position(result) for result in curve.results]
        values = [_drawable(value(result)) for result in curve.results]
        # Earlier lines are broader, so that they show beneath later ones that coincide with them.
        broader = 1.0 - index / len(lines)
        handles += axes.plot(
            sizes, values, color=colour, marker=marker, markeredgecolor="white", markeredgewidth=0.4,
            linewidth=1.0 + 1.2 * broader, markersize=3.5 + 2.0 * broader,
        )  # fmt: skip
        points = tuple((position(result), _drawable(bound(result))) for result in curve.results)
        dashed.setdefault(points, []).append(colour)
    for points, colours in dashed.items():
        _draw_bound(axes, points, colours[0] if len(colours) == 1 else GREY)
    _size_axis(axes, results)
    _legend(axes, handles, _labels(lines))


def _draw_bound(axes: Axes, points: Points, colour: str) -> None:
    sizes, values = zip(*points)
    marker = "_" if len(points) == 1 else ""
    axes.plot(
        sizes, values, color=colour, linestyle=DASHES, linewidth=0.9, marker=marker, markersize=12.0, zorder=1.5
    )  # fmt: skip


def _drawable(value: float) -> float:
    """Neither a time of zero nor a rate without limit has a place on the axes."""
    return value if isfinite(value) and value > 0 else nan


def _labels(lines: Sequence[Curve]) -> list[str]:
    bounded = any(isfinite(bound_time(result)) for curve in lines for result in curve.results)
    # Matplotlib before 3.10 drops entries whose label begins with an underscore.
    labels = [" " * curve.label.startswith("_") + curve.label for curve in lines]
    return [shorten(label, WIDTH - 3.0) for label in labels] + ["lower bound"] * bounded


def _legend(axes: Axes, handles: list[Line2D], labels: list[str]) -> None:
    """Below the axis of sizes; `labels` may have one more than the curves, for the bounds."""
    from matplotlib.lines import Line2D

    bound = Line2D([], [], color=GREY, linestyle=DASHES, linewidth=0.9)
    axes.legend(
        [*handles, bound][: len(labels)], labels, ncols=legend_columns(labels), loc="upper center",
        bbox_to_anchor=(0.5 - (LEFT - RIGHT) / 2 / (WIDTH - LEFT - RIGHT), (0.1 - BELOW) / (PLOT_HEIGHT - TOP)),
    )  # fmt: skip


def _size_axis(axes: Axes, results: Sequence[Result]) -> None:
    """Ticks at powers of two, at most MOST_TICKS."""
    from matplotlib.ticker import NullFormatter

    real = [log2(position(result)) for result in results if position(result) > 0]
    low, high = min(real, default=0.0), max(real, default=0.0)
    pad = max(0.03 * (high - low), 0.75 if high - low < 2 else 0.25)
    exponents = range(ceil(low - pad), floor(high + pad) + 1)
    step = max(1, -(-len(exponents) // MOST_TICKS))
    ticks = [2.0**exponent for exponent in exponents if exponent % step == 0]
    axes.set_xscale("log", base=2)
    axes.set_xlim(2.0 ** (low - pad), 2.0 ** (high + pad))
    write, label = (str, "tokens per rank") if results[0].tokens else (format_size, "size")
    axes.set_xticks(ticks, [write(int(tick)) if tick >= 1 else "" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
    axes.grid(True, which="major")
    axes.set_axisbelow(True)


def extremes(values: Sequence[float]) -> tuple[float, float]:
    """Least and greatest of the values that a logarithmic axis can show; 1 us and 1 ms where there are none."""
    real = [value for value in values if 0 < value < inf]
    return (min(real), max(real)) if real else (1e-6, 1e-3)
