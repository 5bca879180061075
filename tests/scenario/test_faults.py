"""Bad input: one line for each fault, at its place, with what was expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import topologies
from fabric.collectives import ALGORITHMS

from .samples import CASE, faults, with_case

RING = "{builder: ring, n: 4, bandwidth: 1 GB/s%s}"
MOE = "{tokens: 8, hidden: 64, top_k: 2, experts: 4, dispatch_bytes: 1, combine_bytes: 2}"


def _moe(old: str, new: str) -> str:
    return with_case(f"moe: {MOE.replace(old, new)}", collective="moe", sizes="")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # The text as a whole.
        ("", "1:1: expected a mapping with name and cases, not an empty file"),
        ("- a\n- b\n", "1:1: expected a mapping with name and cases, not a list"),
        ("just words", "1:1: expected a mapping with name and cases, not 'just words'"),
        ("name: a\n\tcases: []\n", "2:1: a tab: YAML is indented with spaces"),
        ("name: [a\n", "2:1: no valid YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow sequence)"),
        ("name: a\n---\nname: b\n",
         "2:1: no valid YAML: but found another document (expected a single document in the stream)"),
        ("name: \x01", "1:7: a character that YAML does not allow, 0x01"),
        (CASE + "seed: 1\nseed: 2\n", "8:1: 'seed' is given twice, first in line 7"),
        (CASE + "1: 2\n", "7:1: a key is text"),
        (CASE + "seed:\n", "7:1: seed: has no value"),
        # Keys.
        (CASE + "sede: 1\n", "7:1: unknown key 'sede' (did you mean seed?); known: bound, cases, description, efficiency, "
         "name, overheads, plots, report, routing, seed, verify"),
        (with_case(collective=""), "3:5: missing key 'collective'"),
        (with_case(sizes=""), "3:5: missing key 'sizes', which collective all_reduce takes"),
        (CASE + "overheads: {alpha: 1 us}\n", "7:13: overheads: unknown key 'alpha' (did you mean alpha_efa?); known: "
         "alpha_efa, alpha_link, link_latency, per_destination, start"),
        # Kinds of values.
        (CASE + "seed: true\n", "7:7: seed: expected a whole number, not true"),
        (CASE + "seed: -1\n", "7:7: seed: expected at least 0, not -1"),
        (CASE + "seed: 1.5\n", "7:7: seed: expected a whole number, not 1.5"),
        (CASE + "verify: yes\n", "7:9: verify: expected true or false, not 'yes'"),
        (CASE + "report: {links: .nan}\n", "7:17: report.links: .nan is not a finite number"),
        (CASE + "report: 5\n", "7:9: report: expected a mapping, not 5"),
        (CASE + "plots: latency\n", "7:8: plots: expected a list, not 'latency'"),
        (CASE + "plots: [busbw, busbw]\n", "7:16: plots[1]: 'busbw' is already in the list"),
        (CASE + "plots: [bus]\n", "7:9: plots[0]: unknown plot 'bus' (did you mean busbw?); known: latency, busbw, "
         "heatmap, fabric"),
        (CASE + "efficiency: 0\n", "7:13: efficiency: expected a number above 0 and at most 1, or default, not 0"),
        (CASE + "efficiency: 1.5\n", "7:13: efficiency: expected a number above 0 and at most 1, or default, not 1.5"),
        (CASE + 'description: "a\\nb"\n', "7:14: description: expected text in one line, not 'a\\nb'"),
        (CASE.replace("sample", "3"), "1:7: name: expected text, not 3"),
        ("name: a\ncases: []\n", "2:8: cases: expected at least 1 in the list, not an empty one"),
        ("name: a\ncases: {}\n", "2:8: cases: expected a list, not a mapping"),
        ("name: a\ncases: [3]\n", "2:9: expected a mapping, not 3"),
        # Quantities.
        (with_case(sizes="64"), "6:12: sizes: 64 has no unit: expected a size such as '64 MiB'"),
        (with_case(sizes="64 Mib"), "6:12: sizes: unknown unit 'Mib' of a size (did you mean MiB?); expected one such as "
         "'64 MiB'"),
        (with_case(sizes="[1 KiB, 0]"), "6:20: sizes[1]: a size is above zero, not 0"),
        (with_case(sizes="[1 KiB, -1 KiB]"), "6:20: sizes[1]: a size is above zero, not '-1 KiB'"),
        (with_case(sizes="1 KiB..1 MiB"), "6:12: sizes: expected a range such as '64 KiB..1 GiB x4', not '1 KiB..1 MiB'"),
        (with_case(sizes="1 KiB..1 MiB x1"), "6:12: sizes: the factor of a range is a whole number of at least 2, not '1'"),
        (with_case(sizes="2 KiB..1 KiB x2"), "6:12: sizes: the range '2 KiB..1 KiB x2' ends before it starts"),
        (with_case(sizes="0..1 KiB x2"), "6:12: sizes: a size is above zero, not '0'"),
        (with_case(sizes="[]"), "6:12: sizes: expected at least 1 in the list, not an empty one"),
        (CASE + "overheads: {start: -1 us}\n", "7:20: overheads.start: a time is at least zero, not '-1 us'"),
        (CASE + "overheads: {alpha_link: 1.3}\n", "7:25: overheads.alpha_link: 1.3 has no unit: expected a time such as "
         "'1.5 us'"),
        (CASE + "overheads: defaults\n", "7:12: overheads: unknown overheads 'defaults' (did you mean default?); known: "
         "none, default"),
        (CASE + "routing: dimension-order\n", "7:10: routing: unknown routing 'dimension-order' (did you mean "
         "dimension_order?); known: default, dimension_order, shortest, spray, ecmp, trn3, cluster, cores"),
        # Topologies.
        (with_case(topology="trn2"), "4:15: topology: expected a mapping, not 'trn2'"),
        (with_case(topology="{preset: a}"), "4:15: topology: expected either a builder or a file; builders: "
         + ", ".join(topologies.BUILDERS)),
        (with_case(topology=RING % ", nodes: 4"),
         "4:56: topology: ring has no parameter 'nodes'; it has n, bandwidth, latency"),
        (with_case(topology="{builder: ring, bandwith: 1 GB/s, n: 4}"), "4:31: topology: ring has no parameter 'bandwith' "
         "(did you mean bandwidth?); it has n, bandwidth, latency"),
        (with_case(topology="{builder: ring, n: 4}"), "4:15: topology: ring needs bandwidth"),
        (with_case(topology="{builder: ring, n: 4, bandwidth: 0}"),
         "4:48: topology.bandwidth: a bandwidth is above zero, not 0"),
        (with_case(topology="{builder: ring, n: 4, bandwidth: -1 GB/s}"), "4:48: topology.bandwidth: a bandwidth is above "
         "zero, not '-1 GB/s'"),
        (with_case(topology="{builder: ring, n: 4, bandwidth: 128}"), "4:48: topology.bandwidth: 128 has no unit: expected "
         "a bandwidth such as '128 GB/s'"),
        (with_case(topology="{builder: ring, n: 4, bandwidth: 128 gb/s}"), "4:48: topology.bandwidth: unknown unit 'gb/s' of "
         "a bandwidth (did you mean GB/s or Gb/s?); expected one such as '128 GB/s'"),
        (with_case(topology="{builder: ring, n: four, bandwidth: 1 GB/s}"), "4:34: topology.n: n must be a whole number of "
         "at least 2, not 'four'"),
        (with_case(topology="{file: nowhere.json}"), "4:22: topology.file: cannot be read: No such file or directory"),
        (with_case(topology="{builder: ring, n: 4, bandwidth: 1 GB/s, degrade: [{cable: [0, 2], down: true}]}"),
         "4:66: topology.degrade[0]: no link from 'chip 0' to 'chip 2'; links from 'chip 0' go to 'chip 1', 'chip 3'"),
        (with_case(topology=RING % ", degrade: [{down: true}]"), "4:66: topology.degrade[0]: expected either a cable or a "
         "link, a pair of nodes"),
        (with_case(topology=RING % ", degrade: [{link: [0, 1]}]"), "4:66: topology.degrade[0]: expected either down: true or "
         "a factor between 0 and 1"),
        (with_case(topology=RING % ", degrade: [{link: [0], down: true}]"), "4:73: topology.degrade[0].link: expected at "
         "least 2 in the list, not a list"),
        # Groups.
        (with_case("groups: [[0, 1], [1, 2]]"), "7:23: groups[1][0]: rank 1 is already in group 0"),
        (with_case("groups: [[0, 1, 0]]"), "7:21: groups[0][2]: rank 0 is already in this group"),
        (with_case("groups: [[0, 4]]"), "7:18: groups[0][1]: no rank 4: the topology has 4 ranks, 0..3"),
        (with_case("groups: [[0]]"), "7:14: groups[0]: a group has at least 2 ranks, not 1"),
        (with_case("groups: [[0, true]]"), "7:18: groups[0][1]: expected a rank, a whole number from 0, not true"),
        (with_case("groups: 5"), "7:13: groups: 5 ranks, but the topology has 4 ranks"),
        (with_case("groups: {of: 3}"), "7:18: groups.of: groups of 3 ranks do not part all ranks: the topology has 4 ranks"),
        (with_case("groups: {of: 1}"), "7:13: groups: expected {of: n}, groups of n consecutive ranks each, n a whole number "
         "of at least 2"),
        (with_case("groups: {each: 2}"), "7:13: groups: expected {of: n}, groups of n consecutive ranks each, n a whole number "
         "of at least 2"),
        (with_case("groups: every"), "7:13: groups: expected all, a number of ranks, {of: n}, or lists of ranks, not 'every'"),
        # Collectives and algorithms.
        (with_case("algorithm: rinq"), "7:16: algorithm: unknown algorithm of all_reduce 'rinq' (did you mean ring?); known: "
         + ", ".join(sorted(["all", "auto", "optimal", *ALGORITHMS["all_reduce"]]))),
        (with_case("algorithm: {name: ring, cycle: 1}"), "7:29: algorithm: unknown option of ring 'cycle' (did you mean "
         "cycles?); known: cycles, directions, slices, weights"),
        (with_case("algorithm: {name: ring, cycles: two}"), "7:37: algorithm.cycles: expected a whole number, not 'two'"),
        (with_case("algorithm: {name: auto, cycles: 1}"), "7:29: algorithm: unknown option of auto 'cycles'; known: "
         "slices"),
        (with_case("algorithm: {name: ring, slices: 0}"), "7:37: algorithm.slices: expected at least 1, not 0"),
        (with_case("algorithm: {name: auto, root: x}", collective="bcast"),
         "7:35: algorithm.root: expected a whole number, not 'x'"),
        (with_case(f"moe: {MOE}"), "7:5: collective all_reduce takes 'sizes', not 'moe'"),
        (with_case("matrix: [[0, 1 B], [0, 0]]"), "7:5: collective all_reduce takes 'sizes', not 'matrix'"),
        # MoE.
        (with_case("algorithm: {name: ring, directions: 3}"), "7:41: algorithm.directions: expected 1 or 2, not 3"),
        (_moe("top_k: 2", "top_k: 5"), "6:41: moe.top_k: a token goes to 5 of only 4 experts"),
        (_moe("tokens: 8", "tokens: [8, 1000000000000000]"),
         "6:23: moe.tokens[1]: the tokens of a rank are more than 8 PiB, the largest size"),
        (_moe("hidden: 64", f"hidden: 1{'0' * 400}"), "6:19: moe.tokens: the tokens of a rank are more than 8 PiB, the largest "
         "size"),
        (_moe("tokens: 8", "tokens: [8, 0]"), "6:23: moe.tokens[1]: expected at least 1, not 0"),
        (_moe("combine_bytes: 2", "combine_bytes: 0"), "6:90: moe.combine_bytes: expected a number above 0, not 0"),
        (_moe("combine_bytes: 2", "combine_bytes: 2 B"), "6:90: moe.combine_bytes: expected a number, not '2 B'"),
        (_moe("2}", "2, skew: -1}"), "6:99: moe.skew: expected at least 0, not -1"),
        (_moe("2}", "2, deduplicate: node}"), "6:106: moe.deduplicate: unknown deduplicate 'node' (did you mean none?); known: "
         "none, rank"),
        # Matrices.
        (with_case("matrix: [[0, 1 B], [0]]", collective="alltoallv", sizes=""),
         "6:24: matrix[1]: row 1 has 1 sizes, but there are 2 rows"),
        (with_case("matrix: [[0, 1 B], [-1 B, 0]]", collective="alltoallv", sizes=""),
         "6:25: matrix[1][0]: a size is at least zero, not '-1 B'"),
        (with_case("matrix: [[0, 3], [0, 0]]", collective="alltoallv", sizes=""),
         "6:18: matrix[0][1]: 3 has no unit: expected a size such as '64 MiB'"),
        (with_case("matrix: [[0, 0], [0, 0]]", collective="alltoallv", sizes=""), "6:13: matrix: every size is zero"),
        (with_case("matrix: [[0, 1 B], [0, 0]]", collective="alltoallv", sizes=""),
         "6:13: matrix: 2 rows, but a group has 4 ranks"),
        (with_case("matrix: {file: no.csv, unit: 1 B}", collective="alltoallv", sizes=""),
         "6:20: matrix.file: cannot be read: No such file or directory"),
        (with_case("matrix: {file: no.csv}", collective="alltoallv", sizes=""), "6:13: matrix: missing key 'unit'"),
        (with_case("matrix: {fle: no.csv, unit: 1 B}", collective="alltoallv", sizes=""),
         "6:14: matrix: unknown key 'fle' (did you mean file?); known: file, unit"),
        (with_case("matrix: m.csv", collective="alltoallv", sizes=""),
         "6:13: matrix: expected rows of sizes, or a CSV file as {file: m.csv, unit: 1 KiB}, not 'm.csv'"),
    ],
)  # fmt: skip
def test_one_fault_is_one_line(text: str, line: str) -> None:
    assert faults(text) == [f"s.yaml:{line}"]


def test_two_cases_of_one_name() -> None:
    second = CASE.partition("cases:\n")[2]
    assert faults(CASE + second) == ["s.yaml:7:11: name: case 0 has the name 'one' already"]


def test_a_misspelt_key_is_not_missing_too() -> None:
    lines = faults(CASE.replace("collective:", "colective:").replace("sizes:", "size:"))
    assert [line.partition(";")[0] for line in lines] == [
        "s.yaml:5:5: unknown key 'colective' (did you mean collective?)",
        "s.yaml:6:5: unknown key 'size' (did you mean sizes?)",
    ]


def test_every_parameter_that_a_builder_refuses_is_named() -> None:
    topology = "{builder: leaf_spine, ranks_per_leaf: 0, leaves: 2, spines: 2, bandwidth: 1, uplink_bandwidth: 2}"
    assert [line.split(" ")[:2] for line in faults(with_case(topology=topology))] == [
        ["s.yaml:4:53:", "topology.ranks_per_leaf:"],
        ["s.yaml:4:89:", "topology.bandwidth:"],
        ["s.yaml:4:110:", "topology.uplink_bandwidth:"],
    ]
    topology = "{builder: trn3_gen2, preset: lanes16, racks: 3, leg: up}"
    assert [line.split(" ")[:2] for line in faults(with_case(topology=topology))] == [
        ["s.yaml:4:44:", "topology.preset:"],
        ["s.yaml:4:60:", "topology.racks:"],
        ["s.yaml:4:68:", "topology.leg:"],
    ]


def test_faults_of_a_machine_in_a_cluster() -> None:
    cluster = "{builder: efa_cluster, count: 2, machine: torus, machine_parameters: {dims: [2, 2], bandwidth: 8, lanes: 1}}"
    assert faults(with_case(topology=cluster)) == [
        "s.yaml:4:110: topology.machine_parameters.bandwidth: 8 has no unit: expected a bandwidth such as '128 GB/s'",
        "s.yaml:4:113: topology.machine_parameters: torus has no parameter 'lanes'; it has dims, bandwidth, latency",
    ]
    assert faults(with_case(topology="{builder: efa_cluster, count: 2, machine: tron2}"))[0].startswith(
        "s.yaml:4:57: topology.machine: unknown machine 'tron2' (did you mean trn2?)"
    )


def test_a_graph_file_is_checked_whole(tmp_path: Path) -> None:
    (tmp_path / "my.json").write_text(
        '{"directed": true, "multigraph": false, "graph": {}, "nodes": [{"id": 0, "kind": "chip"}, {"id": 1, "kind": "cow"}],'
        ' "edges": [{"source": 0, "target": 1}]}'
    )
    lines = faults(with_case(topology="{file: my.json}"), folder=tmp_path)
    assert len(lines) == 2
    assert all(line.startswith("s.yaml:4:22: topology.file: my.json: ") for line in lines)


def test_faults_in_a_matrix_file_are_placed_there(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("0, 1,2,3\n0,0,x,0\n0,0,0,-5\n\n1,nan,0\n")
    text = with_case("matrix: {file: m.csv, unit: 1 KiB}", collective="alltoallv", sizes="")
    assert faults(text, folder=tmp_path) == [
        "m.csv:2:5: matrix[1][2]: expected a number, not 'x'",
        "m.csv:3:7: matrix[2][3]: expected a number of at least zero, not '-5'",
        "m.csv:5:1: matrix[3]: row 3 has 3 sizes, but there are 4 rows",
        "m.csv:5:3: matrix[3][1]: expected a number of at least zero, not 'nan'",
    ]


def test_a_bad_cell_does_not_make_every_size_zero(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("0,x\n0,0\n")
    text = with_case("matrix: {file: m.csv, unit: 1 KiB}", topology="{builder: ring, n: 2, bandwidth: 1 B/s}",
                     collective="alltoallv", sizes="")  # fmt: skip
    assert faults(text, folder=tmp_path) == ["m.csv:1:3: matrix[0][1]: expected a number, not 'x'"]


def test_an_array_is_no_matrix_file(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.ones((2, 2)))
    (line,) = faults(with_case("matrix: {file: m.npy, unit: 1 B}", collective="alltoallv", sizes=""), folder=tmp_path)
    assert line.startswith("s.yaml:6:20: matrix.file: expected CSV, numbers between commas, but m.npy is no text")
    assert 'numpy.savetxt("m.csv", matrix, delimiter=",")' in line


def test_deep_nesting_and_alias_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fabric.scenario.document.MOST_VALUES", 10_000)
    assert faults("a: " + "[" * 5000) == ["s.yaml: nested too deeply"]
    assert faults("&a [*a]") == ["s.yaml: nested too deeply, or an alias that contains itself"]
    bomb = "a: &a [x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 100)}]\n" for a, b in zip("abcd", "bcde"))
    assert faults(bomb)[0].endswith(": more than 10,000 values")
