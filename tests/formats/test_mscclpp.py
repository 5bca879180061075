"""MSCCL++ execution plans: the published ones, small changes to them that break them, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from fabric.errors import InputError
from fabric.formats import judge, timed
from fabric.formats.mscclpp import read_mscclpp

from .files import SCHEDULES, needs_data
from .test_chakra import time

Plan = dict[str, Any]


def gpu(rank: int, ops: list[list[Plan]], scratch: int = 2) -> Plan:
    """A rank of two with a channel to the other and its three buffers (0 input, 1 output, 2 scratch)."""
    other = 1 - rank
    return {
        "id": rank, "input_chunks": 2, "output_chunks": 2, "scratch_chunks": scratch,
        "threadblocks": [
            {"id": block, "ops": mine, "channels": [{"channel_type": "memory", "channel_ids": [0]}],
             "remote_buffer_refs": [{"access_channel_type": "memory", "remote_buffer_ids": [0, 1, 2]}]}
            for block, mine in enumerate(ops)
        ],
        "channels": [{"channel_type": "memory", "connected_to": [other]}],
        "remote_buffers": [{"rank": other, "type": kind, "access_channel_types": ["memory"]} for kind in "ios"],
    }  # fmt: skip


def plan(*gpus: Plan, collective: str = "allreduce") -> Plan:
    return deepcopy({"name": "small", "collective": collective, "inplace": True, "gpus": list(gpus)})


def at(kind: str | int, index: int, size: int = 1) -> Plan:
    return {"buffer_id" if isinstance(kind, int) else "type": kind, "index": index, "size": size}


def move(name: str, sources: list[Plan], targets: list[Plan]) -> Plan:
    return {"name": name, "src_buff": sources, "dst_buff": targets, "channel_type": "memory"}


SIGNAL = {"name": "signal", "channel_ids": [0], "channel_type": "memory"}
WAIT = {"name": "wait", "channel_ids": [0], "channel_type": "memory"}


def reduce_plan() -> Plan:
    """Each rank puts the other's half into its scratch, signals, adds what it got, and puts the sum into the other's input."""

    def ops(rank: int) -> list[Plan]:
        other = 1 - rank
        return [
            move("put", [at("i", other)], [at(2, other)]), SIGNAL, WAIT,
            move("res", [at("i", rank), at("s", rank)], [at("i", rank), at(0, rank)]), SIGNAL, WAIT,
        ]  # fmt: skip

    return plan(gpu(0, [ops(0)]), gpu(1, [ops(1)]))


def verdict(one: Plan) -> str:
    return judge(read_mscclpp(json.dumps(one).encode(), "p.json")).verdict


@needs_data
@pytest.mark.parametrize(
    ("name", "sent"),
    [
        # Rank 0 reads chunks 0 and 1 of rank 1 and brings it their sums; so does rank 1 with chunks 2 and 3.
        ("mscclpp_reduce.json", [1.0, 1.0]),
        ("mscclpp_transfer_pack.json", [0.5, 0.5]),
    ],
)
def test_published_plans(name: str, sent: list[float]) -> None:
    judgement = judge(read_mscclpp((SCHEDULES / name).read_bytes(), name))
    assert (judgement.verdict, judgement.sent) == ("ok", sent)


def test_a_small_all_reduce() -> None:
    program = read_mscclpp(json.dumps(reduce_plan()).encode(), "p.json")
    assert (judge(program).verdict, judge(program).sent) == ("ok", [1.0, 1.0])
    # Two halves, one after the other, both directions at once: S / bandwidth.
    assert time(timed(program).scaled(1e6)) == pytest.approx(1e6 / 1e9)


def without_wait(one: Plan) -> None:
    del one["gpus"][0]["threadblocks"][0]["ops"][2]


def without_signal(one: Plan) -> None:
    del one["gpus"][0]["threadblocks"][0]["ops"][4]


def without_put(one: Plan) -> None:
    del one["gpus"][0]["threadblocks"][0]["ops"][0]


def added_twice(one: Plan) -> None:
    one["gpus"][0]["threadblocks"][0]["ops"][3]["src_buff"] *= 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [(without_wait, "race"), (without_signal, "deadlock"), (without_put, "missing"), (added_twice, "double")],
)
def test_a_broken_plan_gets_its_verdict(change: Callable[[Plan], None], expected: str) -> None:
    one = reduce_plan()
    change(one)
    assert verdict(one) == expected


def test_packets_are_awaited_by_their_readers() -> None:
    """Rank 0's packet is unpacked in another thread block without a wait; a packet that nobody writes is awaited for ever."""
    sending = [[move("ppkt", [at("o", 0)], [at(2, 0)])], [move("upkt", [at("s", 1)], [at("o", 1)])]]
    answering = [[move("ppkt", [at("o", 1)], [at(2, 1)])], [move("upkt", [at("s", 0)], [at("o", 0)])]]
    good = plan(gpu(0, sending), gpu(1, answering), collective="allgather")
    assert verdict(good) == "ok"
    assert verdict(plan(gpu(0, sending), gpu(1, answering[1:]), collective="allgather")) == "deadlock"


