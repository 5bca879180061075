"""The catalogue: names, what applies where, and the small layouts that stand for large ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fabric.collectives import ALGORITHMS, ALIASES, algorithm, applicable, build, canonical, smaller
from fabric.errors import InputError
from fabric.layout import Layout
from fabric.schedule import Schedule

from .checker import check, machines, torus


def test_names() -> None:
    assert canonical("all_reduce") == "all_reduce"
    aliases = ("allr", "allg", "redsct", "alltoall", "alltoallv", "bcast", "reduce", "gather", "scatter", "sendrecv")
    assert [canonical(name) for name in aliases] == list(ALGORITHMS)
    assert set(ALIASES.values()) <= set(ALGORITHMS)
    with pytest.raises(InputError, match=r"unknown collective 'all_reduced' \(did you mean all_reduce"):
        canonical("all_reduced")
    assert algorithm("allr", "ring") is ALGORITHMS["all_reduce"]["ring"]
    with pytest.raises(InputError, match=r"unknown algorithm of all_reduce 'rnig' \(did you mean ring"):
        algorithm("allr", "rnig")


def test_what_applies() -> None:
    found = applicable("all_reduce", Layout(12))
    apply = {name for name, made in found.items() if isinstance(made, Schedule)}
    assert apply >= {"ring", "mesh", "mesh_one_shot", "doubling", "double_tree"}
    assert not apply & {"rdh", "bucket", "swing", "swing_whole", "hierarchical"}
    assert found["rdh"] == "rdh needs a power of two, not 12"
    found = applicable("all_gather", machines(4, torus(4, 4)))
    apply = {name for name, made in found.items() if isinstance(made, Schedule)}
    assert apply >= {"ring", "mesh", "rdh", "doubling", "bruck", "pat"}
    assert not apply & {"bucket", "swing"}


def test_hierarchical_is_tried_with_several_algorithms_between_machines() -> None:
    def tiers(layout: Layout) -> dict[str, object]:
        found = applicable("reduce_scatter", layout)
        return {name: made.options["outer"] for name, made in found.items() if isinstance(made, Schedule) and " " in name}

    some = {"hierarchical ring": "ring", "hierarchical rdh": "rdh", "hierarchical pat": "pat"}
    assert tiers(machines(4, torus(4, 4))) == some
    assert tiers(machines(3, torus(4, 4))) == {name: some[name] for name in ("hierarchical ring", "hierarchical pat")}
    assert tiers(machines(2, machines(3, Layout(4)))) == some
    folded = replace(machines(2, machines(3, Layout(4))), pods=1)
    assert tiers(folded) == some | {name.replace(" ", " themis "): of for name, of in some.items()}


def test_every_schedule_says_its_name_and_has_size_one() -> None:
    for layout in (torus(4, 4), machines(2, Layout(4))):
        for collective in ALGORITHMS.keys() - {"all_to_all_v"}:
            for name, made in applicable(collective, layout).items():
                if isinstance(made, Schedule):
                    assert (made.collective, made.algorithm, made.ranks) == (collective, name.split()[0], layout.ranks)
                    assert made.size == pytest.approx(1)


@pytest.mark.parametrize(
    ("large", "small"),
    [
        (Layout(144), Layout(3)),
        (Layout(64), Layout(4)),
        (Layout(2), Layout(2)),
        (torus(8, 16, 2), torus(4, 4, 2)),
        (torus(7, 9), torus(3, 3)),
        (torus(16, 16, bandwidth=(2.0, 1.0)), torus(4, 4, bandwidth=(2.0, 1.0))),
        (machines(16, Layout(144)), machines(4, Layout(3))),
        (machines(5, torus(8, 8)), machines(3, torus(4, 4))),
    ],
    ids=str,
)
def test_smaller(large: Layout, small: Layout) -> None:
    assert smaller(large) == small


@pytest.mark.parametrize("layout", [torus(8, 8), machines(8, Layout(8)), Layout(30), Layout(32)], ids=str)
def test_the_same_algorithms_with_the_same_options_apply_to_the_smaller_layout(layout: Layout) -> None:
    for collective in ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "scatter", "gather"):
        for made in applicable(collective, layout).values():
            if isinstance(made, Schedule):
                check(build(collective, made.algorithm, smaller(layout), **made.options))
