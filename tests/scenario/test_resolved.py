"""A resolved scenario reads back as an equal one."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabric.scenario import read_scenario, resolved

from .samples import CASE, read, with_case

text = st.text(st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="\x85"), min_size=1, max_size=20)
factor = st.floats(1e-9, 1, exclude_min=True)
size = st.builds("{} {}".format, st.integers(1, 2**23), st.sampled_from(["B", "kB", "KiB", "GiB"]))
time = st.builds("{} {}".format, st.floats(0, 1e6), st.sampled_from(["s", "ms", "us", "ns"]))
bandwidth = st.builds("{} {}".format, st.floats(1e-3, 1e6), st.sampled_from(["GB/s", "Gb/s", "MB/s", "B/s"]))
overheads = st.sampled_from(["none", "default"]) | st.fixed_dictionaries(
    {}, optional={"alpha_link": time | st.just("default"), "alpha_efa": time, "start": time, "per_destination": time}
)
routing = st.sampled_from(["default", "spray"]) | st.fixed_dictionaries({"rule": st.just("ecmp"), "ties": st.just("positive")})
topology = st.one_of(
    st.fixed_dictionaries({"builder": st.just("ring"), "n": st.just(4), "bandwidth": bandwidth}, optional={"latency": time}),
    st.just(
        {"builder": "torus", "dims": [2, 2], "bandwidth": ["1 GB/s", "2 GB/s"], "degrade": [{"link": [0, 1], "down": True}]}
    ),
)
own = {"routing": routing, "overheads": overheads, "efficiency": factor | st.just("default")}
work = st.one_of(
    st.fixed_dictionaries(
        {
            "collective": st.sampled_from(["allr", "all_gather"]),
            "sizes": size | st.lists(size, min_size=1, max_size=3) | st.just("1 KiB..1 GiB x4"),
            "algorithm": st.sampled_from(["auto", "ring", {"name": "ring", "cycles": 1}, {"name": "rdh"}]),
        }
    ),
    st.fixed_dictionaries(
        {
            "collective": st.just("moe"),
            "moe": st.fixed_dictionaries(
                {
                    "tokens": st.integers(1, 9) | st.lists(st.integers(1, 9), min_size=1, max_size=2),
                    "hidden": st.integers(1, 9),
                    "top_k": st.integers(1, 2),
                    "experts": st.integers(2, 9),
                    "dispatch_bytes": st.sampled_from([1, 0.5, 2]),
                    "combine_bytes": factor,
                },
                optional={"dispatch_scale": st.just({"block": 128, "bytes": 4}), "skew": factor, "sample": st.booleans()},
            ),
        }
    ),
    st.just({"collective": "alltoallv", "matrix": [[0, "1 KiB", "3 B", 0], [0] * 4, [0] * 4, [0] * 4]}),
)
groups = st.sampled_from(["all", 4, [[3, 0, 1, 2]]])
case = st.builds(
    lambda **parts: {**parts["work"], "topology": parts["topology"], **parts["rest"]},
    work=work,
    topology=topology,
    rest=st.fixed_dictionaries(
        {}, optional={"groups": st.sampled_from(["all", 4, [[3, 0, 1, 2]]]), "type": st.just("bf16"), **own}
    ),
)
scenario = st.fixed_dictionaries(
    {"name": text, "cases": st.lists(case, min_size=1, max_size=2)},
    optional={
        "description": text,
        "seed": st.integers(0, 2**70),
        "report": st.fixed_dictionaries({"links": st.integers(0, 9)}),
        "plots": st.lists(st.sampled_from(["latency", "busbw"]), unique=True),
        "verify": st.booleans(),
        **own,
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario)
def test_round_trip(data: dict[str, Any]) -> None:
    for index, one in enumerate(data["cases"]):
        one["name"] = f"case {index}"
    read_once = read_scenario(_yaml(data))
    assert read_scenario(resolved(read_once)) == read_once
    assert resolved(read_scenario(resolved(read_once))) == resolved(read_once)


def _yaml(data: dict[str, Any]) -> str:
    """JSON is YAML, and shares no code with the writer."""
    return json.dumps(data, ensure_ascii=False)


def test_every_default_is_written_out() -> None:
    assert resolved(read(with_case("algorithm: ring"))) == (
        "name: sample\n"
        "description: ''\n"
        "cases:\n"
        "- name: one\n"
        "  topology:\n"
        "    builder: ring\n"
        "    degrade: []\n"
        "    n: 4\n"
        "    bandwidth: 1 GB/s\n"
        "    latency: 0 s\n"
        "  collective: all_reduce\n"
        "  algorithm: {name: ring, directions: 2}\n"
        "  sizes: [1 KiB]\n"
        "  groups: all\n"
        "  type: uint8\n"
        "overheads: {alpha_link: default, alpha_efa: default, start: 0 s, per_destination: 0 s, link_latency: default}\n"
        "routing: {rule: default, ties: split}\n"
        "efficiency: 1.0\n"
        "seed: 0\n"
        "report: {links: 5}\n"
        "plots: [latency, busbw, heatmap, fabric]\n"
        "verify: false\n"
    )


@pytest.mark.parametrize("path", sorted(files("scenarios").glob("*.yaml")), ids=lambda path: path.stem)  # type: ignore[attr-defined]
def test_shipped_scenarios_have_the_same_graphs_again(path: Path) -> None:
    first = read_scenario(path)
    again = read_scenario(resolved(first))
    assert again == first
    for index in range(len(first.cases)):
        assert again.graph(index).graph == first.graph(index).graph
        assert list(again.graph(index).nodes(data=True)) == list(first.graph(index).nodes(data=True))
        assert list(again.graph(index).edges(data=True)) == list(first.graph(index).edges(data=True))


def test_two_scenarios_differ_by_what_they_say_alone() -> None:
    assert read(CASE) == read("# a comment\n" + CASE)
    assert read(CASE) != read(CASE, "seed=1")