def test_a_barrier_orders_thread_blocks() -> None:
    barrier = {"name": "barrier", "barrier_id": 0, "nthread_blocks": 2}
    for meet, expected in (([barrier], "no-postcondition"), ([], "race")):
        blocks = [[move("copy", [at("i", 0)], [at("s", 0)]), *meet], [*meet, move("copy", [at("s", 0)], [at("o", 0)])]]
        assert verdict(plan(gpu(0, blocks), gpu(1, []), collective="custom")) == expected


def test_a_pipeline_runs_its_operations_once() -> None:
    one = reduce_plan()
    block = one["gpus"][0]["threadblocks"][0]
    block["ops"] = [{"name": "pipeline", "iter_context": {}, "ops": block["ops"]}]
    assert verdict(one) == "ok"
    assert notes(one) == ["a pipeline runs once over whole chunks, not unit by unit"]


def notes(one: dict[str, Any]) -> list[str]:
    return read_mscclpp(json.dumps(one).encode(), "plan.json").notes


def test_keys_that_are_not_known_are_said_once() -> None:
    one = reduce_plan()
    assert notes(one) == []
    for gpu_ in one["gpus"]:
        for block in gpu_["threadblocks"]:
            for operation in block["ops"]:
                operation["unroll"] = 4
    one["speed"] = 9
    said = notes(one)
    assert said[0] == "plan.json: plan has 'speed', unknown here, first at plan"
    assert said[1].startswith("plan.json: operation has 'unroll', unknown here, first at gpus[0].threadblocks[0].ops[0]")
    assert len(said) == 2


def change(path: str, value: object) -> bytes:
    """The small plan with one value changed."""
    whole = reduce_plan()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = whole
    for part in way:
        place = place[part]
    place[last] = value
    return json.dumps(whole).encode()


OPS = "gpus.0.threadblocks.0.ops"
BAD = [
    (b"{", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    (b"{}", "plan.gpus: expected a list"),
    (change("gpus.1.id", 5), "gpus[1]: expected id 1"),
    (change("gpus.0.input_chunks", -1), "gpus[0].input_chunks: expected at least 1"),
    (change(f"{OPS}.0.name", "glres"), "gpus[0].threadblocks[0].ops[0]: operation 'glres' is not read"),
    (change(f"{OPS}.0.src_buff.0.size", -2), "ops[0].src_buff[0].size: expected at least 1, not -2"),
    (change(f"{OPS}.0.src_buff.0.size", 3), "go beyond the 2 of buffer i of rank 0"),
    (change(f"{OPS}.0.dst_buff.0.buffer_id", 7), "no number 7 among 3"),
    (change(f"{OPS}.1.channel_ids", [4]), "no number 4 among 1"),
    (change("gpus.0.remote_buffers.2.rank", 9), "no rank 9"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad_plans_are_refused_with_their_place(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"p\.json: ") as caught:
        read_mscclpp(data, "p.json")
    assert message in str(caught.value)
