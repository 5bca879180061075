from __future__ import annotations

import networkx as nx
import pytest

import topologies as t


def test_cable_down_takes_both_directions() -> None:
    whole = t.trn2()
    graph = t.degrade(whole, down=[(0, 1), ("chip 4", "chip 8")])
    assert set(whole.edges) - set(graph.edges) == {(0, 1), (1, 0), (4, 8), (8, 4)}
    assert nx.utils.graphs_equal(whole, t.trn2()), "the argument stays as it was"
    assert graph.graph["degraded"] == [
        {"from": "chip 0", "to": "chip 1", "factor": 0.0},
        {"from": "chip 1", "to": "chip 0", "factor": 0.0},
        {"from": "chip 4", "to": "chip 8", "factor": 0.0},
        {"from": "chip 8", "to": "chip 4", "factor": 0.0},
    ]
    assert t.check(graph) == []


def test_everything_else_stays() -> None:
    whole = t.trn3_gen2()
    graph = t.degrade(whole, slow=[((0, "rack switch 0"), 0.25)])
    changed = {(a, b) for a, b, link in graph.edges(data=True) if link != whole.edges[a, b]}
    switch = next(node for node, name in whole.nodes(data="name") if name == "rack switch 0")
    assert changed == {(0, switch), (switch, 0)}
    assert graph.edges[0, switch]["bandwidth"] == 80e9
    assert "slowed to 0.25" in graph.edges[0, switch]["source"]
    assert dict(graph.nodes(data=True)) == dict(whole.nodes(data=True))
    assert {k: v for k, v in graph.graph.items() if k != "degraded"} == whole.graph


def test_one_direction() -> None:
    graph = t.degrade(t.trn2(), down=[(0, 1)], slow=[((2, 3), 0.5)], cable=False)
    assert not graph.has_edge(0, 1)
    assert graph.has_edge(1, 0)
    assert (graph.edges[2, 3]["bandwidth"], graph.edges[3, 2]["bandwidth"]) == (64e9, 128e9)


def test_records_add_up() -> None:
    graph = t.degrade(t.degrade(t.trn2(), down=[(0, 1)]), down=[(2, 3)])
    assert [record["from"] for record in graph.graph["degraded"]] == ["chip 0", "chip 1", "chip 2", "chip 3"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"down": [("chip 0", "chop 1")]}, "no node is named 'chop 1'; did you mean 'chip 1'"),
        ({"down": [("chip 0", "xyz")]}, "no node is named 'xyz'; known: chip 0, .*, chip 14, chip 15$"),
        ({"down": [(0, 99)]}, r"no node 99; nodes are 0\.\.15"),
        ({"down": [(0, True)]}, "no node True"),
        (
            {"down": [(0, 5)]},
            "no link from 'chip 0' to 'chip 5'; links from 'chip 0' go to 'chip 12', 'chip 1', 'chip 3'",
        ),
        ({"down": [(0, 1), (1, 0)]}, "no link from 'chip 1' to 'chip 0'"),
        ({"down": ["01"]}, "a link is a pair of nodes, not '01'"),
        ({"down": [(0, 1, 2)]}, "a link is a pair of nodes"),
        (
            {"slow": [((0, 1), 0)]},
            "the factor of a slow link must lie between 0 and 1, not 0; use down for a lost link",
        ),
        ({"slow": [((0, 1), 1.5)]}, "must lie between 0 and 1, not 1.5"),
        ({"slow": [((0, 1), float("nan"))]}, "must lie between 0 and 1, not nan"),
    ],
)
def test_bad_input(parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        t.degrade(t.trn2(), **parameters)
