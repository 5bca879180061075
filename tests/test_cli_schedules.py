"""`fabric-sim prove` and `fabric-sim run --schedule` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Answer, Command
from .formats.files import SCHEDULES, msccl, needs_data

RING = SCHEDULES / "astrasim_allreduce_ring_n8.xml"
CYCLE = "0,1,2,3,7,6,5,4"  # neighbours of a 4x4 torus, the last next to the first
STEP = 2**17 / 128e9  # 128 KiB over a link of trn2

SUM = msccl("allreduce", 2, [[(1, 1, ["s i1", "rrc i0", "s i0", "r i1"])], [(0, 0, ["s i0", "rrc i1", "s i1", "r i0"])]])
STUCK = msccl("allreduce", 2, [[(1, 1, ["r i1", "s i1"])], [(0, 0, ["r i0", "s i0"])]])


@pytest.fixture(autouse=True)
def two_schedules(command: Command) -> None:
    """Two small schedules in the folder of the command."""
    Path("sum.xml").write_bytes(SUM)
    Path("stuck.xml").write_bytes(STUCK)


def time(answer: Answer) -> float:
    assert answer.code == 0, answer.err
    return float(json.loads(answer.out)["results"][0]["time_s"])


def test_prove_prints_one_object(command: Command) -> None:
    answer = command("prove", "sum.xml", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out) == {
        "verdict": "ok",
        "where": {"rank": None, "chunk": None, "step": None},
        "sent_S": [1.0, 1.0],
    }


def test_a_fault_is_exit_1_with_its_place(command: Command) -> None:
    answer = command("prove", "stuck.xml", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["verdict"] == "deadlock"
    assert json.loads(answer.out)["where"] == {"rank": 0, "chunk": 1, "step": 0}
    words = command("prove", "stuck.xml").out
    assert words.startswith("stuck.xml: deadlock: rank 0 thread block 0 step 0 (r): waits for rank 1")


def test_slots_are_an_option_of_the_proof(command: Command) -> None:
    """Both ranks send twice before they receive: one slot does not hold that."""
    blocks = [[(1 - rank, 1 - rank, ["s i0", "s i0", "r s0", "r s1"])] for rank in range(2)]
    Path("two.xml").write_bytes(msccl("custom", 1, blocks, scratch=2))
    Path("t.goal").write_text("num_ranks 1\n")
    assert command("prove", "two.xml").code == 0
    assert command("prove", "two.xml", "--slots", "2").code == 0
    assert command("prove", "two.xml", "--slots", "1").code == 1
    assert "has no FIFOs" in command("prove", "t.goal", "--slots", "1").err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "cc">]><algo/>', "bad:1: a document type is not read"),
        (SUM.replace(b'cnt="1"', b'cnt="-1"', 1), "bad:4: step: cnt has to be a whole number of at least 1, not '-1'"),
        (SUM.replace(b'ngpus="2"', b'ngpus="16"'), "bad:1: algo: ngpus is 16"),
        (b"\x00\x01", "no schedule: expected MSCCL XML, an MSCCL++ plan, GOAL"),
    ],
)
def test_what_cannot_be_read_is_exit_2(command: Command, data: bytes, message: str) -> None:
    Path("bad").write_bytes(data)
    for arguments in (("prove", "bad"), ("run", "--schedule", "bad", "--topology", "trn2", "--size", "1MiB")):
        answer = command(*arguments)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.count("\n") == 1
        assert message in answer.err


def test_a_schedule_runs_on_a_topology(command: Command) -> None:
    answer = command("run", "--schedule", "sum.xml", "--topology", "trn2", "--size", "64MiB", "--set", "overheads=none")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == "# sum.xml: all_reduce on 2 ranks of trn2"
    # Two halves one after the other over links of 128 GB/s.
    assert lines[2].split()[:4] == ["67108864", "67108864", "uint8", f"{2**26 / 128e9 * 1e6:.2f}"]
    assert "bound by" in answer.out


def test_places_may_be_chosen(command: Command) -> None:
    base = ("run", "--schedule", "sum.xml", "--topology", "trn2", "--size", "1 MiB", "--set", "overheads=none", "--json")
    assert time(command(*base, "--place", "3,0")) == pytest.approx(2**20 / 128e9)
    for place, message in (
        ("0", "sum.xml has 2 ranks, and 1 places are given"),
        ("0,16", "expected distinct ranks 0 to 15"),
        ("4,4", "expected distinct ranks"),
        ("a,b", "expected ranks such as 0,2,4"),
    ):
        answer = command(*base, "--place", place)
        assert (answer.code, message in answer.err) == (2, True), answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "give a SCENARIO, or --schedule FILE"),
        (("run", "--schedule", "sum.xml"), "--schedule needs a --topology"),
        (("run", "torus-vs-switch", "--size", "1MiB"), "--size goes with --schedule"),
        (("run", "--schedule", "sum.xml", "--topology", "trn2"), "give --size"),
        (("run", "--schedule", "sum.xml", "--topology", "trn22", "--size", "1MiB"), "did you mean trn2"),
        (("run", "--schedule", "sum.xml", "--topology", "trn2", "--size", "1"), "has no unit"),
        (("run", "--schedule", "stuck.xml", "--topology", "trn2", "--size", "1MiB"), "stuck.xml: deadlock: rank 0"),
        (("run", "--schedule", "nowhere.xml", "--topology", "trn2", "--size", "1MiB"), "cannot read nowhere.xml"),
        (("run", "--schedule", "sum.xml", "--topology", "full_mesh", "--set", "topology.n=1", "--size", "1MiB"), "sum.xml"),
    ],
)
def test_wrong_use_is_one_message_and_exit_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    answer = command(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert "Traceback" not in answer.err


@needs_data
def test_more_ranks_than_the_machine_has(command: Command) -> None:
    file = SCHEDULES / "rccl_alltoall_2dhier_simple_n32.xml"
    answer = command("run", "--schedule", file, "--topology", "trn2", "--size", "64MiB")
    assert (answer.code, answer.out) == (2, "")
    assert "is a schedule of 32 ranks, and trn2 has 16" in answer.err


@needs_data
def test_the_ring_from_xml_and_from_traces(command: Command) -> None:
    """14 steps of 128 KiB; the traces' compute adds 7 us after each of the 7 steps that sum."""
    common = ("--topology", "trn2", "--place", CYCLE, "--size", "1MiB", "--set", "overheads=none", "--json")
    xml = time(command("run", "--schedule", RING, *common))
    traces = ("run", "--schedule", SCHEDULES / "custom_allreduce.0.et", *common)
    assert xml == pytest.approx(14 * STEP, rel=1e-9)
    assert time(command(*traces, "--compute", "zero")) == xml
    assert time(command(*traces)) == pytest.approx(14 * STEP + 7 * 7e-6, rel=1e-9)


