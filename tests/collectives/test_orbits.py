"""Symmetry of schedules: groups whose permutations are told apart by where they take rank 0, and schedules that they keep."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fabric.collectives import applicable, build, orbits
from fabric.collectives.conditions import ProofError, affordable, prove
from fabric.collectives.orbits import is_symmetric, relative
from fabric.csr import pointers
from fabric.layout import Layout
from fabric.schedule import Schedule

TORUS = Layout(32, (4, 8), (1.0, 1.0))
SYMMETRIES = [
    (("shift", 5),),
    (("xor", 8),),
    (("mirror", 6),),
    (("shift", 3), ("mirror", 4)),
    (("mirror", 2), ("xor", 4), ("shift", 3)),
]


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=str)
def test_permutations_are_a_group_and_take_rank_0_everywhere(symmetry: tuple[tuple[str, int], ...]) -> None:
    """seen[b] undoes b's permutation p_b. p_b takes 0 to b, and p_b p_c, which takes 0 to p_b(c), is the one of that rank."""
    seen = relative(symmetry)
    n = len(seen)
    assert (np.sort(seen, axis=1) == np.arange(n)).all()
    permutation = np.argsort(seen, axis=1)
    assert (permutation[:, 0] == np.arange(n)).all()
    for b in range(n):
        for c in range(n):
            assert (permutation[b][permutation[c]] == permutation[permutation[b, c]]).all()


def test_dimensions_run_fastest_first() -> None:
    """Rank 4 of 3 x 2 is at (1, 1); from rank 2 at (2, 0) it is at (1 - 2, 1 - 0) = (2, 1), rank 5."""
    assert relative((("shift", 3), ("shift", 2)))[2, 4] == 5
    # 5 mirrors: from 5, rank 1 of 6 is at 5 - 1.
    assert relative((("mirror", 6),))[5, 1] == 4


ANY = {"ring", "mesh", "mesh_one_shot", "bruck", "pat", "direct", "pairwise"}
POWER = {"rdh", "doubling"}
SYMMETRIC = {
    Layout(12): ANY,
    Layout(16): ANY | POWER,
    TORUS: (ANY | POWER | {"swing", "swing_whole", "bucket", "themis", "dimensionwise"}) - {"ring"},
    Layout(12, servers=3, inner=Layout(4)): ANY | {"themis", "two_level", "rail"},
    Layout(64, servers=4, inner=Layout(16, (4, 4), (1.0, 1.0))): ANY | POWER | {"themis", "two_level", "rail"},
}


@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
@pytest.mark.parametrize("layout", list(SYMMETRIC), ids=lambda layout: f"{layout.servers}x{layout.ranks}{layout.dims or ''}")
def test_what_an_algorithm_says_of_its_symmetry_holds(collective: str, layout: Layout) -> None:
    found = {one.algorithm: one for one in applicable(collective, layout).values() if isinstance(one, Schedule)}
    for name in found.keys() - {"hierarchical"}:
        assert bool(found[name].symmetry) == is_symmetric(found[name]) == (name in SYMMETRIC[layout]), name


@pytest.mark.parametrize(
    ("inner", "outer", "symmetric"),
    [
        ("mesh", "ring", True),
        ("bucket", "rdh", True),
        ("swing", "pat", True),
        ("ring", "ring", False),
        ("rdh", "doubling", False),
    ],
)
def test_tiers_that_are_symmetric_make_a_symmetric_whole(inner: str, outer: str, symmetric: bool) -> None:
    """Not where there is none inside (rings on a torus), nor where the blocks between are not those of the machines."""
    layout = Layout(64, servers=4, inner=Layout(16, (4, 4), (1.0, 1.0)))
    assert is_symmetric(build("all_reduce", "hierarchical", layout, inner=inner, outer=outer)) == symmetric


@pytest.mark.parametrize("symmetry", [(), (("shift", 16),), (("mirror", 16),), (("xor", 4), ("shift", 4))], ids=str)
def test_a_wrong_symmetry_is_not_believed(symmetry: tuple[tuple[str, int], ...]) -> None:
    """Recursive halving and doubling is kept by xor alone, and is proved all the same."""
    schedule = replace(build("all_reduce", "rdh", Layout(16)), symmetry=symmetry)
    assert not is_symmetric(schedule)
    assert prove(schedule).transfers == schedule.transfers


def test_a_root_has_no_symmetry() -> None:
    """A broadcast in which all ranks do the same may be symmetric, and what it is for is not."""
    ring = build("all_gather", "ring", Layout(6), directions=1)
    assert is_symmetric(ring)
    assert not is_symmetric(replace(ring, collective="broadcast"))


@given(data=st.data())
def test_one_change_anywhere_breaks_the_symmetry(data: st.DataObject) -> None:
    """Another destination, chunk, wait or operation of one transfer, which need not touch a chunk of rank 0."""
    name, collective = data.draw(st.sampled_from([("rdh", "all_reduce"), ("bruck", "all_to_all"), ("ring", "reduce_scatter")]))
    schedule = build(collective, name, Layout(8))
    sizes = {"destination": 8, "chunk_ids": schedule.chunks, "wait_ids": schedule.transfers, "operation": 2}
    column, size = data.draw(st.sampled_from(list(sizes.items())))
    values = getattr(schedule, column).copy()
    place, other = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, size - 1))
    values[place] = other
    changed = replace(schedule, **{column: values})
    if (values == getattr(schedule, column)).all():
        return
    assert not is_symmetric(changed)
    assert verdict(changed) == verdict(replace(changed, symmetry=()))


