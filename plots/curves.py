"""Lines over sizes, one per case, and the lower bound that belongs to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, log2, nan
from typing import TYPE_CHECKING

from fabric.units import format_size

from .style import COLOURS, MARKERS, WIDTH, Panel, case_of, legend_columns, legend_height, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.result import Result

PLOT_HEIGHT = 7.6  # cm
BELOW = 1.15  # cm for ticks and label of the size axis
GREY = "0.45"
DASHES = (0, (4, 2))
MOST_TICKS = 8


@dataclass(frozen=True)
class Curve:
    """The results of one line, by size."""

    label: str
    results: tuple[Result, ...]


def curves(results: Sequence[Result]) -> list[Curve]:
    """One curve per case, and per phase and algorithm where a case has several, in the order of the results."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((case_of(result), result.phase), []).append(result)
    return [curve for key, group in groups.items() for curve in _split(", ".join(filter(None, key)), group)]


def _split(label: str, group: list[Result]) -> list[Curve]:
    """Several results of one size are several algorithms; one of each size is one line, whatever was fastest there."""
    by_size = sorted(group, key=lambda result: result.size)
    if max(Counter(result.size for result in group).values()) == 1:
        used = list(dict.fromkeys(result.algorithm for result in by_size))
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
    """One panel as wide as the page, with room for the legend below."""
    labels = _labels(curves(results))
    below = BELOW + legend_height(labels)
    return Panel(
        lambda axes: draw(results, axes), WIDTH, PLOT_HEIGHT + below, left=1.75, right=0.4, top=0.3, bottom=below
    )


def draw_curves(
    results: Sequence[Result], axes: Axes, value: Callable[[Result], float], bound: Callable[[Result], float]
) -> None:
    """Draw every curve, and dashed every bound; one that several curves share is drawn once, in grey."""
    lines = curves(results)
    dashed: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for index, curve in enumerate(lines):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        axes.plot(
            [result.size for result in curve.results],
            [_drawable(value(result)) for result in curve.results],
            color=colour, marker=marker, markeredgecolor="white", markeredgewidth=0.4, label="_curve",
        )  # fmt: skip
        points = tuple((result.size, _drawable(bound(result))) for result in curve.results)
        dashed.setdefault(points, []).append(colour)
    for points, colours in dashed.items():
        alone = len(points) == 1
        axes.plot(
            [size for size, _ in points], [y for _, y in points], color=colours[0] if len(colours) == 1 else GREY,
            linestyle=DASHES, linewidth=0.9, zorder=1.5, label="_bound",
            marker="_" if alone else "", markersize=12.0,
        )  # fmt: skip
    _size_axis(axes, [result.size for result in results])
    _legend(axes, lines)


def _drawable(value: float) -> float:
    """Neither a time of zero nor a rate without limit has a place on the axes."""
    return value if isfinite(value) and value > 0 else nan


def _labels(lines: Sequence[Curve]) -> list[str]:
    return [*(shorten(curve.label, WIDTH - 3.0) for curve in lines), "lower bound"]


def _legend(axes: Axes, lines: Sequence[Curve]) -> None:
    from matplotlib.lines import Line2D

    labels = _labels(lines)
    handles = [*axes.lines[: len(lines)], Line2D([], [], color=GREY, linestyle=DASHES, linewidth=0.9)]
    axes.legend(
        handles, labels, ncols=legend_columns(labels), loc="upper center",
        bbox_to_anchor=(0.5 - 0.675 / (WIDTH - 2.15), -(BELOW - 0.1) / (PLOT_HEIGHT - 0.3)),
    )  # fmt: skip


def _size_axis(axes: Axes, sizes: Sequence[float]) -> None:
    """Ticks at powers of two, at most MOST_TICKS."""
    from matplotlib.ticker import NullFormatter

    real = [log2(size) for size in sizes if size > 0]
    low, high = min(real, default=0.0), max(real, default=0.0)
    pad = max(0.03 * (high - low), 1.0 if high - low < 2 else 0.25)
    exponents = range(ceil(low - pad), floor(high + pad) + 1)
    step = max(1, -(-len(exponents) // MOST_TICKS))
    ticks = [2.0**exponent for exponent in exponents if exponent % step == 0]
    axes.set_xscale("log", base=2)
    axes.set_xlim(2.0 ** (low - pad), 2.0 ** (high + pad))
    axes.set_xticks(ticks, [format_size(tick) if tick >= 1 else "" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("size")
    axes.grid(True, which="major")
    axes.set_axisbelow(True)


def span(values: Sequence[float]) -> float:
    """Largest over smallest of the finite positive values."""
    real = [value for value in values if 0 < value < inf]
    return max(real) / min(real) if real else 1.0
