from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import topologies as t
from topologies.formats import READERS, WRITERS, FileFaults, finite_json, read, write_dot, write_graphml, write_node_link

from .samples import SAMPLES

ENDINGS = {"node-link": "json", "graphml": "graphml"}
formats = pytest.mark.parametrize("name", READERS)

text = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=5
)
words = st.sampled_from(["name", "coord", "bandwidth", "tier", "source", "resources", "label", "note"])
attributes = st.dictionaries(words, values, max_size=4)


@st.composite
def graphs(draw: st.DrawFn) -> t.Graph:
    count = draw(st.integers(1, 4))
    graph = t.Graph(**draw(attributes))
    for node in range(count):
        graph.add_node(node)
        graph.nodes[node].update(draw(attributes))
    for a, b in draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=5)):
        graph.add_edge(a, b)
        graph.edges[a, b].update(draw(attributes))
    return graph


def exact(graph: t.Graph) -> str:
    """All of a graph as text, in which 1, 1.0 and True differ."""
    return repr((graph.graph, sorted(graph.nodes(data=True)), sorted(graph.edges(data=True), key=lambda e: e[:2])))


def in_order(value: Any) -> Any:
    """The graph with attributes sorted by name, which a file need not keep in order."""
    graph = t.Graph(**dict(sorted(value.graph.items())))
    graph.add_nodes_from((node, dict(sorted(a.items()))) for node, a in value.nodes(data=True))
    graph.add_edges_from((a, b, dict(sorted(link.items()))) for a, b, link in value.edges(data=True))
    return graph


@formats
@given(graph=graphs())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_graph_reads_back(tmp_path: Path, name: str, graph: t.Graph) -> None:
    before = exact(in_order(graph))
    path = tmp_path / "graph"
    WRITERS[name](graph, path)
    assert exact(in_order(READERS[name](path))) == before
    assert exact(in_order(graph)) == before, "writing leaves the graph as it was"


@formats
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_builder_reads_back(tmp_path: Path, name: str, sample: str) -> None:
    graph = SAMPLES[sample]()
    path = tmp_path / f"graph.{ENDINGS[name]}"
    WRITERS[name](graph, path)
    again = read(path)
    assert exact(in_order(again)) == exact(in_order(graph))
    assert list(again) == list(graph)
    assert t.check(again) == []


