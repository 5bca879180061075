"""What all figures share: lengths in cm, type, colours, and how panels make a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fabric.units import format_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from fabric.result import Result

WIDTH = 16.0  # cm, the text width of an A4 page
HALF = WIDTH / 2
DPI = 200
INCH = 2.54  # cm
POINT = INCH / 72  # cm
TYPE = 7.5  # points
LEGEND_ROW = 0.40  # cm
LEGEND_KEY = 1.35  # cm for the line, the space after it and that between entries

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": TYPE,
    "text.parse_math": False,
    "axes.labelsize": TYPE,
    "axes.titlesize": TYPE + 1,
    "axes.titleweight": "bold",
    "axes.linewidth": 0.6,
    "axes.edgecolor": "0.3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": TYPE,
    "ytick.labelsize": TYPE,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.color": "0.3",
    "ytick.color": "0.3",
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.fontsize": TYPE,
    "legend.frameon": False,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.0,
    "legend.labelspacing": 0.45,
    "legend.handlelength": 1.9,
    "legend.columnspacing": 1.5,
    "grid.color": "0.88",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
}

# Okabe and Ito's colours without the yellow, then three of Paul Tol's muted scheme: safe for colour-blind readers.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933", "#332288",
)  # fmt: skip
MARKERS = "osD^vPXhp"  # fewer than colours, so that the pairs come round late
TIER_COLOURS = {
    "neuronlink-x": COLOURS[0], "neuronlink-y": COLOURS[1], "neuronlink-z": COLOURS[2],
    "x": COLOURS[0], "y": COLOURS[1], "z": COLOURS[2], "link": COLOURS[0],
    "sled": COLOURS[2], "tray": COLOURS[2], "rack": COLOURS[0], "cross-rack": COLOURS[1],
    "nic": COLOURS[8], "efa": COLOURS[3], "leaf": COLOURS[4], "spine": COLOURS[7],
}  # fmt: skip
CHIP_FACE, CHIP_EDGE = "#F2F2F2", "#404040"
ABSENT = "#E8E8E8"  # of a cell without a link


@dataclass(frozen=True)
class Panel:
    """One box of a figure and what draws into its axes. Lengths in cm; the margins are inside the box."""

    draw: Callable[[Axes], None]
    width: float
    height: float
    left: float = 0.2
    right: float = 0.2
    top: float = 0.2
    bottom: float = 0.2


def arrange(panels: Sequence[Panel]) -> Figure:
    """A figure WIDTH wide with the panels in reading order, as many side by side as fit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = _rows(panels)
    height = sum(max(panel.height for panel in row) for row in rows)
    figure = Figure(figsize=(WIDTH / INCH, height / INCH))
    FigureCanvasAgg(figure)
    top = height
    for row in rows:
        x = (WIDTH - sum(panel.width for panel in row)) / 2
        for panel in row:
            left, bottom = x + panel.left, top - panel.height + panel.bottom
            wide, high = panel.width - panel.left - panel.right, panel.height - panel.top - panel.bottom
            panel.draw(figure.add_axes((left / WIDTH, bottom / height, wide / WIDTH, high / height)))
            x += panel.width
        top -= max(panel.height for panel in row)
    return figure


def _rows(panels: Sequence[Panel]) -> list[list[Panel]]:
    rows: list[list[Panel]] = []
    for panel in panels:
        if rows and sum(other.width for other in rows[-1]) + panel.width <= WIDTH + 1e-9:
            rows[-1].append(panel)
        else:
            rows.append([panel])
    return rows


def title(axes: Axes, head: str, detail: str, indent: float = 0.0) -> None:
    """Two lines above the axes, starting `indent` cm to the left of them; too long a text ends in an ellipsis."""
    width = box(axes)[0]
    x = -indent / width
    axes.set_title(shorten(head, (width + indent) / 1.3), loc="left", x=x, y=1.0, pad=14)
    axes.annotate(
        shorten(detail, width + indent), (x, 1.0), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        va="bottom",
    )  # fmt: skip


