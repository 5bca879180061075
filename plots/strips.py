"""Utilisation of a fabric with switches as rows of cells: a row per tier and direction, a cell per chip or machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .nodes import attribute, bandwidths, levels, machines, words
from .style import box, heat

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fabric.network import Network

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MOST_CELLS = 144
MOST_TICKS = 18
GAP = 0.4  # of a row
ROW_HEIGHT = 0.42  # cm
LEFT, RIGHT = 3.75, 2.95  # cm for the texts beside the cells
COLUMN_ENDS = (1.1, 1.95, 2.75)  # cm


@dataclass(frozen=True, eq=False)
class Row:
    """The links of one tier and direction. A cell holds the utilisation of its busiest link; nan where it has none."""

    label: str
    bandwidth: str  # GB/s
    cells: F64
    common: bool  # whether the cells are the columns of the panel
    mean: float
    peak: float


@dataclass(frozen=True, eq=False)
class Strips:
    """All rows of a fabric, those with the columns of the panel last; a column is a "chip" or a "machine"."""

    rows: list[Row]
    column: str
    columns: int

    def tops(self) -> list[float]:
        """Where each row begins; a gap parts rows with cells of their own from those with the columns of the panel."""
        gap = 0.0 if self.rows[0].common else GAP
        return [index + (gap if row.common else 0.0) for index, row in enumerate(self.rows)]

    @property
    def height(self) -> float:
        """In rows."""
        return self.tops()[-1] + 1.0


def strips_of(network: Network, utilisation: F64) -> Strips:
    """Sort the links [L] into rows, the chips at the bottom. A link belongs to its end that is nearer to the chips."""
    level, machine = levels(network), machines(network)
    source, destination, tier = network.source, network.destination, network.tier[: network.links]
    up = level[source] <= level[destination]
    owner = np.where(up, source, destination)
    names, kind = np.unique(words(network), return_inverse=True)
    keys = np.stack([level[owner], tier, up, kind[source], kind[destination]], axis=1)
    unique, group = np.unique(keys, axis=0, return_inverse=True)
    clustered = bool(machine.max(initial=-1) > 0)
    columns = int(machine.max()) + 1 if clustered else network.ranks
    rows = []
    for index, (_, word, upwards, a, b) in reversed(list(enumerate(unique.tolist()))):
        mine = group.ravel() == index
        place = machine[owner[mine]] if clustered else np.where(owner[mine] < network.ranks, owner[mine], -1)
        common = bool((place >= 0).all())
        if not common:
            place = np.unique(owner[mine], return_inverse=True)[1]
        label = f"{names[a]} → {names[b]}" + (f" ({network.tiers[word]})" if a == b else "")
        label += "" if common else f", by {names[a if upwards else b]}"
        cells = _busiest(place, utilisation[: network.links][mine], columns if common else int(place.max()) + 1)
        mean, peak = float(utilisation[: network.links][mine].mean()), float(np.nanmax(cells))
        rows.append(Row(label, bandwidths(network, word).removesuffix(" GB/s"), cells, common, mean, peak))
    rows.sort(key=lambda row: row.common)
    return Strips(rows, "machine" if clustered else "chip", columns)


def _busiest(place: I64, values: F64, count: int) -> F64:
    """The largest value at each place; neighbours share a cell where there are more than MOST_CELLS."""
    cells = np.full(min(count, MOST_CELLS), -np.inf)
    np.maximum.at(cells, place * len(cells) // count, values)
    return np.where(np.isinf(cells), np.nan, cells)


def draw_strips(network: Network, utilisation: F64, axes: Axes) -> None:
    """Draw all rows from the top, their names on the left, bandwidth, mean and largest utilisation on the right."""
    strips = strips_of(network, utilisation)
    axes.set(xlim=(0.0, 1.0), ylim=(strips.height, 0.0))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    scale, norm = heat()
    middles = []
    for row, y in zip(strips.rows, strips.tops()):
        edges = np.linspace(0.0, 1.0, len(row.cells) + 1)
        axes.pcolormesh(edges, [y + 0.06, y + 0.94], row.cells[None, :], cmap=scale, norm=norm, rasterized=True)
        _beside(axes, y + 0.5, row.bandwidth, f"{row.mean:.2f}", f"{row.peak:.2f}")
        middles.append(y + 0.5)
    _beside(axes, -0.32, "GB/s", "mean", "max")
    axes.set_yticks(middles, [row.label for row in strips.rows])
    _columns(network, strips, axes)


def _beside(axes: Axes, y: float, *texts: str) -> None:
    """Texts in the columns on the right."""
    width = box(axes)[0]
    for end, text in zip(COLUMN_ENDS, texts):
        axes.text(1.0 + end / width, y, text, ha="right", va="center")


def _columns(network: Network, strips: Strips, axes: Axes) -> None:
    """Name the columns and part them where racks and sleds end."""
    top = next(top for row, top in zip(strips.rows, strips.tops()) if row.common)
    part = partial(_part, axes, top, strips.height)
    if strips.column == "machine":
        part(np.arange(1, strips.columns) / strips.columns, 0.8)
        ticks = np.arange(0, strips.columns, -(-strips.columns // MOST_TICKS))
        axes.set_xticks((ticks + 0.5) / strips.columns, [str(tick) for tick in ticks])
        axes.set_xlabel("machine (a cell is its busiest link)", labelpad=1.0)
        return
    ranks = strips.columns
    rack, server = attribute(network, "rack")[:ranks], attribute(network, "server")[:ranks]
    part((np.flatnonzero(np.diff(server)) + 1) / ranks, 0.5)
    ends = np.flatnonzero(np.diff(rack)) + 1
    part(ends / ranks, 2.5)
    starts, stops = np.r_[0, ends], np.r_[ends, ranks]
    names = [_span(network, start, stop) for start, stop in zip(starts.tolist(), stops.tolist())]
    axes.set_xticks((starts + stops) / 2 / ranks, names)


def _span(network: Network, start: int, stop: int) -> str:
    """ "rack 0: chips 0 to 71"."""
    rack = network.graph.nodes[start].get("rack")
    return f"{'' if rack is None else f'rack {rack}: '}chips {start} to {stop - 1}"


def _part(axes: Axes, top: float, bottom: float, where: F64, width: float) -> None:
    if len(where) < MOST_CELLS:
        axes.vlines(where, top, bottom, color="white", linewidth=width)
