"""What all figures keep: files, sizes, readable type, no overlap, clear refusals."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import plots
import topologies
from fabric.errors import InputError
from fabric.network import Network
from fabric.result import Result
from topologies import Graph

from .synthetic import result, sweep, texts

FABRICS: dict[str, Callable[[], Graph]] = {
    "trn2": topologies.trn2,
    "trn2_ultraserver": topologies.trn2_ultraserver,
    "trn3_gen1": topologies.trn3_gen1,
    "trn3_gen2": topologies.trn3_gen2,
    "one rack": lambda: topologies.trn3_gen2(racks=1),
    "flat": lambda: topologies.trn3_gen2(preset="flat"),
    "cluster": lambda: topologies.efa_cluster("trn2", 4),
    "many machines": lambda: topologies.efa_cluster("trn2", 64, leaf_ports=16, tor_ports=64),
    "ring": lambda: topologies.ring(16, 1e9),
    "mesh": lambda: topologies.mesh([5, 3], 1e9),
    "large torus": lambda: topologies.torus([8, 8, 3], 1e9),
    "hypercube": lambda: topologies.hypercube(4, 1e9),
    "full mesh": lambda: topologies.full_mesh(8, 1e9),
    "degraded": lambda: topologies.degrade(topologies.trn3_gen2(), down=[(8, 80)], slow=[((0, 72), 0.5)]),
    "springs": lambda: without_shape(topologies.degrade(topologies.full_mesh(6, 1e9), down=[(0, 1), (2, 3)])),
}


def without_shape(graph: Graph) -> Graph:
    graph.graph.clear()
    return graph


def two_cases() -> list[Result]:
    torus, switched = Network(topologies.trn2_ultraserver()), Network(topologies.trn3_gen2())
    return sweep(torus, [1e-4, 1e-3], case="torus") + sweep(switched, [1e-4, 2e-3], case="switched")


def test_importing_plots_is_light() -> None:
    code = "import plots, sys; print([name for name in ('matplotlib', 'networkx', 'scipy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pyplot_is_not_used(tmp_path: Path) -> None:
    code = (
        "import plots, sys, topologies; from tests.plots.synthetic import result; from fabric.network import Network; "
        f"plots.save(plots.FIGURES, [result(Network(topologies.trn2()))], {str(tmp_path)!r}); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_an_unknown_figure_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown figure 'heatmpa' \(did you mean heatmap"):
        plots.figure("heatmpa", two_cases())


@pytest.mark.parametrize("name", plots.FIGURES)
def test_no_results_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"figure '{name}' needs at least one result"):
        plots.figure(name, [])


def test_files_are_png_of_the_right_width(tmp_path: Path) -> None:
    paths = plots.save(plots.FIGURES, two_cases(), tmp_path)
    assert [path.name for path in paths] == ["latency.png", "busbw.png", "heatmap.png", "fabric.png"]
    for path in paths:
        data = path.read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert data[-8:-4] == b"IEND"
        assert abs(width - 16 / 2.54 * 200) < 1
        assert height > 400


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        plots.save(["heatmap", "fabric"], two_cases(), folder)
    for name in ("heatmap.png", "fabric.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_nothing_is_written_if_one_figure_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        plots.save(["latency", "nonsense"], two_cases(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fabric", FABRICS)
def test_texts_are_readable_and_do_not_overlap(fabric: str) -> None:
    network = Network(FABRICS[fabric]())
    used = np.random.default_rng(1).uniform(0, 1, len(network.capacity))
    results = [result(network, used, case=f"a case on {fabric}", size=13e6 * i, time=1e-3 * i) for i in (1, 2)]
    for name in plots.FIGURES:
        figure = plots.figure(name, results)
        found = texts(figure)
        assert len(found) > 2
        for text, size, box in found:
            assert size >= 7, text
            assert figure.bbox.padded(1).containsx(box.x0), (name, text)
            assert figure.bbox.padded(1).containsx(box.x1), (name, text)
            assert figure.bbox.padded(1).containsy(box.y0), (name, text)
            assert figure.bbox.padded(1).containsy(box.y1), (name, text)
        for (a, _, one), (b, _, other) in combinations(found, 2):
            # At 100 dpi: a quarter of a millimetre apart on a line; lines may share half a pixel of empty room.
            assert not one.padded(1.0, -0.5).overlaps(other), (name, a, b)


@pytest.mark.parametrize("name", ["heatmap", "fabric"])
def test_panels_carry_the_names_of_the_cases(name: str) -> None:
    figure = plots.figure(name, two_cases())
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["torus", "switched"]


def test_a_result_without_a_case_is_called_by_its_topology() -> None:
    figure = plots.figure("fabric", [result(Network(topologies.trn2()), case="")])
    assert figure.axes[0].get_title(loc="left") == "trn2"


def test_odd_names_are_drawn_as_they_are() -> None:
    name = r"_cost $\nonsense{$ of 5 % & more"
    for figure in plots.FIGURES:
        drawn = plots.figure(figure, [result(Network(topologies.trn2()), case=name)])
        assert name in [text.strip() for text, _, _ in texts(drawn)]


@pytest.mark.parametrize("name", plots.FIGURES)
def test_a_large_cluster_is_drawn_in_time(name: str, tmp_path: Path) -> None:
    network = Network(topologies.efa_cluster("trn3_gen2", 16))
    assert network.ranks == 2304
    plots.save(["latency"], two_cases(), tmp_path)  # loads matplotlib
    start = time.perf_counter()
    plots.save([name], [result(network)], tmp_path)
    assert time.perf_counter() - start < 2.0