@needs_data
def test_a_file_without_a_collective_has_no_bound(command: Command) -> None:
    answer = command("run", "--schedule", SCHEDULES / "binary_tree_32.goal", "--topology", "trn2_ultraserver", "--json")
    assert answer.code == 0
    row = json.loads(answer.out)["results"][0]
    assert (row["collective"], row["bound"], row["gap"], row["transfers"]) == ("custom", "none", None, 31)


@needs_data
def test_a_size_that_the_file_is_not_meant_for_is_said(command: Command) -> None:
    file = SCHEDULES / "ncv4_allreduce_tree_n4.xml"  # 96 B to below 617472 B
    for size, warned in (("64 KiB", False), ("1 MiB", True)):
        answer = command("run", "--schedule", file, "--topology", "trn2", "--size", size)
        assert answer.code == 0
        assert ("is meant for sizes from 96 B to below 603 KiB" in answer.out) == warned


def test_results_are_written(command: Command) -> None:
    answer = command("run", "--schedule", "sum.xml", "--topology", "trn2", "--size", "1MiB..4MiB x2", "-o", "out")
    assert answer.code == 0, answer.err
    rows = json.loads(Path("out/results.json").read_text())["results"]
    assert [row["size_bytes"] for row in rows] == [2**20, 2**21, 2**22]
    assert not Path("out/scenario.yaml").exists()


