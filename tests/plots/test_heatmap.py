"""The heat map shows each link's utilisation where the link is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh

import plots
from fabric.network import Network
from plots.grid import grid_of, strokes
from plots.heatmap import chosen
from plots.strips import strips_of
from topologies import degrade, efa_cluster, full_mesh, ring, torus, trn2, trn2_ultraserver, trn3_gen1, trn3_gen2

from .synthetic import link, result, texts


def drawn(axes: Axes) -> PolyCollection:
    """The polygons that carry values."""
    (found,) = [child for child in axes.collections if isinstance(child, PolyCollection) and child.get_array() is not None]
    return found


def one_busy(network: Network, source: int, destination: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    used = np.zeros(len(network.capacity))
    used[link(network, source, destination)] = 0.75
    return used


@pytest.mark.parametrize(
    ("network", "polygons"),
    # A link is one polygon, and one more if it wraps around: 2 of 8 links per row or column of a 4-ring do.
    [(Network(trn2()), 64 + 2 * 4 * 2), (Network(trn2_ultraserver()), 384 + 4 * (2 * 4 * 2)), (Network(ring(8, 1e9)), 18)],
)
def test_a_torus_has_a_polygon_per_link_and_two_where_it_wraps(network: Network, polygons: int) -> None:
    used = np.random.default_rng(0).uniform(0, 1, network.links)
    figure = plots.figure("heatmap", [result(network, used)])
    values = np.asarray(drawn(figure.axes[0]).get_array())
    assert len(values) == polygons
    assert set(values.tolist()) == set(result(network, used).utilisation.tolist())


@pytest.mark.parametrize(
    ("destination", "where"),
    # Chip 0 is at the top left. Travelling right the right-hand lane is below, travelling down it is on the left.
    [(1, [(0.5, 0.085)]), (4, [(-0.085, 0.5)]), (3, [(-0.375, -0.085), (3.375, -0.085)])],
)
def test_a_link_is_to_the_right_of_its_direction(destination: int, where: list[tuple[float, float]]) -> None:
    network = Network(trn2())
    figure = plots.figure("heatmap", [result(network, one_busy(network, 0, destination))])
    collection = drawn(figure.axes[0])
    busy = [path for path, value in zip(collection.get_paths(), np.asarray(collection.get_array())) if value > 0.5]
    grid = grid_of(network)
    assert grid is not None
    middles = [path.get_extents().get_points().mean(axis=0) - grid.centres[0] for path in busy]
    np.testing.assert_allclose(sorted(map(tuple, middles)), where)


@pytest.mark.parametrize(("destination", "above"), [(16, True), (48, False)])
def test_links_along_z_are_triangles_inside_the_chip(destination: int, above: bool) -> None:
    network = Network(trn2_ultraserver())
    grid = grid_of(network)
    assert grid is not None
    (triangle,), _ = strokes(grid, np.array([0]), np.array([destination]))
    assert bool(triangle.mean(axis=0)[1] < grid.centres[0][1]) is above
    assert (np.abs(triangle - grid.centres[0]) < 0.21).all()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3).filter(lambda dims: max(dims) > 1))
@settings(max_examples=25, deadline=None)
def test_polygons_stay_on_the_sheet_and_apart(dims: list[int]) -> None:
    network = Network(torus(dims, 1e9))
    grid = grid_of(network)
    assert grid is not None
    polygons, links = strokes(grid, network.source, network.destination)
    assert set(links.tolist()) == set(range(network.links))
    points = np.concatenate(polygons)
    assert (points >= 0).all()
    assert (points <= np.array(grid.extent)).all()
    middles = np.array([(polygon.min(axis=0) + polygon.max(axis=0)) / 2 for polygon in polygons])
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=2) + np.eye(len(middles))
    assert apart.min() > 0.09


def test_trn3_has_rows_for_tiers_and_a_cell_per_chip() -> None:
    network = Network(trn3_gen2())
    used = np.random.default_rng(0).uniform(0, 1, network.links)
    rows = strips_of(network, used).rows
    assert [row.label for row in rows] == [
        "chip → rack switch", "rack switch → chip", "chip → sled switch", "sled switch → chip", "chip → chip (cross-rack)",
    ]  # fmt: skip
    assert [row.bandwidth for row in rows] == ["320", "320", "256", "256", "128"]
    # Switches follow the 144 chips: 36 of the sleds, then those of the racks.
    np.testing.assert_array_equal(rows[0].cells, [used[link(network, chip, 180 + chip // 72)] for chip in range(144)])
    np.testing.assert_array_equal(rows[3].cells, [used[link(network, 144 + chip // 4, chip)] for chip in range(144)])
    np.testing.assert_array_equal(rows[4].cells, [used[link(network, chip, (chip + 72) % 144)] for chip in range(144)])
    assert rows[4].mean == pytest.approx(rows[4].cells.mean())


def test_rows_are_drawn_with_their_numbers() -> None:
    network = Network(trn3_gen1())
    tray = np.array([network.tiers[tier] == "tray" for tier in network.tier])
    figure = plots.figure("heatmap", [result(network, np.where(tray, 0.25, 0.0))])
    axes = figure.axes[0]
    meshes = [child for child in axes.collections if isinstance(child, QuadMesh)]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["chip → rack switch", "rack switch → chip", "chip → chip (cross-rack)", "chip → chip (tray)"]
    assert [float(np.asarray(mesh.get_array()).max()) for mesh in meshes] == pytest.approx([0.0, 0.0, 0.0, 0.25])
    said = [text for text, _, _ in texts(figure)]
    assert said.count("0.25") == 3  # mean and max of the tray links, and a tick of the colour bar
    assert {"rack 0: chips 0 to 31", "rack 1: chips 32 to 63", "GB/s", "mean", "max"} <= set(said)


def test_a_cluster_has_a_cell_per_machine_and_rows_of_switches() -> None:
    network = Network(efa_cluster("trn2", 4))
    strips = strips_of(network, one_busy(network, 16, 17))
    assert (strips.column, strips.columns) == ("machine", 4)
    rows = {row.label: row.cells.tolist() for row in strips.rows}
    assert rows["chip → chip (neuronlink-x)"] == [0.0, 0.75, 0.0, 0.0]
    assert rows["chip → NIC"] == [0.0] * 4
    assert len(rows["ToR → leaf, by ToR"]) == network.graph.graph["layers"]["tors"]
    assert [row.common for row in strips.rows] == sorted(row.common for row in strips.rows)


def test_a_lost_link_has_a_cross_and_an_empty_cell() -> None:
    grid = plots.figure("heatmap", [result(Network(degrade(trn2(), down=[(5, 6)])))])
    assert sum(line.get_marker() == "x" for line in grid.axes[0].lines) == 2
    network = Network(degrade(trn3_gen2(), down=[(5, 77)]))
    cells = strips_of(network, np.full(network.links, 0.5)).rows[-1].cells
    assert np.flatnonzero(np.isnan(cells)).tolist() == [5, 77]


def test_other_fabrics_are_a_matrix() -> None:
    network = Network(full_mesh(6, 1e9))
    (image,) = plots.figure("heatmap", [result(network, one_busy(network, 2, 5))]).axes[0].images
    cells = np.ma.filled(image.get_array(), np.nan)
    assert cells[2, 5] == 0.75
    assert np.nansum(cells) == 0.75
    assert np.isnan(np.diag(cells)).all()


def test_an_idle_fabric_is_pale_and_a_full_one_dark() -> None:
    network = Network(trn2())
    colours = []
    for used in (0.0, 1.0):
        collection = drawn(plots.figure("heatmap", [result(network, used)]).axes[0])
        assert collection.get_clim() == (0.0, 1.0)
        colours.append(np.asarray(collection.to_rgba(np.array([used]))).sum())
    assert colours[0] > colours[1] + 1


def test_there_is_a_panel_per_case_and_one_colour_bar() -> None:
    network = Network(trn2())
    figure = plots.figure("heatmap", [result(network, case=f"case {i}") for i in range(5)])
    assert len(figure.axes) == 6
    bar = figure.axes[-1]
    assert bar.get_xlim() == (0.0, 1.0)
    assert bar.get_xlabel().startswith("link utilisation")


def test_a_case_is_shown_at_its_largest_size_by_its_fastest_algorithm() -> None:
    network = Network(trn2())
    small = result(network, size=1e3, time=1e-6)
    slow, fast = result(network, algorithm="mesh", time=2e-3), result(network, algorithm="ring", time=1e-3)
    assert chosen([small, slow, fast]) == [fast]
    phases = [result(network, phase=phase, size=size) for phase, size in (("dispatch", 9e6), ("total", 8e6), ("combine", 1e6))]
    assert chosen(phases) == [phases[1]]
