"""The fastest algorithm by size."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from fabric.case_run import CaseRun
from fabric.errors import InputError
from fabric.runner import one_case
from fabric.tune import CLOSE, NCCL_COLUMNS, nccl_csv, size_text, tune

from .conftest import Command

SIZES = "4 KiB..16 MiB x64"


@pytest.fixture(scope="module")
def tuning():  # type: ignore[no-untyped-def]
    return tune("trn2", "all_reduce", SIZES)


def test_ranges_cover_all_sizes_and_change_algorithm(tuning) -> None:  # type: ignore[no-untyped-def]
    assert (tuning.ranges[0].first, tuning.ranges[-1].last) == (4 * 2**10, 16 * 2**20)
    for before, after in pairwise(tuning.ranges):
        assert before.last == after.first
        assert before.algorithm != after.algorithm


def test_at_a_crossover_the_two_are_as_fast(tuning) -> None:  # type: ignore[no-untyped-def]
    """Between two sizes 1 % apart the faster one changes, so at either the other is at most that much slower."""
    for before, after in pairwise(tuning.ranges):
        size = before.last
        times = {}
        for name in (before.algorithm, after.algorithm):
            scenario = one_case("trn2", "trn2", {"collective": "all_reduce", "algorithm": name, "sizes": f"{size:.0f} B"})
            times[name] = CaseRun(scenario, 0, lambda text: None).fastest(size).time
        assert times[after.algorithm] <= times[before.algorithm] <= times[after.algorithm] * CLOSE


def test_every_size_has_every_algorithm_and_the_fastest_wins(tuning) -> None:  # type: ignore[no-untyped-def]
    sizes = sorted({row.size for row in tuning.rows})
    assert len(sizes) == 3
    for size in sizes:
        rows = [row for row in tuning.rows if row.size == size]
        assert {"ring", "mesh", "rdh", "bucket"} <= {row.algorithm for row in rows}
        mine = next(one for one in reversed(tuning.ranges) if one.first <= size)
        assert min(row.time for row in rows) == pytest.approx(
            next(row.time for row in rows if row.algorithm == mine.algorithm), rel=1e-9
        )


def test_nccl_is_told_only_what_it_knows(tuning) -> None:  # type: ignore[no-untyped-def]
    rows = list(csv.DictReader(nccl_csv(tuning).splitlines()))
    assert list(rows[0]) == NCCL_COLUMNS.split(",")
    assert {row["algorithm"] for row in rows} <= {"ring", "tree"}  # its PAT gathers and scatters, it sums nothing for all
    assert [int(row["min_bytes"]) for row in rows] == [0, *(int(row["max_bytes"]) + 1 for row in rows[:-1])]
    assert rows[0]["nRanks"] == "16"


def test_nccl_has_pat_with_one_rank_in_a_machine_only() -> None:
    """Latency alone: PAT takes 4 steps of 16 ranks and is faster than a ring, which takes 15."""
    several = tune("trn2", "all_gather", "1 KiB..4 KiB x4")
    single = replace(several, servers=several.ranks)
    named = [[row["algorithm"] for row in csv.DictReader(nccl_csv(one).splitlines())] for one in (several, single)]
    assert named == [["ring"], ["pat"]]


@pytest.mark.parametrize("collective", ["broadcast", "reduce"])
def test_the_ring_of_a_rooted_collective_is_a_chain(collective: str) -> None:
    rows = list(csv.DictReader(nccl_csv(tune("trn2", collective, "1 KiB..4 KiB x4")).splitlines()))
    assert [row["algorithm"] for row in rows] == ["ring"]


def test_a_collective_that_nccl_does_not_tune_is_refused() -> None:
    with pytest.raises(InputError, match="knows no all_to_all"):
        nccl_csv(tune("trn2", "all_to_all", "1 KiB..4 KiB x4"))


def test_one_size_is_no_range() -> None:
    with pytest.raises(InputError, match="at least two sizes"):
        tune("trn2", "all_reduce", "1 KiB")


@pytest.mark.parametrize("size", [1.0, 1023.0, 1024.0, 54.1 * 2**10, 2.0**20, 2.0**30])
def test_sizes_have_three_digits(size: float) -> None:
    number, unit = size_text(size).split()
    assert float(number) * {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit] == pytest.approx(size, rel=5e-3)


def test_the_command_writes_all_or_nothing(command: Command) -> None:
    options = ["--topology", "trn2", "--sizes", "1 KiB..1 MiB x32"]
    assert command("tune", "all_gather", *options, "-o", "out", "--nccl", "tuner.csv").code == 0
    assert sorted(file.name for file in Path("out").iterdir()) == [
        "busbw.png", "latency.png", "links.npz", "results.csv", "results.json",
    ]  # fmt: skip
    assert Path("tuner.csv").read_text().startswith(NCCL_COLUMNS)
    assert command("tune", "all_gahter", *options, "-o", "other").code == 2
    assert not Path("other").exists()