def test_a_schedule_of_ours_goes_out_and_comes_back(command: Command) -> None:
    """Ring and mesh on a ring of 6: what is written as MSCCL XML runs as long as the scenario does."""
    fabric = ("--set", "topology.n=6", "--set", "topology.bandwidth=1 GB/s")
    for collective, name in (("all_reduce", "ring"), ("allg", "mesh")):
        answer = command("schedule", collective, "--topology", "full_mesh", "--algorithm", name, *fabric, "-o", "out.xml")
        assert (answer.code, answer.out, answer.err) == (0, "", "")
        assert command("prove", "out.xml").code == 0
        again = ("run", "--schedule", "out.xml", "--topology", "full_mesh", *fabric, "--set", "overheads=none", "--json")
        # ring: 10 steps of a sixth, half of it each way; mesh: a sixth to everybody at once
        expected = {"ring": 10 * 6e6 / 12 / 1e9, "mesh": 1e6 / 1e9}[name]
        assert time(command(*again, "--size", "6 MB")) == pytest.approx(expected, rel=1e-9)


def test_goal_out_needs_a_size_and_says_what_it_does_not_hold(command: Command) -> None:
    base = ("schedule", "all_reduce", "--topology", "trn2", "--algorithm", "ring", "--format", "goal")
    answer = command(*base)
    assert (answer.code, answer.out) == (2, "")
    assert "give --size" in answer.err
    answer = command(*base, "--size", "1MiB")
    assert answer.code == 0
    assert answer.out.startswith("num_ranks 16\nrank 0 {")
    assert "copied or summed" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("all_reduse", "--topology", "trn2", "--algorithm", "ring"), "did you mean all_reduce"),
        (("all_reduce", "--topology", "trn2", "--algorithm", "rink"), "did you mean ring"),
        (("all_reduce", "--topology", "trn2_", "--algorithm", "ring"), "did you mean trn2"),
        (("all_reduce", "--topology", "trn3_gen2", "--algorithm", "bucket"), "bucket"),
    ],
)
def test_what_cannot_be_written_is_refused(command: Command, arguments: tuple[str, ...], message: str) -> None:
    answer = command("schedule", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


CHAIN = msccl(
    "custom",
    1,
    [[(1, -1, ["s i0"])], [(2, 0, ["rcs i0"])], [(3, 1, ["rcs i0"])], [(-1, 2, ["r i0"])]],
    in_place=False,
)


@pytest.mark.parametrize("slices", [1, 2, 8])
def test_a_schedule_file_is_cut_into_slices(command: Command, slices: int) -> None:
    """A chain over 4 ranks: (n - 2 + P) steps of S / P, and as many delays."""
    Path("chain.xml").write_bytes(CHAIN)
    fabric = ("--topology", "full_mesh", "--set", "topology.n=4", "--set", "topology.bandwidth=1 GB/s")
    delays = ("--set", "overheads={alpha_link: 5 us}")
    answer = command("run", "--schedule", "chain.xml", *fabric, *delays, "--size", "8 MB", "--slices", str(slices), "--json")
    assert time(answer) == pytest.approx((2 + slices) * (8e6 / slices / 1e9 + 5e-6))


def test_slices_of_a_file_are_those_of_the_algorithm(command: Command) -> None:
    """A thread block does all its steps for one slice before the next: cut when run or when written, the ring takes as long."""
    fabric = ("--topology", "full_mesh", "--set", "topology.n=6", "--set", "topology.bandwidth=1 GB/s")
    make = ("schedule", "all_reduce", *fabric, "--algorithm", "ring")
    assert command(*make, "-o", "whole.xml").code == 0
    assert command(*make, "--set", "algorithm.slices=4", "-o", "cut.xml").code == 0
    run = (*fabric, "--set", "overheads={alpha_link: 5 us}", "--size", "6 MB", "--json")
    whole = time(command("run", "--schedule", "whole.xml", *run, "--slices", "4"))
    assert time(command("run", "--schedule", "cut.xml", *run)) == pytest.approx(whole, rel=1e-12)
    # Two rings, each 10 steps of 4 slices of 6 MB / 12 / 4, one after another.
    assert whole == pytest.approx(10 * 4 * (6e6 / 48 / 1e9 + 5e-6))


def test_what_slices_and_algorithms_go_with(command: Command) -> None:
    run = ("run", "--schedule", "sum.xml", "--topology", "trn2", "--size", "1MiB")
    for arguments, message in (
        (("run", "torus-vs-switch", "--slices", "2"), "--slices goes with --schedule"),
        ((*run, "--slices", "0"), "--slices"),
        ((*run, "--slices", "100000000"), "sum.xml: --slices: "),
        ((*run, "--algorithm", "ring"), "only Chakra traces have collective nodes"),
    ):
        answer = command(*arguments)
        assert (answer.code, answer.out) == (2, "")
        assert message in answer.err
