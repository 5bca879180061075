"""Results made by hand: times and carried bytes are what a test says, not what a simulation says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from fabric.network import Network
from fabric.result import Bound, Result


def result(network: Network, used: NDArray[np.float64] | float = 0.5, **changes: Any) -> Result:
    """1 MiB in 1 ms, bound 0.8 ms; `used` is the utilisation of every link."""
    time = changes.get("time", 1e-3)
    values: dict[str, Any] = {
        "case": "a case", "collective": "all_reduce", "algorithm": "ring", "options": {}, "ranks": network.ranks,
        "size": 2.0**20, "time": time, "group_times": (time,), "bounds": (Bound("injection", 0.8 * time),),
        "network": network, "carried": used * network.capacity * time, "busy": np.zeros(len(network.capacity)),
        "full": np.zeros(len(network.capacity)), "steps": 1, "transfers": 1, "classes": 1, "epochs": 1,
    }  # fmt: skip
    return Result(**(values | changes))


def sweep(network: Network, times: Sequence[float], **changes: Any) -> list[Result]:
    """One result per time, from 64 KiB on in steps of 4; bounds at 0.8 of the time."""
    return [result(network, size=2.0 ** (16 + 2 * i), time=time, **changes) for i, time in enumerate(times)]


def link(network: Network, source: int, destination: int) -> int:
    """The number of a link."""
    return int(network.link_ids(np.array([source]), np.array([destination]))[0])


def texts(figure: Figure) -> list[tuple[str, float, Bbox]]:
    """Every text that is drawn: what it says, its size in points and where it is in pixels."""
    figure.canvas.draw()
    hidden = {id(label) for axes in figure.axes for label in _hidden(axes)}
    drawn = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(t.get_text(), float(t.get_fontsize()), t.get_window_extent()) for t in drawn if id(t) not in hidden]


def _hidden(axes: Axes) -> list[Text]:
    """Labels of an axis that is off, and of ticks outside of the view."""
    out: list[Text] = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            labels = [tick.label1, tick.label2]
            seen = axes.axison and low <= tick.get_loc() <= high
            out += [label for label in labels if not seen or not label.get_visible()]
        if not axes.axison:
            out += [axis.label, axis.offsetText]
    return out
