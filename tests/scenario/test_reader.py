"""What a scenario file says, with every default filled in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import topologies
from fabric.errors import InputError
from fabric.routing import RULES
from fabric.scenario import read_scenario, schema
from fabric.scenario.model import ROUTINGS

from .samples import CASE, faults, read, with_case

KIB, MIB, GIB = 1024.0, 1024.0**2, 1024.0**3


def test_defaults_are_filled_in() -> None:
    scenario = read(CASE)
    case = scenario.cases[0]
    assert (case.name, case.collective, case.algorithm.name, case.groups, case.type) == (
        "one", "all_reduce", "auto", "all", "uint8",
    )  # fmt: skip
    assert case.sizes == [KIB]
    assert (scenario.seed, scenario.report.links, scenario.verify, scenario.efficiency) == (0, 5, False, 1.0)
    assert scenario.plots == ["latency", "busbw", "heatmap", "fabric"]
    assert (scenario.routing.rule, scenario.routing.ties) == ("default", "split")
    assert case.topology.parameters == {"n": 4, "bandwidth": "1 GB/s", "latency": "0 s"}


def test_the_graph_is_built() -> None:
    graph = read(CASE).graph(0)
    assert graph.number_of_nodes() == 4
    assert graph.edges[0, 1]["bandwidth"] == 1e9


def test_equal_topologies_share_a_graph() -> None:
    scenario = read(CASE + "  - {name: two, topology: {builder: ring, n: 4, bandwidth: 1 GB/s}, collective: allr, sizes: 1 B}")
    assert scenario.graph(0) is scenario.graph(1)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("64 KiB..1 GiB x4", [64 * KIB * 4**i for i in range(8)]),
        ("1 KiB..10 KiB x2", [KIB, 2 * KIB, 4 * KIB, 8 * KIB]),
        ("1 KiB..1 KiB x2", [KIB]),
        ("[1 B, 3 MB]", [1.0, 3e6]),
        ("2 kB", [2000.0]),
    ],
)
def test_sizes(text: str, sizes: list[float]) -> None:
    assert read(with_case(sizes=text)).cases[0].sizes == sizes


@given(st.integers(1, 2**20), st.integers(0, 6), st.integers(2, 16), st.integers(0, 1000))
def test_a_range_ends_with_the_last_size_that_fits(first: int, count: int, factor: int, rest: int) -> None:
    last = first * factor**count
    beyond = min(last + rest, last * factor - 1)  # short of the next one
    expected = [float(first * factor**i) for i in range(count + 1)]
    assert read(with_case(sizes=f"{first} B..{beyond} B x{factor}")).cases[0].sizes == expected


def test_aliases_become_the_names_of_the_collectives() -> None:
    aliases = {"allr": "all_reduce", "allg": "all_gather", "redsct": "reduce_scatter", "alltoall": "all_to_all"}
    for alias, name in aliases.items():
        assert read(with_case(collective=alias)).cases[0].collective == name


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("all", "all"),
        ("3", 3),
        ("{of: 2}", {"of": 2}),
        ("[[0, 1], [2, 3]]", [[0, 1], [2, 3]]),
        ("[[3, 0, 1]]", [[3, 0, 1]]),
    ],
)
def test_groups(groups: str, expected: object) -> None:
    assert read(with_case(f"groups: {groups}")).cases[0].groups == expected


def test_overheads() -> None:
    scenario = read(CASE + "overheads: {alpha_link: 1.3 us, start: 0}")
    assert scenario.overheads.alpha_link == 1.3e-6
    assert scenario.overheads.alpha_efa is None  # the fabric's own
    assert (scenario.overheads.start, scenario.overheads.per_destination) == (0.0, 0.0)
    none = read(CASE + "overheads: none").overheads
    assert (none.alpha_link, none.alpha_efa, none.start, none.per_destination, none.link_latency) == (0, 0, 0, 0, "none")
    assert read(CASE + "overheads: default").overheads == read(CASE).overheads


def test_a_case_has_its_own_settings_or_those_of_the_scenario() -> None:
    scenario = read(with_case("routing: shortest", "efficiency: default") + "overheads: none\nefficiency: 0.5")
    settings = scenario.settings(scenario.cases[0])
    assert (settings.routing.rule, settings.efficiency) == ("shortest", "default")
    assert settings.overheads.link_latency == "none"


def test_routing_rules_are_those_of_the_router() -> None:
    assert set(ROUTINGS) == {"default", *RULES}


def test_an_algorithm_has_options() -> None:
    case = read(with_case("algorithm: {name: ring, directions: 1}")).cases[0]
    assert (case.algorithm.name, case.algorithm.parameters) == ("ring", {"directions": 1})
    assert read(with_case("algorithm: ring")).cases[0].algorithm.parameters == {"directions": 2}


def test_a_cluster_of_machines() -> None:
    cluster = "{builder: efa_cluster, machine: torus, machine_parameters: {dims: [2, 2], bandwidth: 8 Gb/s}, count: 2}"
    graph = read(with_case(topology=cluster)).graph(0)
    assert [node for node, data in graph.nodes(data=True) if data["kind"] == "chip"] == list(range(8))
    assert graph.edges[0, 1]["bandwidth"] == 1e9


def test_quantities_of_a_builder_may_be_lists() -> None:
    graph = read(with_case(topology="{builder: torus, dims: [4, 4], bandwidth: [2 GB/s, 1 GB/s], latency: 1 us}")).graph(0)
    assert (graph.edges[0, 1]["bandwidth"], graph.edges[0, 4]["bandwidth"], graph.edges[0, 4]["latency"]) == (2e9, 1e9, 1e-6)


def test_degrade() -> None:
    losses = "[{cable: [0, 1], down: true}, {link: [chip 1, chip 2], factor: 0.5}]"
    graph = read(with_case(topology=f"{{builder: ring, n: 4, bandwidth: 1 GB/s, degrade: {losses}}}")).graph(0)
    assert not graph.has_edge(0, 1)
    assert not graph.has_edge(1, 0)
    assert (graph.edges[1, 2]["bandwidth"], graph.edges[2, 1]["bandwidth"]) == (0.5e9, 1e9)


def test_a_topology_from_a_file(tmp_path: Path) -> None:
    from topologies.formats import write_node_link

    write_node_link(topologies.ring(4, 1e9), tmp_path / "my.json")
    scenario = read(with_case(topology="{file: my.json, degrade: [{cable: [0, 1], down: true}]}"), folder=tmp_path)
    assert scenario.graph(0).number_of_edges() == 6
    assert scenario.cases[0].topology.file == str(tmp_path / "my.json")


def test_relative_files_are_in_the_folder_of_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "demand.csv").write_text("0,1,0,0\n0,0,2,0\n0,0,0,3\n4,0,0,0\n")
    matrix = with_case("matrix: {file: demand.csv, unit: 1 KiB}", collective="alltoallv", sizes="")
    (tmp_path / "v.yaml").write_text(matrix)
    expected = [[0, KIB, 0, 0], [0, 0, 2 * KIB, 0], [0, 0, 0, 3 * KIB], [4 * KIB, 0, 0, 0]]
    assert read_scenario(tmp_path / "v.yaml").cases[0].matrix == expected


def test_moe() -> None:
    moe = "{tokens: 128, hidden: 7168, top_k: 8, experts: 16, dispatch_bytes: 1, combine_bytes: 2, skew: 0.6}"
    case = read(with_case(f"moe: {moe}", collective="moe", sizes="")).cases[0]
    assert case.moe is not None
    assert (case.moe.tokens, case.moe.skew, case.moe.deduplicate, case.moe.sample) == ([128], 0.6, "none", False)


def test_yaml_is_version_1_2() -> None:
    scenario = read(CASE.replace("name: sample", "name: no") + "seed: 0o17\ndescription: 2026-01-01")
    assert (scenario.name, scenario.seed, scenario.description) == ("no", 15, "2026-01-01")


def test_merge_keys() -> None:
    scenario = read(CASE.replace("- name: one", "- &one\n    name: one") + "  - <<: *one\n    name: two\n    sizes: 2 KiB\n")
    assert [(case.name, case.collective, case.sizes) for case in scenario.cases] == [
        ("one", "all_reduce", [KIB]),
        ("two", "all_reduce", [2 * KIB]),
    ]


def test_where() -> None:
    scenario = read(with_case("groups: [[0, 1], [2, 3]]"))
    assert scenario.where("cases", 0, "groups", 1, 1) == "s.yaml:7:26"
    assert scenario.where("cases", 0, "groups", key=True) == "s.yaml:7:5"
    assert scenario.where("cases", 0, "algorithm") == "s.yaml:3:5"  # not given: the case


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "trn2.yaml").write_text(CASE)
    with pytest.raises(InputError, match=r"tnr2.yaml: there is no such file \(did you mean trn2.yaml\?\)$"):
        read_scenario(tmp_path / "tnr2.yaml")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory$"):
        read_scenario(tmp_path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbf" + CASE.encode())
    assert read_scenario(tmp_path / "bom.yaml").name == "sample"


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: a\ndescription: caf\xe9\n")
    with pytest.raises(InputError, match=r"^l.yaml:2:17: not UTF-8: byte 0xe9$"):
        read_scenario(tmp_path / "latin.yaml", name="l.yaml")


def test_schema_names_every_key_of_the_example() -> None:
    keys = schema()
    assert set(read(CASE).model_dump()) == set(keys["properties"])
    assert keys["required"] == ["name", "cases"]
    assert keys["additionalProperties"] is False
    case = keys["$defs"]["Case"]
    assert set(case["required"]) == {"name", "topology", "collective"}
    assert "trn3_gen2" in str(keys["$defs"]["Topology"]["properties"]["builder"])
    assert "none" in keys["properties"]["overheads"]["anyOf"][0]["enum"]


def test_five_faults_are_five_lines() -> None:
    text = """\
        name: five
        cases:
          - name: one
            topology: {builder: trn2_ultrasever}
            collective: all_reduce
            sizes: 64
          - name: two
            topology: {builder: trn3_gen2, preset: lanes16}
            collective: all_gathr
            sizes: 1 MiB
        seed: -1
        """
    assert [line.split(" ")[0] for line in faults(text)] == [
        "s.yaml:4:25:", "s.yaml:6:12:", "s.yaml:8:44:", "s.yaml:9:17:", "s.yaml:11:7:",
    ]  # fmt: skip
