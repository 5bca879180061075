"""The drawing of a fabric: each distinct one once, with the bandwidth of every tier."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

import plots
from fabric.network import Network
from plots.fabric import fabrics
from plots.layers import layers_of
from plots.loose import places as loose_places
from plots.racks import places, racks_of
from topologies import Graph, degrade, efa_cluster, full_mesh, hypercube, switch, trn2, trn2_ultraserver, trn3_gen1, trn3_gen2

from .synthetic import result, texts


def drawing(graph: Graph) -> Axes:
    return plots.figure("fabric", [result(Network(graph))]).axes[0]


def legend(axes: Axes) -> set[str]:
    found = axes.get_legend()
    assert found is not None
    return {text.get_text() for text in found.get_texts()}


def lines(axes: Axes) -> int:
    return sum(len(child.get_segments()) for child in axes.collections if isinstance(child, LineCollection))


@pytest.mark.parametrize(
    ("graph", "tiers"),
    [
        (trn2(), {"neuronlink-x: 32 × 128 GB/s", "neuronlink-y: 32 × 128 GB/s"}),
        (trn3_gen2(), {"sled: 288 × 256 GB/s", "rack: 288 × 320 GB/s", "cross-rack: 144 × 128 GB/s"}),
        (trn3_gen1(preset="lanes160"), {"tray: 64 × 512 GB/s", "rack: 128 × 512 GB/s", "cross-rack: 64 × 128 GB/s"}),
        (degrade(trn2(), slow=[((0, 1), 0.5)]), {"neuronlink-x: 32 × 64 to 128 GB/s", "neuronlink-y: 32 × 128 GB/s"}),
    ],
)
def test_the_legend_names_every_tier_with_its_bandwidth(graph: Graph, tiers: set[str]) -> None:
    assert legend(drawing(graph)) == tiers


def test_a_cluster_names_the_tiers_inside_its_machines_too() -> None:
    names = {label.split(":")[0] for label in legend(drawing(efa_cluster("trn3_gen2", 2)))}
    assert {"sled", "rack", "cross-rack", "nic", "efa", "leaf"} <= names


@pytest.mark.parametrize(
    ("graph", "count"),
    # Both directions are one line: 16 chips x 4 / 2; in planes z is not drawn link by link; 144 x (sled + rack) + 72.
    [(trn2(), 32), (trn2_ultraserver(), 128), (trn3_gen2(), 360), (full_mesh(6, 1e9), 15), (switch(9, 1e9), 9)],
)
def test_every_link_is_drawn_once(graph: Graph, count: int) -> None:
    assert lines(drawing(graph)) == count


def test_a_lost_cable_is_a_cross_and_a_slow_one_thin() -> None:
    axes = drawing(degrade(trn2(), down=[(0, 1)], slow=[((5, 6), 0.5)]))
    assert lines(axes) == 31
    assert sum(line.get_marker() == "x" for line in axes.lines) == 2
    widths = np.concatenate([child.get_linewidths() for child in axes.collections if isinstance(child, LineCollection)])
    assert sorted(widths)[:2] == pytest.approx([0.5 * max(widths), max(widths)])


def test_each_distinct_fabric_is_drawn_once() -> None:
    same, again, other = Network(trn2()), Network(trn2()), Network(degrade(trn2(), slow=[((0, 1), 0.5)]))
    results = [result(same, case="a"), result(again, case="b"), result(other, case="c"), result(same, case="d")]
    assert [[one.case for one in group] for group in fabrics(results)] == [["a", "b", "d"], ["c"]]
    titles = [axes.get_title(loc="left") for axes in plots.figure("fabric", results).axes]
    assert titles[:2] == ["a; b; d", "c"]


def test_racks_are_mirrored_with_equal_positions_above_each_other() -> None:
    network = Network(trn3_gen2())
    racks = racks_of(network)
    assert racks is not None
    place = places(network, racks)
    np.testing.assert_allclose(place[:72, 0], place[72:144, 0])
    np.testing.assert_allclose(place[:72, 1], -place[72:144, 1])
    assert len(np.unique(place.round(6), axis=0)) == network.nodes
    said = [text for text, _, _ in texts(plots.figure("fabric", [result(network)]))]
    assert {"rack switch 0", "rack switch 1", "sled 0", "17"} <= set(said)


def test_a_large_cluster_is_drawn_in_boxes_that_stand_for_several() -> None:
    layers = layers_of(Network(efa_cluster("trn2", 64, leaf_ports=16, tor_ports=64)))
    assert layers[0].name == "64 machines\nof 16 chips\n2 per box"
    assert all(layer.boxes <= 32 for layer in layers)
    for layer in layers:
        assert set(layer.box.tolist()) == set(range(layer.boxes))


@pytest.mark.parametrize("dimensions", range(4, 8))
def test_chips_of_a_hypercube_do_not_meet(dimensions: int) -> None:
    place = loose_places(Network(hypercube(dimensions, 1e9)))
    apart = np.linalg.norm(place[:, None] - place[None], axis=2) + np.eye(len(place))
    assert apart.min() > 0.003
    assert (place >= 0).all()
    assert (place <= 1).all()
