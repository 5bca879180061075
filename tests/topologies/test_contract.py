"""What holds for the graphs of every builder."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import networkx as nx
import pytest

import topologies
from topologies.parts import CONFIDENCES

from .samples import SAMPLES

every = pytest.mark.parametrize("name", SAMPLES)


def test_samples_cover_every_builder() -> None:
    built = {build().graph["provenance"]["builder"] for build in SAMPLES.values()}
    assert built == set(topologies.BUILDERS)


def test_builders_are_exported_and_frozen() -> None:
    assert set(topologies.BUILDERS) <= set(topologies.__all__)
    assert all(hasattr(topologies, name) for name in topologies.__all__)
    with pytest.raises(TypeError):
        topologies.BUILDERS["mine"] = topologies.ring  # type: ignore[index]


@every
def test_contract_is_kept(name: str) -> None:
    assert topologies.check(SAMPLES[name]()) == []


@every
def test_links_have_sources(name: str) -> None:
    for _, _, link in SAMPLES[name]().edges(data=True):
        assert set(link) == {"bandwidth", "latency", "tier", "source", "confidence"}
        assert isinstance(link["bandwidth"], float)
        assert link["tier"]
        assert len(link["source"]) > 10, f"tier {link['tier']} has no source"
        assert link["confidence"] in CONFIDENCES


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("trn")])
def test_sources_of_machines_name_a_document(name: str) -> None:
    documents = ("AWS Neuron docs, ", "SemiAnalysis 2025-12-04", "AWS announcement of 2025-12")
    assert all(link["source"].startswith(documents) for _, _, link in SAMPLES[name]().edges(data=True))


@every
def test_links_are_alike_both_ways(name: str) -> None:
    graph = SAMPLES[name]()
    assert all(graph.edges[b, a] == link for a, b, link in graph.edges(data=True))


@every
def test_names_are_unique_and_graph_is_connected(name: str) -> None:
    graph = SAMPLES[name]()
    names = [attributes["name"] for _, attributes in graph.nodes(data=True)]
    assert len(set(names)) == len(graph)
    assert nx.is_strongly_connected(graph)


@every
def test_provenance_rebuilds_the_graph(name: str) -> None:
    graph = SAMPLES[name]()
    provenance = json.loads(json.dumps(graph.graph["provenance"], allow_nan=False))
    again = topologies.BUILDERS[provenance["builder"]](**provenance["parameters"])
    assert nx.utils.graphs_equal(graph, again)


def test_only_published_machines_have_overheads() -> None:
    expected = {"trn1": 20e-6, "trn1n": 20e-6, "trn2": 15e-6, "trn2_ultraserver": 15e-6}
    expected |= {"trn3_gen1": 13e-6, "trn3_gen2": 13e-6}
    for name, alpha in expected.items():
        assert topologies.BUILDERS[name]().graph["overheads"]["alpha_efa"] == alpha
        assert topologies.efa_cluster(name, 1).graph["overheads"]["alpha_efa"] == alpha
    assert "overheads" not in topologies.ring(4, 1e9).graph
    assert "overheads" not in topologies.efa_cluster(topologies.ring(4, 1e9), 2).graph


def test_annotations_resolve() -> None:
    for builder in topologies.BUILDERS.values():
        assert inspect.signature(builder, eval_str=True).return_annotation is nx.DiGraph


def test_package_stands_alone() -> None:
    code = (
        "import sys, topologies, topologies.formats; topologies.trn3_gen2(); "
        "print({name.split('.')[0] for name in sys.modules} & {'fabric', 'plots', 'numpy', 'scipy', 'matplotlib'})"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
