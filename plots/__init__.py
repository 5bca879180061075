"""Figures of results, as wide as a page: `figure` draws one, `save` writes several as PNG files.

    latency   time against size, lower bounds dashed
    busbw     bus bandwidth against size, bounds dashed
    heatmap   utilisation of every link, laid out as the fabric is
    fabric    the fabric itself: nodes, links, bandwidth of each tier

A figure is a module with `panels(results)`, the boxes it is made of, and `draw(results, axes)`, which draws into axes
of the caller's own. Nothing is computed here: every number is a result's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fabric.errors import InputError, unknown

from .style import DPI, RC, arrange

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fabric.result import Result

__all__ = ["FIGURES", "figure", "save"]

FIGURES = ("latency", "busbw", "heatmap", "fabric")


def figure(name: str, results: Sequence[Result]) -> Figure:
    """One of FIGURES, 16 cm wide and as high as it needs.

    Raises InputError if there is no such figure or there are no results.
    """
    import matplotlib as mpl

    if name not in FIGURES:
        raise InputError(unknown("figure", name, FIGURES))
    if not results:
        raise InputError(f"figure {name!r} needs at least one result, but there is none")
    with mpl.rc_context(RC):
        return arrange(import_module(f".{name}", __name__).panels(results))


def save(names: Sequence[str], results: Sequence[Result], folder: str | Path) -> list[Path]:
    """Write `<name>.png` for each name into an existing folder; returns the paths.

    All figures are drawn before the first is written. Raises InputError as `figure` does, OSError if a file cannot be
    written.
    """
    images = [_png(figure(name, results)) for name in names]
    paths = [Path(folder) / f"{name}.png" for name in names]
    for path, image in zip(paths, images):
        path.write_bytes(image)
    return paths


def _png(drawn: Figure) -> bytes:
    import matplotlib as mpl

    file = BytesIO()
    with mpl.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font has not

        # No software version in the file: the same results give the same bytes.
        drawn.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()