def note(axes: Axes, text: str) -> None:
    """One line of explanation under the axes."""
    axes.annotate(
        shorten(text, box(axes)[0]), (0, 0), xycoords="axes fraction", xytext=(0, -3), textcoords="offset points",
        va="top", color="0.35",
    )  # fmt: skip


def box(axes: Axes) -> tuple[float, float]:
    """Width and height of the axes in cm."""
    extent, dpi = axes.get_window_extent(), axes.figure.dpi
    return extent.width / dpi * INCH, extent.height / dpi * INCH


def canvas(axes: Axes, wide: float, high: float, low: float = 0.0, downwards: bool = False) -> None:
    """Turn axes into an empty sheet with room for 0..wide and low..low+high at one scale, centred."""
    width, height = box(axes)
    scale = min(width / wide, height / high)
    x, y = (width / scale - wide) / 2, (height / scale - high) / 2
    bottom, top = low - y, low + high + y
    axes.set_axis_off()
    axes.set_xlim(-x, wide + x)
    axes.set_ylim((top, bottom) if downwards else (bottom, top))
    axes.set_aspect("equal")


def crosses(axes: Axes, places: Sequence[Sequence[float] | NDArray[np.float64]]) -> None:
    """Mark links that are down."""
    for x, y in places:
        axes.plot([x], [y], marker="x", color="black", markersize=4.5, markeredgewidth=1.1, zorder=5)


def text_width(text: str) -> float:
    """cm in the type of labels"""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=TYPE), False)[0]) * POINT


def shorten(text: str, width: float) -> str:
    """The text, cut to `width` cm with an ellipsis."""
    if text_width(text) <= width:
        return text
    most = len(text) - 1
    while most and text_width(text[:most] + "…") > width:
        most -= 1
    return text[:most].rstrip() + "…"


def legend_columns(labels: Sequence[str], width: float = WIDTH) -> int:
    """How many legend entries fit side by side; entries fill column after column."""
    widths = [text_width(label) + LEGEND_KEY for label in labels]
    for columns in range(len(labels), 1, -1):
        rows, longer = divmod(len(labels), columns)
        heights = [rows + (column < longer) for column in range(columns)]
        starts = [sum(heights[:column]) for column in range(columns)]
        if sum(max(widths[start : start + height]) for start, height in zip(starts, heights)) <= width:
            return columns
    return 1


def legend_height(labels: Sequence[str], width: float = WIDTH) -> float:
    """cm"""
    return -(-len(labels) // legend_columns(labels, width)) * LEGEND_ROW


def case_of(result: Result) -> str:
    """The name of the case, or of the topology where there is no scenario."""
    return result.case or str(result.network.graph.graph.get("name") or "unnamed")


def size_text(size: float) -> str:
    """Four digits in the largest binary unit.

    >>> size_text(2**30), size_text(1.5 * 2**20), size_text(100)
    ('1 GiB', '1.5 MiB', '100 B')
    """
    units = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
    unit = next((unit for unit, factor in units.items() if size >= factor), "")
    return f"{size / units[unit]:.4g} {unit}" if unit else format_size(size)


def tier_colours(tiers: Sequence[str]) -> list[str]:
    """One colour per tier; those of known tiers are the same in every figure."""
    spare = [colour for colour in COLOURS if colour not in {TIER_COLOURS.get(tier) for tier in tiers}]
    others = [tier for tier in tiers if tier not in TIER_COLOURS]
    assigned = {tier: (spare or COLOURS)[i % len(spare or COLOURS)] for i, tier in enumerate(others)}
    return [TIER_COLOURS.get(tier) or assigned[tier] for tier in tiers]


def heat() -> tuple[Colormap, Any]:
    """The colour scale of utilisation: pale is idle, dark is full."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, Normalize

    # The palest colours of the map would vanish on white paper.
    colours = colormaps["YlOrRd"]([i / 255 for i in range(8, 256)])
    return ListedColormap(colours, "heat").with_extremes(bad=ABSENT), Normalize(0.0, 1.0)


def heat_scale() -> ScalarMappable:
    """What a colour bar of utilisation is made from."""
    from matplotlib.cm import ScalarMappable

    scale, norm = heat()
    return ScalarMappable(norm, scale)
