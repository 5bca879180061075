"""MSCCL XML: the published files by their manifest, and every verdict on a file small enough to see why."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import pytest

from fabric.errors import InputError
from fabric.formats import judge
from fabric.formats.msccl import read_msccl

from .files import SCHEDULES, Block, msccl, needs_data

ROWS = list(csv.DictReader((SCHEDULES / "MANIFEST.csv").read_text().splitlines())) if SCHEDULES.is_dir() else []
VERDICTS = {"OK": {"ok"}, "BAD": {"wrong", "missing"}, "DEADLOCK": {"deadlock"}, "SKIP": {"no-postcondition"}}

# A sum of two ranks in place: each sends one half and sums the other, then sends its sum.
RANK_0 = (1, 1, ["s i1", "rrc i0", "s i0", "r i1"])
RANK_1 = (0, 0, ["s i0", "rrc i1", "s i1", "r i0"])


def verdict(data: bytes) -> str:
    return judge(read_msccl(data, "small.xml")).verdict


@needs_data
@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_published_files_get_the_verdict_and_the_bytes_of_the_manifest(row: dict[str, str]) -> None:
    judgement = judge(read_msccl((SCHEDULES / row["file"]).read_bytes(), row["file"]))
    assert judgement.verdict in VERDICTS[row["verification"].split()[0].rstrip(":")]
    assert sum(judgement.sent) == pytest.approx(float(row["total_traffic_in_units_of_S"]), rel=1e-9)
    assert max(judgement.sent) == pytest.approx(float(row["max_rank_sent_in_units_of_S"]), rel=1e-9)


@needs_data
def test_the_wrong_file_is_wrong_in_32_of_64_outputs() -> None:
    name = "msccltools_allreduce_ndv2_n8.xml"
    assert "32 of 64 outputs" in judge(read_msccl((SCHEDULES / name).read_bytes(), name)).fault.message


@needs_data
def test_eight_slots_suffice_for_every_file_that_is_right() -> None:
    for row in ROWS:
        if row["verification"].startswith("OK"):
            assert judge(read_msccl((SCHEDULES / row["file"]).read_bytes(), row["file"], slots=8)).verdict == "ok", row["file"]


@needs_data
@pytest.mark.parametrize(
    "name", ["ncv4_allreduce_tree_n4.xml", "astrasim_allreduce_ring_n8.xml", "rccl_allreduce_1step_n4.xml"]
)
def test_a_file_without_one_of_its_steps_is_never_right(name: str) -> None:
    """Each step of these files moves or sums something that is due (nop: orders it), so none can be spared."""
    root = ElementTree.fromstring((SCHEDULES / name).read_bytes())
    places = [(g, t) for g, gpu in enumerate(root) for t, block in enumerate(gpu) if len(block)]
    for g, t in places[:: max(1, len(places) // 8)]:
        copy = ElementTree.fromstring(ElementTree.tostring(root))
        last = copy[g][t][-1]
        last.set("type", "nop")
        last.set("cnt", "0")
        assert verdict(ElementTree.tostring(copy)) in ("missing", "unmatched", "wrong", "race")


def test_two_ranks_sum_in_place() -> None:
    judgement = judge(read_msccl(msccl("allreduce", 2, [[RANK_0], [RANK_1]]), "small.xml"))
    assert judgement.to_dict() == {"verdict": "ok", "where": {"rank": None, "chunk": None, "step": None}, "sent_S": [1.0, 1.0]}


# Each: the blocks of both ranks, the verdict, rank, chunk and step.
ALL_REDUCE = [
    pytest.param([(1, 1, ["s i1", "rrc i0", "s i0", "r i1"])], [(0, 0, ["s i0", "r i1", "s i1", "r i0"])],
                 ("missing", 0, 1, 3), id="copied instead of summed: rank 0's own chunk is lost to the end"),
    pytest.param([(1, 1, ["s i1", "rrc i0", "s i0", "rrc i1"])], [RANK_1], ("double", 0, 1, 3), id="summed instead of copied"),
    pytest.param([(1, 1, ["s i1", "rrc i0", "s i0", "r i0"])], [RANK_1], ("wrong", 0, 0, 3), id="into another chunk"),
    pytest.param([RANK_0], [(0, 0, ["s i0", "rrc i1", "s i1"])], ("unmatched", 0, 0, 2), id="a send that nobody receives"),
    pytest.param([(1, 1, ["s i1", "rrc i0", "r i1"])], [RANK_1], ("unmatched", 1, 0, 3), id="a receive that nobody sends"),
    pytest.param([(1, 1, ["r i1", "s i1"])], [(0, 0, ["r i0", "s i0"])], ("deadlock", 0, 1, 0), id="both receive first"),
    pytest.param([(1, 1, ["s i1 x1", "rrc i0", "s i0", "r i1"])], [(0, 0, ["s i0 x2", "rrc i1", "s i1", "r i0"])],
                 ("unmatched", 0, 0, 1), id="two chunks sent, one received"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "expected"), ALL_REDUCE)
def test_faults_are_told_apart_and_located(
    first: Sequence[Block], second: Sequence[Block], expected: tuple[str, int, int, int]
) -> None:
    fault = judge(read_msccl(msccl("allreduce", 2, [first, second]), "small.xml")).fault
    assert (fault.verdict, fault.rank, fault.chunk, fault.step) == expected


# Rank 0 receives into scratch in one thread block and adds it in another; without the dependence that is a race.
@pytest.mark.parametrize(("dependence", "expected"), [(" after 1.0", "ok"), ("", "race")])
def test_a_missing_dependence_is_a_race(dependence: str, expected: str) -> None:
    summing: Block = (-1, -1, [f"re s0 i0{dependence}"])
    receiving: Block = (-1, 1, ["r s0 signal"])
    sending: Block = (1, -1, ["nop after 0.0", "s i0"])
    first = [(summing[0], summing[1], [f"{summing[2][0]} signal"]), receiving, sending]
    second: list[Block] = [(0, -1, ["s i0 signal"]), (-1, 0, ["r i0 after 0.0"])]
    data = msccl("allreduce", 1, [first, second], scratch=1)
    fault = judge(read_msccl(data, "small.xml")).fault
    assert fault.verdict == expected
    if expected == "race":
        assert (fault.rank, fault.chunk) == (0, 0)


def test_what_a_receive_overwrites_must_have_been_sent() -> None:
    """Rank 0 receives into the chunk that its other thread block sends: only a dependence keeps the old content."""
    for dependence, expected in ((" after 0.0", "no-postcondition"), ("", "race")):
        first: list[Block] = [(1, -1, ["s i0 signal"]), (-1, 1, [f"r i0{dependence}"])]
        second: list[Block] = [(0, -1, ["s i0"]), (-1, 0, ["r s0"])]
        assert verdict(msccl("custom", 1, [first, second], scratch=1)) == expected


def test_a_nop_hands_its_dependence_to_the_next_step() -> None:
    first: list[Block] = [(1, -1, ["s i0 signal"]), (-1, 1, ["nop after 0.0", "r i0"])]
    assert verdict(msccl("allreduce", 1, [first, [(0, 0, ["rrc i0", "s i0"])]])) == "ok"


def test_a_step_without_a_signal_is_waited_for_in_vain() -> None:
    first: list[Block] = [(1, -1, ["s i0"]), (-1, 1, ["r i0 after 0.0"])]
    fault = judge(read_msccl(msccl("allreduce", 1, [first, [(0, 0, ["rrc i0", "s i0"])]]), "small.xml")).fault
    assert (fault.verdict, fault.rank, fault.step) == ("deadlock", 0, 0)
    assert "no signal" in fault.message


def test_slots_bound_what_is_under_way() -> None:
    """Both ranks send twice before they receive: two slots hold that, one does not."""
    blocks: list[list[Block]] = [[(1, 1, ["s i0", "s i0", "r s0", "r s1"])], [(0, 0, ["s i0", "s i0", "r s0", "r s1"])]]
    data = msccl("custom", 1, blocks, scratch=2)
    assert judge(read_msccl(data, "small.xml", slots=2)).verdict == "no-postcondition"
    assert judge(read_msccl(data, "small.xml", slots=1)).verdict == "deadlock"


def test_receive_and_forward_steps() -> None:
    """A chain of three: rank 1 adds and forwards without storing (rrs), rank 2 sums, and the sum comes back through rank 1."""
    first: list[Block] = [(1, -1, ["s i0 signal"]), (-1, 1, ["r i0 after 0.0"])]
    second: list[Block] = [(2, 0, ["rrs i0 signal"]), (0, 2, ["rcs i0 after 0.0"])]
    third: list[Block] = [(1, 1, ["rrc i0", "s i0"])]
    judgement = judge(read_msccl(msccl("allreduce", 1, [first, second, third]), "small.xml"))
    assert (judgement.verdict, judgement.sent) == ("ok", [1.0, 2.0, 1.0])
    kept: list[Block] = [(2, 0, ["rrcs i0 signal"]), (0, 2, ["rcs i0 after 0.0"])]
    assert verdict(msccl("allreduce", 1, [first, kept, third])) == "ok"


def test_all_to_all_out_of_place() -> None:
    first: list[Block] = [(1, 1, ["s i1", "r o1"]), (-1, -1, ["cpy i0 o0"])]
    second: list[Block] = [(0, 0, ["s i0", "r o0"]), (-1, -1, ["cpy i1 o1"])]
    assert verdict(msccl("alltoall", 2, [first, second], in_place=False)) == "ok"
    assert verdict(msccl("alltoall", 2, [first, second[:1]], in_place=False)) == "missing"


def test_reduce_scatter_in_place() -> None:
    good: list[list[Block]] = [[(1, 1, ["s i1", "rrc i0"])], [(0, 0, ["s i0", "rrc i1"])]]
    assert verdict(msccl("reduce_scatter", 2, good)) == "ok"
    assert verdict(msccl("reducescatter", 2, good)) == "ok"


BAD = [
    (b"", "not XML"),
    (b"<algo", "not XML"),
    (b"<topology/>", "expected <algo>"),
    (b'<!DOCTYPE a [<!ENTITY b "cc">]><algo name="&b;"/>', "document type"),
    (b'<?xml version="1.0"?>\n<!DOCTYPE algo SYSTEM "http://nowhere/x.dtd">\n<algo/>', "small.xml:2: a document type"),
    (b'<algo ngpus="1" coll="allreduce"/>', "has no nchunksperloop"),
    (b'<algo ngpus="2" nchunksperloop="2" coll="allreduce"><gpu id="0"/></algo>', "ngpus is 2"),
    (b'<algo ngpus="3" nchunksperloop="2" coll="allgather"><gpu id="0"/><gpu id="1"/><gpu id="2"/></algo>', "no multiple"),
    (b'<algo ngpus="1" nchunksperloop="999999999" coll="allreduce"><gpu id="0"/></algo>', "are read"),
    (
        msccl("allreduce", 2, [[(1, 1, ["s i1 x-1"])], []]),
        "small.xml:4: step: cnt has to be a whole number of at least 1, not '-1'",
    ),
    (msccl("allreduce", 2, [[(1, 1, ["s i1 x5"])], []]), "go beyond the 2 of buffer i"),
    (
        msccl("custom", 1, [[(1, 1, ["s i1 x999999999"])], []]).replace(b'i_chunks="1"', b'i_chunks="1000000000000"'),
        "name more than the 20000000 chunks",
    ),
    (msccl("allreduce", 2, [[(1, 1, ["rrcc i1"])], []]), "did you mean rrc?"),
    (msccl("allreduce", 2, [[(7, 1, ["s i1"])], []]), "send of its thread block is 7"),
    (msccl("allreduce", 2, [[(1, 1, ["s i1 after 3.0"])], []]), "thread block 3 of gpu 0, which is not there"),
    (msccl("allreduce", 2, [[RANK_0], [RANK_1]]).replace(b'step s="1"', b'step s="4"', 1), "expected step 1 here, not 4"),
    (msccl("allreduce", 2, [[RANK_0], [RANK_1]]).replace(b'id="1" i_', b'id="0" i_'), "gpus 0 to 1 once each"),
    (msccl("allreduce", 2, [[RANK_0], [RANK_1]]).replace(b"</gpu>", b"words</gpu>", 1), "text 'words'"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad_files_are_refused_with_their_place(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"small\.xml:[0-9]+") as caught:
        read_msccl(data, "small.xml")
    assert message in str(caught.value)


def test_an_unknown_collective_and_attribute_are_said() -> None:
    data = msccl("alreduce", 2, [[RANK_0], [RANK_1]]).replace(b"<gpu ", b'<gpu colour="red" ', 1)
    program = read_msccl(data, "small.xml")
    assert judge(program).verdict == "no-postcondition"
    assert any("did you mean allreduce" in note for note in program.notes)
    assert any("colour" in note for note in program.notes)