def test_networkx_reads_node_link(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    write_node_link(t.trn2(), path)
    graph = nx.node_link_graph(json.loads(path.read_text()), edges="edges")
    assert nx.utils.edges_equal(graph.edges, t.trn2().edges)
    assert graph.edges[0, 1]["document"] == t.trn2().edges[0, 1]["source"]


def test_networkx_reads_graphml(tmp_path: Path) -> None:
    path = tmp_path / "graph.graphml"
    write_graphml(t.trn2(), path)
    graph = nx.read_graphml(path, node_type=int)
    assert graph.edges[0, 1]["bandwidth"] == 128e9
    assert graph.nodes[6]["coord"] == "json:[2, 1]"


def test_foreign_graphml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "foreign.graphml"
    path.write_text(
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        '<key id="k" for="node" attr.name="kind" attr.type="string"/>'
        '<key id="b" for="edge" attr.name="bandwidth" attr.type="long"/>'
        '<graph edgedefault="directed"><node id="0"><data key="k">chip</data></node>'
        '<node id="1"><data key="k">chip</data></node>'
        '<edge source="0" target="1"><data key="b">5</data></edge></graph></graphml>'
    )
    graph = read(path)
    assert t.check(graph) == []
    assert graph.edges[0, 1] == {"bandwidth": 5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"nodes": [],\n "edges": [}', "{path}:2:12: Expecting value"),
        ('{"nodes": [],\n "x": "NaN",\n "edges": [NaN]}', "{path}:3:12: numbers must be finite"),
        ('{"a": "\\"Infinity", "edges": -Infinity}', "{path}:1:30: numbers must be finite"),
        ('{"edges": [1.5, 1e999]}', "{path}:1:17: numbers must be finite"),
        ("[]", "{path}: node-link JSON is an object with the lists 'nodes' and 'edges'"),
        ('{"nodes": [], "links": []}', "{path}: node-link JSON is an object with the lists 'nodes' and 'edges'"),
        ('{"nodes": [], "edges": []}', "{path}: the graph must have 'directed': true and 'multigraph': false"),
        (
            '{"directed": true, "multigraph": true, "nodes": [], "edges": []}',
            "{path}: the graph must have 'directed': true and 'multigraph': false",
        ),
        ('{"directed": true, "graph": 1, "nodes": [], "edges": []}', "{path}: 'graph' must be an object, not 1"),
        ('{"directed": true, "nodes": [1], "edges": []}', "{path}: nodes[0] must be an object with 'id'"),
        (
            '{"directed": true, "nodes": [{"id": [0]}], "edges": []}',
            "{path}: nodes[0]: id must be the number of a node, not [0]",
        ),
        ('{"directed": true, "nodes": [{"id": 0}, {"id": 0}], "edges": []}', "{path}: nodes[1]: node 0 is there twice"),
        (
            '{"directed": true, "nodes": [{"id": 0}], "edges": [{"source": 0}]}',
            "{path}: edges[0] must be an object with 'target'",
        ),
        (
            '{"directed": true, "nodes": [{"id": 0}], "edges": [{"source": 0, "target": 1}]}',
            "{path}: edges[0]: there is no node 1",
        ),
        (
            '{"directed": true, "nodes": [{"id": 0}, {"id": 1}], '
            '"edges": [{"source": 0, "target": 1}, {"source": 0, "target": 1}]}',
            "{path}: edges[1]: the link 0 -> 1 is there twice",
        ),
        (b"\xff\xfe", "{path}: not UTF-8 text"),
    ],
)
def test_faulty_node_link(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "graph.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read(path)
    assert str(error.value).startswith(message.format(path=path))


def test_all_faulty_nodes_and_edges_are_told(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    nodes = '[{"id": 0}, {"id": 1.5}, {"name": "x"}, {"id": 0}, {"id": true}, {"id": 1}]'
    edges = '[{"source": 0, "target": null}, {"source": 0, "target": 7}, {"source": 0, "target": 7}, 3]'
    path.write_text(f'{{"directed": true, "nodes": {nodes}, "edges": {edges}}}')
    with pytest.raises(FileFaults) as error:
        read(path)
    assert error.value.faults == [
        f"{path}: nodes[1]: id must be the number of a node, not 1.5",
        f"{path}: nodes[2] must be an object with 'id'",
        f"{path}: nodes[3]: node 0 is there twice",
        f"{path}: nodes[4]: id must be the number of a node, not True",
        f"{path}: edges[0]: target must be the number of a node, not None",
        f"{path}: edges[2]: the link 0 -> 7 is there twice",  # node 7 may be one of those that are faulty
        f"{path}: edges[3] must be an object with 'source'",
    ]


GRAPHML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="w" for="node" attr.name="w" attr.type="{type}"/>'
    '<graph edgedefault="{direction}"><node id="{id}"><data key="w">{value}</data></node></graph></graphml>'
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<graphml>\n<graph", "{path}:2:1: not well-formed XML"),
        ("<html/>", "{path}: not a GraphML graph"),
        (
            GRAPHML.format(type="double", direction="directed", id="n0", value=1),
            "{path}: a node id is a whole number, not 'n0'",
        ),
        (GRAPHML.format(type="double", direction="undirected", id="0", value=1), "{path}: the graph must be directed"),
        (
            GRAPHML.format(type="double", direction="directed", id="0", value="inf"),
            "{path}: attribute 'w' must be finite",
        ),
        (
            GRAPHML.format(type="string", direction="directed", id="0", value="json:["),
            "{path}: attribute 'w' is not JSON",
        ),
        (
            GRAPHML.format(type="string", direction="directed", id="0", value="json:NaN"),
            "{path}: attribute 'w' is not JSON",
        ),
    ],
)
def test_faulty_graphml(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "graph.graphml"
    path.write_text(content)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read(path)
    assert str(error.value).startswith(message.format(path=path))


def test_all_faulty_ids_and_attributes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "graph.graphml"
    head = GRAPHML.partition("<node")[0].format(type="double", direction="directed")
    path.write_text(head + '<node id="n0"/><node id="1"/><node id="01"/><node id="n1"/></graph></graphml>')
    with pytest.raises(FileFaults) as error:
        read(path)
    assert [line.rpartition(" ")[2] for line in error.value.faults] == ["'n0'", "'01'", "'n1'"]
    rows = "".join(f'<node id="{node}"><data key="w">{value}</data></node>' for node, value in enumerate(("inf", 1, "nan")))
    path.write_text(head + rows + "</graph></graphml>")
    with pytest.raises(FileFaults) as error:
        read(path)
    assert [line.partition(": ")[2] for line in error.value.faults] == [
        "attribute 'w' must be finite, not inf", "attribute 'w' must be finite, not nan",
    ]  # fmt: skip


@formats
@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("inf")], {1, 2}, object()])
def test_what_does_not_fit_is_not_written(tmp_path: Path, name: str, value: object) -> None:
    graph = t.ring(3, 1e9)
    graph.edges[0, 1]["latency"] = value
    path = tmp_path / "graph"
    with pytest.raises(ValueError, match="does not fit"):
        WRITERS[name](graph, path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["target", "document"])
def test_reserved_names(tmp_path: Path, name: str) -> None:
    graph = t.ring(3, 1e9)
    graph.edges[0, 1][name] = 1
    with pytest.raises(ValueError, match=f"must not be called '{name}'"):
        write_node_link(graph, tmp_path / "graph.json")


def test_ending_decides(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown ending of .*: '\.jsn'; did you mean '\.json'"):
        read(tmp_path / "graph.jsn")


def test_dot(tmp_path: Path) -> None:
    path = tmp_path / "graph.dot"
    graph = t.switch(2, 1.5e9)
    graph.nodes[0]["name"] = 'a "b"'
    write_dot(graph, path)
    assert path.read_text() == (
        'digraph "switch" {\n'
        '  0 [label="a \\"b\\"", shape=ellipse];\n'
        '  1 [label="chip 1", shape=ellipse];\n'
        '  2 [label="switch", shape=box];\n'
        '  0 -> 2 [label="link 1.5 GB/s"];\n'
        '  1 -> 2 [label="link 1.5 GB/s"];\n'
        '  2 -> 0 [label="link 1.5 GB/s"];\n'
        '  2 -> 1 [label="link 1.5 GB/s"];\n'
        "}\n"
    )


@given(values)
def test_finite_json_reads_what_json_writes(value: Any) -> None:
    assert finite_json.loads(json.dumps(value)) == value
