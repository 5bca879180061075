"""Overrides: `key.path=value`."""

from __future__ import annotations

import pytest

from fabric.scenario import Flag

from .samples import CASE, faults, read, with_case

TWO = (
    CASE
    + """\
  - name: v1.5
    topology: {builder: ring, n: 8, bandwidth: 1 GB/s}
    collective: all_gather
    sizes: 1 MiB
    overheads: none
"""
)


def test_a_key_of_a_case_applies_to_all() -> None:
    scenario = read(TWO, "algorithm=ring", "sizes=1 KiB..4 KiB x2", "topology.latency=1 us")
    assert [case.algorithm.name for case in scenario.cases] == ["ring", "ring"]
    assert [case.sizes for case in scenario.cases] == [[1024.0, 2048.0, 4096.0]] * 2
    assert [scenario.graph(index).edges[0, 1]["latency"] for index in (0, 1)] == [1e-6, 1e-6]


@pytest.mark.parametrize("case", ["1", "v1.5"])
def test_a_case_is_named_by_number_or_name(case: str) -> None:
    scenario = read(TWO, f"cases.{case}.algorithm=ring")
    assert [one.algorithm.name for one in scenario.cases] == ["auto", "ring"]


def test_later_overrides_win_and_build_on_earlier_ones() -> None:
    scenario = read(TWO, "algorithm=mesh", "algorithm={name: ring}", "cases.0.algorithm.directions=1")
    assert [case.algorithm.parameters for case in scenario.cases] == [{"directions": 1}, {"directions": 2}]
    assert read(TWO, "algorithm=ring", "algorithm.cycles=1").cases[1].algorithm.parameters["cycles"] == 1


def test_keys_of_the_scenario() -> None:
    scenario = read(TWO, "seed=3", "name=other", "report.links=2", "routing.ties=positive")
    assert (scenario.seed, scenario.name, scenario.report.links, scenario.routing.ties) == (3, "other", 2, "positive")
    assert [case.name for case in scenario.cases] == ["one", "v1.5"]


def test_a_key_of_both_reaches_the_cases_that_have_their_own() -> None:
    scenario = read(TWO, "overheads={alpha_link: 2 us}")
    assert [scenario.settings(case).overheads.alpha_link for case in scenario.cases] == [2e-6, 2e-6]


def test_a_path_into_a_word() -> None:
    assert read(CASE + "overheads: default", "overheads.alpha_link=2 us").overheads.alpha_link == 2e-6
    assert faults(CASE + "overheads: none", "overheads.alpha_link=2 us") == ["--set 1: overheads is 'none', which has no keys"]


def test_where_tells_the_override() -> None:
    scenario = read(TWO, "seed=3", "groups=[[0, 1]]")
    assert scenario.where("cases", 1, "groups", 0) == "--set 2"
    assert scenario.where("seed") == "--set 1"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed", "expected key.path=value, not 'seed'"),
        ("=3", "expected key.path=value, not '=3'"),
        ("sede=3", "unknown key 'sede' (did you mean seed?); known: name, description, cases, overheads, routing, efficiency, "
         "seed, report, plots, verify, bound, topology, collective, algorithm, sizes, groups, type, moe, matrix"),
        ("cases.2.sizes=1 KiB", "no case '2'; cases are 0..1: one, v1.5"),
        ("cases.onne.sizes=1 KiB", "no case 'onne' (did you mean one?); cases are 0..1: one, v1.5"),
        ("seed=x", "seed: expected a whole number, not 'x'"),
        ("seed=", "seed: has no value"),
        ("sizes=[1 KiB", "no valid YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow sequence)"),
        ("sizes=3", "sizes: 3 has no unit: expected a size such as '64 MiB'"),
        ("algorithm=rinq", None),
        ("topology.nodes=3", "topology: ring has no parameter 'nodes'; it has n, bandwidth, latency"),
        ("name.x=3", "name is 'sample', which has no keys"),
        ("cases.0.sizes.1=1 B", "cases.0.sizes.1: there is no item 1 in a list of 1"),
        ("report.links=.nan", "report.links: .nan is not a finite number"),
    ],
)  # fmt: skip
def test_faults(override: str, line: str | None) -> None:
    found = faults(TWO.replace("sizes: 1 KiB", "sizes: [1 KiB]"), override)
    if line is None:
        assert [text.partition(" (")[0] for text in found] == [
            "--set 1: algorithm: unknown algorithm of all_reduce 'rinq'",
            "--set 1: algorithm: unknown algorithm of all_gather 'rinq'",
        ]
    else:
        assert found == [f"--set 1: {line}"]


def test_a_fault_of_a_flag_names_the_flag() -> None:
    overrides = ["seed=x", Flag("--algorithm", "algorithm=rinq"), "sede=3"]
    found = [line.partition(" (")[0] for line in faults(TWO, *overrides)]
    assert found == [
        "--algorithm: unknown algorithm of all_reduce 'rinq'",
        "--algorithm: unknown algorithm of all_gather 'rinq'",
        "--set 1: seed: expected a whole number, not 'x'",
        "--set 2: unknown key 'sede'",
    ]


def test_faults_of_the_file_come_first() -> None:
    assert [line.partition(": ")[0] for line in faults(with_case("type: int") + "seed: x\n", "verify=3", "plots=1")] == [
        "s.yaml:7:11", "s.yaml:8:7", "--set 1", "--set 2",
    ]  # fmt: skip