MADE = [
    build("all_reduce", "rdh", Layout(8)),
    build("all_reduce", "ring", Layout(6)),
    build("all_reduce", "doubling", Layout(8)),
    build("reduce_scatter", "pat", Layout(7)),
    build("all_gather", "swing", Layout(8, (8,))),
    build("all_to_all", "bruck", Layout(6)),
    build("all_reduce", "hierarchical", Layout(12, servers=3, inner=Layout(4))),
]


@given(data=st.data())
@settings(deadline=None)
def test_one_change_at_all_ranks_alike_is_judged_as_without_symmetry(data: st.DataObject) -> None:
    """Another destination, operation, or no waits, for one transfer of rank 0 and all its images."""
    schedule = data.draw(st.sampled_from(MADE))
    table = relative(schedule.symmetry)
    order = orbits._orbits(schedule, table)[0].reshape(schedule.ranks, -1)
    images = order[:, data.draw(st.integers(0, order.shape[1] - 1))]
    change = data.draw(st.sampled_from(["destination", "operation", "waits"]))
    if change == "waits":
        lengths, kept = np.diff(schedule.wait_ptr), np.ones(schedule.transfers, dtype=bool)
        kept[images] = False
        ids = schedule.wait_ids[np.repeat(kept, lengths)]
        changed = replace(schedule, wait_ptr=pointers(np.where(kept, lengths, 0)), wait_ids=ids)
    elif change == "operation":
        operation = schedule.operation.copy()
        operation[images] = 1 - operation[images]
        changed = replace(schedule, operation=operation)
    else:
        there = data.draw(st.integers(1, schedule.ranks - 1))
        destination = schedule.destination.copy()
        destination[images] = np.argsort(table, axis=1)[schedule.source[images], there]
        changed = replace(schedule, destination=destination)
    # Two transfers to one destination may be taken one for the other's image: then nothing is left out.
    event(f"{change}: {verdict(changed)}{' by symmetry' * is_symmetric(changed)}")
    assert verdict(changed) == verdict(replace(changed, symmetry=()))


def verdict(schedule: Schedule) -> str:
    try:
        prove(schedule)
    except ProofError as error:
        return error.verdict
    return "ok"


def test_the_same_fault_at_every_rank_is_found_on_the_chunks_of_one() -> None:
    """A ring whose last step is left out at all ranks is as symmetric as the whole one."""
    ring = build("all_gather", "ring", Layout(6), directions=1)
    kept = np.flatnonzero(ring.step < ring.step.max())
    short = replace(
        ring,
        source=ring.source[kept],
        destination=ring.destination[kept],
        operation=ring.operation[kept],
        step=ring.step[kept],
        channel=ring.channel[kept],
        chunk_ids=ring.chunk_ids[kept],
        chunk_ptr=ring.chunk_ptr[: len(kept) + 1],
        wait_ptr=ring.wait_ptr[: len(kept) + 1],
        wait_ids=ring.wait_ids[: ring.wait_ptr[len(kept)]],
    )
    assert is_symmetric(short)
    with pytest.raises(ProofError) as caught:
        prove(short)
    assert (caught.value.verdict, caught.value.chunk) == ("missing", 0)


@pytest.mark.parametrize(
    ("collective", "name", "layout", "transfers"),
    [
        ("all_reduce", "rdh", Layout(1024), 20 * 1024),
        ("all_reduce", "doubling", Layout(1024), 10 * 1024),
        ("all_gather", "bruck", Layout(1024), 10 * 1024),
        ("all_gather", "bruck", Layout(1000), 10 * 1000),
        ("reduce_scatter", "pat", Layout(1024), 10 * 1024),
        ("broadcast", "tree", Layout(1024), 1023),
        ("all_reduce", "double_tree", Layout(1024), 2 * 8 * 2 * 1023),  # two trees, eight slices, up and down
        ("all_reduce", "swing", Layout(1024, (1024,)), 2 * 20 * 1024),  # two parts
        ("all_reduce", "ring", Layout(256), 2 * 510 * 256),
    ],
)
def test_cost(collective: str, name: str, layout: Layout, transfers: int) -> None:
    """At most 0.5 s and 256 MiB to 1,024 ranks for algorithms of few steps, to 256 for rings."""
    schedule = build(collective, name, layout)
    assert affordable(schedule)
    times = []
    for _ in range(2):
        start = time.process_time()
        assert prove(schedule).transfers == transfers
        times.append(time.process_time() - start)
    assert min(times) < 0.5
    tracemalloc.start()
    try:
        prove(schedule)
        assert tracemalloc.get_traced_memory()[1] < 256 * 2**20
    finally:
        tracemalloc.stop()


def test_a_million_blocks_that_move_once_are_affordable() -> None:
    matrix = np.ones((1024, 1024))
    schedule = build("all_to_all_v", "direct", Layout(1024), matrix=matrix)
    assert affordable(schedule)
    assert prove(schedule).transfers == 1024 * 1023


def test_slices_keep_the_symmetry() -> None:
    for name in ("ring", "rdh", "pat"):
        assert is_symmetric(build("all_reduce", name, Layout(8), slices=3)), name


def test_what_costs_more_is_not_affordable() -> None:
    for collective, name, layout in (
        ("all_reduce", "mesh", Layout(256)),  # 16 million waits
        ("all_reduce", "mesh_one_shot", Layout(144)),  # one chunk on 20,592 transfers
        ("broadcast", "scatter_gather", Layout(1024)),  # a million chunks moved, no two ranks alike
    ):
        assert not affordable(build(collective, name, layout))
