"""GOAL in and out."""

from __future__ import annotations

import numpy as np
import pytest

from fabric.bind import Overheads
from fabric.collectives import algorithm
from fabric.errors import InputError
from fabric.formats import judge, read_schedule, timed, write_goal
from fabric.formats.goal import read_goal
from fabric.layout import Layout

from .files import SCHEDULES, needs_data
from .test_chakra import time

PING = """\
num_ranks 2
rank 0 {
l1: calc 100 cpu 0
l2: send 4096b to 1 tag 7 cpu 0 nic 0   // after the calc
l2 requires l1
}
/* the other side */
rank 1 {
l1: recv 4096b from 0 tag 7
l2: calc 50
l2 requires l1
}
"""


def read(text: str) -> float:
    return time(timed(read_goal(text.encode(), "t.goal")))


@needs_data
def test_the_binomial_tree_of_32() -> None:
    program = read_schedule(SCHEDULES / "binary_tree_32.goal")
    judgement = judge(program)
    assert judgement.verdict == "no-postcondition"
    # Rank 0 sends 5 bytes, which is the unit; 31 transfers in all.
    assert (program.ranks, program.size) == (32, 5)
    assert sum(judgement.sent) * 5 == pytest.approx(31)
    # Distance doubling: rank v sends once it has received, so the depth is the number of bits of a rank: at most 5.
    schedule = timed(program)
    assert (schedule.transfers, schedule.steps) == (31, 5)


def test_calcs_and_messages_add_up() -> None:
    assert read(PING) == pytest.approx(100e-9 + 4096e-9 + 50e-9)


def test_irequires_waits_for_the_start_only() -> None:
    text = "num_ranks 2\nrank 0 {\na: calc 100\nb: calc 1000\nb requires a\nc: calc 500\nc %s b\n}\nrank 1 {\n}\n"
    assert read(text % "requires") == pytest.approx(1600e-9)
    assert read(text % "irequires") == pytest.approx(1100e-9)
    assert read(text.replace("calc 1000", "calc 10") % "irequires") == pytest.approx(600e-9)


BAD = [
    ("", "expected num_ranks"),
    ("num_ranks 0\n", "t.goal:1: expected num_ranks and a number from 1 to 1048576"),
    (PING.replace("rank 1 {", "rank 0 {"), "rank 0: expected each of 0 to 1 once"),
    (PING.replace("to 1", "to 2"), "t.goal:4: send needs `to N`"),
    (PING.replace("cpu 0 nic", "cpv 0 nic"), "did you mean cpu?"),
    (PING.replace("send 4096b", "send 4096"), "bytes such as 4096b"),
    (PING.replace("send 4096b", "send -4096b"), "t.goal:4: expected `label:"),
    (PING.replace("l2 requires l1", "l2 requires l3"), "no l3 before this line in rank 0"),
    (PING.replace("l2: calc", "l1: calc"), "a second l1 in rank 1"),
    (PING[:-3], "ends inside a rank"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_files_are_refused_with_their_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"t\.goal:[0-9]+: ") as caught:
        read_goal(text.encode(), "t.goal")
    assert message in str(caught.value)


def test_unmatched_and_deadlocked_files() -> None:
    def verdict(text: str) -> str:
        return judge(read_goal(text.encode(), "t.goal")).verdict

    assert verdict(PING) == "no-postcondition"
    assert verdict(PING.replace("tag 7\n", "tag 8\n")) == "unmatched"
    assert verdict(PING.replace("recv 4096b", "recv 4095b")) == "unmatched"
    assert verdict(PING.replace("l2 requires l1", "l2 requires l1\nl1 requires l2", 1)) == "deadlock"


def test_what_is_not_heeded_is_said() -> None:
    notes = read_goal(b"num_ranks 1\nrank 0 {\ncalc 1\ncalc 2\n}\n", "t.goal").notes
    assert notes == ["calcs of one cpu overlap unless one requires the other"]


@pytest.mark.parametrize("name", ["ring", "rdh", "mesh"])
def test_a_schedule_comes_back_with_its_bytes_and_waits(name: str) -> None:
    schedule = algorithm("all_reduce", name)(Layout(8)).scaled(2**20)
    written = write_goal(schedule)
    assert "copied or summed" in written.notes[0]
    program = read_goal(written.text.encode(), "t.goal")
    back = timed(program)
    assert judge(program).verdict == "no-postcondition"
    assert back.transfers == schedule.transfers
    np.testing.assert_array_equal(back.sent(), schedule.sent())
    assert time(back) == pytest.approx(time(schedule), rel=1e-12)


def test_compute_is_written_too() -> None:
    program = read_goal(PING.encode(), "t.goal")
    again = read_goal(write_goal(timed(program)).text.encode(), "t.goal")
    assert time(timed(again)) == pytest.approx(100e-9 + 4096e-9 + 50e-9)


def test_goal_holds_whole_bytes_only() -> None:
    with pytest.raises(InputError, match="whole bytes"):
        write_goal(algorithm("all_reduce", "ring")(Layout(3)).scaled(1000))


SMALL = sorted(path.name for path in SCHEDULES.glob("*.xml") if path.stat().st_size < 40_000)


@needs_data
@pytest.mark.parametrize("name", SMALL)
def test_real_schedules_keep_their_bytes_and_their_time(name: str) -> None:
    """From MSCCL XML to GOAL and back; 315 MiB divide into all of their chunks."""
    program = read_schedule(SCHEDULES / name)
    if not judge(program).holds:  # a faulty schedule has no time
        return
    schedule = timed(program).scaled(315 * 2.0**20)
    back = timed(read_goal(write_goal(schedule).text.encode(), "back.goal"))
    assert back.sent() == pytest.approx(schedule.sent())
    overheads = Overheads(alpha_link=1e-6)
    assert time(back, overheads) == pytest.approx(time(schedule, overheads), rel=1e-12)
