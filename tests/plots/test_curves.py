"""Time and bus bandwidth against size: one line per case, what it shows, and its bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import plots
from fabric.network import Network
from fabric.result import Bound, Result
from plots.style import legend_columns, shorten, text_width
from topologies import trn2

from .synthetic import result, sweep

TIMES = (1e-5, 3e-5, 1e-4)


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(trn2())


def panel(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def labels(figure: Figure) -> list[str]:
    legend = panel(figure).get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def two_cases(network: Network) -> list[Result]:
    slow = [3 * time for time in TIMES]
    return sweep(network, TIMES, case="fast") + sweep(network, slow, case="slow")


def test_latency_has_a_line_and_a_bound_for_each_case(network: Network) -> None:
    figure = plots.figure("latency", two_cases(network))
    fast, slow, fast_bound, slow_bound = panel(figure).lines
    np.testing.assert_array_equal(fast.get_xdata(), [65536, 262144, 1048576])
    np.testing.assert_array_equal(fast.get_ydata(), TIMES)
    np.testing.assert_allclose(slow.get_ydata(), [3e-5, 9e-5, 3e-4])
    np.testing.assert_allclose(fast_bound.get_ydata(), [0.8e-5, 2.4e-5, 0.8e-4])
    assert fast_bound.get_color() == fast.get_color() != slow.get_color() == slow_bound.get_color()
    assert fast_bound.is_dashed()
    assert not fast.is_dashed()
    assert labels(figure) == ["fast", "slow", "lower bound"]


def test_axes_of_latency_are_logarithmic_with_units(network: Network) -> None:
    axes = panel(plots.figure("latency", two_cases(network)))
    axes.figure.canvas.draw()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["64 KiB", "128 KiB", "256 KiB", "512 KiB", "1 MiB"]
    assert {"10 us", "100 us"} <= {text.get_text() for text in axes.get_yticklabels()}


def test_the_legend_is_outside_the_plot(network: Network) -> None:
    axes = panel(plots.figure("latency", two_cases(network)))
    axes.figure.canvas.draw()
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y1 < axes.get_window_extent().y0


def test_busbw_follows_the_factor_of_allreduce(network: Network) -> None:
    line, bound = panel(plots.figure("busbw", sweep(network, [1e-4, 2e-4]))).lines
    # size / time x 2 (n - 1) / n with n = 16
    expected = np.array([65536 / 1e-4, 262144 / 2e-4]) * 2 * 15 / 16 / 1e9
    np.testing.assert_allclose(line.get_ydata(), expected)
    np.testing.assert_allclose(bound.get_ydata(), expected / 0.8)


def test_several_algorithms_of_a_case_are_lines_with_one_grey_bound(network: Network) -> None:
    shared = (Bound("injection", 1e-6),)
    results = [
        result(network, algorithm=name, time=time, bounds=shared, size=size)
        for name, time in (("ring", 1e-4), ("mesh", 2e-4))
        for size in (1024.0, 4096.0)
    ]
    figure = plots.figure("latency", results)
    ring, mesh, bound = panel(figure).lines
    assert labels(figure) == ["a case, ring", "a case, mesh", "lower bound"]
    assert bound.get_color() not in (ring.get_color(), mesh.get_color())


def test_variants_of_one_algorithm_are_told_apart_by_their_options(network: Network) -> None:
    results = [result(network, algorithm="bucket", options={"ports": ports}) for ports in ("one", "all")]
    assert labels(plots.figure("latency", results))[:2] == ["a case, bucket (ports one)", "a case, bucket (ports all)"]


def test_the_fastest_algorithm_of_each_size_is_one_line(network: Network) -> None:
    results = [result(network, algorithm=name, size=size) for name, size in (("mesh", 1e3), ("ring", 1e6))]
    figure = plots.figure("latency", results)
    assert len(panel(figure).lines) == 2
    assert labels(figure)[0] == "a case (mesh, ring)"


def test_moe_has_a_line_for_each_phase(network: Network) -> None:
    phases = ("dispatch", "combine", "total")
    results = [result(network, phase=phase, size=1e6 * (i + 1)) for i, phase in enumerate(phases)]
    figure = plots.figure("busbw", results)
    assert labels(figure)[:3] == ["a case, dispatch", "a case, combine", "a case, total"]
    assert len(panel(figure).lines) == 6


@pytest.mark.parametrize("name", ["latency", "busbw"])
def test_the_phases_of_moe_stand_over_their_tokens(network: Network, name: str) -> None:
    sizes = {"dispatch": 1e6, "combine": 2e6, "total": 3e6}
    moe = [
        result(network, phase=phase, tokens=tokens, size=size * tokens, time=size * tokens * 1e-12)
        for tokens in (128, 512)
        for phase, size in sizes.items()
    ]
    figure = plots.figure(name, [*moe, *sweep(network, TIMES, case="other")])
    over_sizes, over_tokens = figure.axes
    assert [line.get_xdata().tolist() for line in over_tokens.lines[:3]] == [[128, 512]] * 3
    assert over_tokens.get_xlabel() == "tokens per rank"
    assert [text.get_text() for text in over_tokens.get_xticklabels()] == ["128", "256", "512"]
    assert over_sizes.get_xlabel() == "size"
    assert over_sizes.lines[0].get_xdata().tolist() == [65536, 262144, 1048576]


@pytest.mark.parametrize("name", ["latency", "busbw"])
def test_one_size_is_a_point_with_a_mark_for_the_bound(network: Network, name: str) -> None:
    axes = panel(plots.figure(name, [result(network)]))
    point, bound = axes.lines
    assert (len(point.get_xdata()), point.get_marker(), bound.get_marker()) == (1, "o", "_")
    low, high = axes.get_xlim()
    assert low < 2**20 < high
    assert "1 MiB" in [text.get_text() for text in axes.get_xticklabels()]


@pytest.mark.parametrize("name", ["latency", "busbw"])
def test_a_time_of_zero_without_bounds_is_left_out(network: Network, name: str) -> None:
    figure = plots.figure(name, [result(network, time=0.0, bounds=(), carried=np.zeros(len(network.capacity)))])
    figure.canvas.draw()
    assert all(np.isnan(line.get_ydata()).all() for line in panel(figure).lines)
    assert labels(figure) == ["a case"]


def test_ten_cases_have_ten_colours(network: Network) -> None:
    results = [one for i in range(10) for one in sweep(network, [1e-4 * (i + 1), 2e-3], case=f"case {i}")]
    lines = panel(plots.figure("latency", results)).lines[:10]
    assert len({line.get_color() for line in lines}) == 10


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60), st.floats(0.3, 10.0))
def test_a_shortened_text_fits(text: str, width: float) -> None:
    short = shorten(text, width)
    assert text_width(short) <= width
    assert short == text or text.startswith(short[:-1].rstrip())


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_a_legend_is_not_wider_than_the_page(lengths: list[int]) -> None:
    names = ["m" * length for length in lengths]
    columns = legend_columns(names, 16.0)
    rows = -(-len(names) // columns)
    assert columns == 1 or min(text_width(name) for name in names) * columns <= 16.0
    assert columns * rows >= len(names)
