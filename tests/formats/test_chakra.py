"""Chakra traces: the ring in eight files against the same ring in XML, small traces written byte by byte, and bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fabric.bind import NO_OVERHEADS, Overheads, Placement, bind, route_traffic
from fabric.errors import InputError
from fabric.formats import judge, read_schedule, timed
from fabric.formats.chakra import lowering_of, read_chakra
from fabric.formats.program import Program
from fabric.layout import Layout
from fabric.network import Network
from fabric.schedule import Schedule
from fabric.simulation import run_flows
from topologies import BUILDERS

from .files import SCHEDULES, needs_data

COMP, SEND, RECEIVE, COLLECTIVE = 4, 5, 6, 7
BANDWIDTH = 1e9


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number * 8 + 2) + varint(len(value)) + value
    return varint(number * 8) + varint(value)


def node(number: int, kind: int, needs: Sequence[int] = (), micros: int = 0, group: str = "", **values: int) -> bytes:
    """A Node message after its length: attributes as int64, dependencies one packed and the rest not."""
    body = field(1, number) + field(2, b"node") + field(3, kind) + field(7, micros)
    body += field(5, bytes(needs[:1])) + b"".join(field(5, need) for need in needs[1:])
    for name, value in values.items():
        body += field(10, field(1, name.encode()) + field(9, value))
    if group:
        body += field(10, field(1, b"pg_name") + field(29, group.encode()))
    return varint(len(body)) + body


def trace(*nodes: bytes) -> bytes:
    metadata = field(1, b"0.0.4")
    return varint(len(metadata)) + metadata + b"".join(nodes)


def read(*ranks: bytes) -> Program:
    return read_chakra([(f"t.{rank}.et", data) for rank, data in enumerate(ranks)], "t")


def time(schedule: Schedule, overheads: Overheads = NO_OVERHEADS) -> float:
    """On a full mesh of links of 1 GB/s without latency."""
    network = Network(BUILDERS["full_mesh"](n=max(schedule.ranks, 2), bandwidth=BANDWIDTH))
    placed = [Placement(schedule, np.arange(schedule.ranks))]
    return float(run_flows(bind(network, placed, route_traffic(network, placed), overheads)).time)


@needs_data
def test_the_ring_takes_the_same_time_from_xml_and_from_traces() -> None:
    xml = timed(read_schedule(SCHEDULES / "astrasim_allreduce_ring_n8.xml")).scaled(2**20)
    program = read_schedule(SCHEDULES / "custom_allreduce.0.et")
    assert judge(program).verdict == "no-postcondition"
    # 14 steps of 128 KiB; each pays 1 us.
    step = 2**17 / BANDWIDTH + 1e-6
    overheads = Overheads(alpha_link=1e-6)
    assert time(xml, overheads) == pytest.approx(14 * step, rel=1e-12)
    assert time(timed(program, compute=False), overheads) == pytest.approx(14 * step, rel=1e-12)
    # Every rank sums 7 times, after each of the first 7 steps, for 7 us.
    assert time(timed(program), overheads) == pytest.approx(14 * step + 7 * 7e-6, rel=1e-12)


@needs_data
def test_one_file_or_the_prefix_stands_for_all() -> None:
    for name in ("custom_allreduce.3.et", "custom_allreduce"):
        assert read_schedule(SCHEDULES / name).ranks == 8


def test_compute_delays_what_depends_on_it() -> None:
    """0 sends 1000 B, 1 computes 5 us and sends 2000 B back: 1 us + 5 us + 2 us."""
    program = read(
        trace(node(0, SEND, comm_size=1000, comm_dst=1), node(1, RECEIVE, comm_size=2000, comm_src=1)),
        trace(
            node(0, RECEIVE, comm_size=1000, comm_src=0),
            node(1, COMP, [0], micros=5),
            node(2, SEND, [1], comm_size=2000, comm_dst=0),
        ),
    )
    assert time(timed(program)) == pytest.approx(8e-6)
    assert time(timed(program, compute=False)) == pytest.approx(3e-6)
    # Compute pays no overhead, transfers do.
    assert time(timed(program), Overheads(alpha_link=1e-6)) == pytest.approx(10e-6)
    assert judge(program).sent == [0.5, 1.0]


def test_sends_do_not_wait_for_their_receivers() -> None:
    """Both send before they receive, and rank 1 computes for 9 us before it looks: the compute alone counts."""
    program = read(
        trace(node(0, SEND, comm_size=1000, comm_dst=1), node(1, RECEIVE, [0], comm_size=1000, comm_src=1)),
        trace(
            node(0, SEND, comm_size=1000, comm_dst=0),
            node(1, COMP, micros=9),
            node(2, RECEIVE, [0, 1], comm_size=1000, comm_src=0),
        ),
    )
    assert judge(program).verdict == "no-postcondition"
    assert time(timed(program)) == pytest.approx(9e-6)


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        (0, 4000, 2 * 3 * 500e-9),  # all_reduce, two rings of half the size each way: 2 x 3 steps of 4000 / 4 / 2 B
        (2, 4000, 3 * 2000e-9),  # all_gather: 3 steps of 4000 / 2 B
        (6, 4000, 1000e-9),  # all_to_all: 1000 B to each, on a link each
        (7, 4000, 3 * 500e-9),
        (8, 4000, 3 * 500e-9),
        (5, 4000, 2 * 4000e-9),  # broadcast by a binomial tree: log2 4 steps of 4000 B
        (1, 4000, 2 * 4000e-9),
        (3, 4000, 4000e-9 + 8000e-9),  # gather: 4000 B, then the 8000 B of two ranks
        (4, 4000, 2000e-9 + 1000e-9),  # scatter of 4000 B: half of them, then a quarter
    ],
)
def test_collective_nodes_run_between_what_they_depend_on(kind: int, size: int, expected: float) -> None:
    ranks = [
        trace(
            node(0, COMP, micros=3),
            node(1, COLLECTIVE, [0], comm_type=kind, comm_size=size),
            node(2, COMP, [1], micros=4),
        )
        for _ in range(4)
    ]
    program = read(*ranks)
    assert time(timed(program)) == pytest.approx(7e-6 + expected)
    assert "collective nodes run as" in program.notes[0]


def collective(kind: int, size: int, **values: int) -> bytes:
    return trace(node(0, COLLECTIVE, comm_type=kind, comm_size=size, **values))


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("rdh", 0, 2 * (2000 + 1000) * 1e-9),  # halving and doubling: a half, a quarter, a quarter, a half
        ("mesh", 0, 2 * 1000e-9),
        ("all_reduce=doubling", 0, 2 * 4000e-9),
        ("allg=bruck,all_reduce=rdh", 2, (4000 + 8000) * 1e-9),
        ("bruck", 6, 2 * 2000e-9),  # all-to-all: two steps of half of 4000 B
        ("broadcast=direct", 5, 4000e-9),
    ],
)
def test_collective_nodes_run_by_any_algorithm_that_applies(text: str, kind: int, expected: float) -> None:
    """4000 B of each of four ranks, all of which see each other at 1 GB/s."""
    lowering = lowering_of(text, lambda ranks: Layout(len(ranks)))
    program = read_chakra([(f"t.{rank}.et", collective(kind, 4000)) for rank in range(4)], "t", lowering)
    assert time(timed(program)) == pytest.approx(expected)
    assert any(name in program.notes[0] for name in text.replace("=", ",").split(","))


def test_algorithms_see_the_shape_of_the_fabric() -> None:
    """Bucket needs a torus; there each rank sends 3/4 of 4000 B in either phase."""
    lowering = lowering_of("bucket", lambda ranks: Layout(4, (2, 2), (1e9, 1e9)))
    program = read_chakra([(f"t.{rank}.et", collective(0, 4000)) for rank in range(4)], "t", lowering)
    assert program.size == pytest.approx(2 * 0.75 * 4000)


def test_the_root_is_the_one_in_the_node_or_the_first() -> None:
    for values, root in (({}, 0), ({"comm_root": 2}, 2)):
        program = read(*[collective(5, 1000, **values)] * 4)
        assert next(rank for rank, sent in enumerate(judge(program).sent) if sent == 1.0) == root
    with pytest.raises(InputError, match="comm_root is 7: expected one of the ranks of its group"):
        read(*[collective(5, 1000, comm_root=7)] * 4)


def test_algorithms_that_are_not_there_or_do_not_serve() -> None:
    def plain(ranks: Sequence[int]) -> Layout:
        return Layout(len(ranks))

    with pytest.raises(InputError, match=r"unknown algorithm 'rinh' \(did you mean ring"):
        lowering_of("rinh", plain)
    with pytest.raises(InputError, match="unknown algorithm of all_to_all 'ring'"):
        lowering_of("all_to_all=ring", plain)
    with pytest.raises(InputError, match="a trace has no permute"):
        lowering_of("permute=direct", plain)
    with pytest.raises(InputError, match="the traces have no nodes of all_to_all, so none that such an algorithm runs"):
        read_chakra([(f"t.{rank}.et", collective(0, 8)) for rank in range(3)], "t", lowering_of("all_to_all=bruck", plain))
    with pytest.raises(InputError, match=r"t\.0\.et: byte .*: rdh does not serve its 3 ranks: rdh needs a power of two"):
        read_chakra([(f"t.{rank}.et", collective(0, 8)) for rank in range(3)], "t", lowering_of("rdh", plain))


def test_groups_run_at_the_same_time() -> None:
    half = [trace(node(0, COLLECTIVE, comm_type=6, comm_size=2000, group=f"g{rank // 2}")) for rank in range(4)]
    assert time(timed(read(*half))) == pytest.approx(1e-6)


def send(size: int = 8, to: int = 1, tag: int = 0) -> bytes:
    return trace(node(0, SEND, comm_size=size, comm_dst=to, comm_tag=tag))


def receive(size: int = 8, tag: int = 0) -> bytes:
    return trace(node(0, RECEIVE, comm_size=size, comm_src=0, comm_tag=tag))


def test_unmatched_and_deadlocked_traces() -> None:
    assert judge(read(send(), receive())).verdict == "no-postcondition"
    for first, second in ((send(), trace()), (send(), receive(9)), (send(tag=1), receive()), (trace(), receive())):
        assert judge(read(first, second)).verdict == "unmatched"
    circle = [
        trace(node(0, RECEIVE, comm_size=8, comm_src=1 - rank), node(1, SEND, [0], comm_size=8, comm_dst=1 - rank))
        for rank in range(2)
    ]
    assert judge(read(*circle)).verdict == "deadlock"
    with pytest.raises(InputError, match="circle"):
        timed(read(*circle))


GOOD = send()
BAD = [
    (GOOD[:-3], "byte 9: cut short: 57 bytes announced, 54 left"),
    (GOOD + b"\xff", "cut short: a number does not end"),
    (GOOD + b"\xff" * 12, "more than ten bytes"),
    (trace(varint(1) + b"\x03"), "no field of protobuf"),
    (trace(node(0, SEND, comm_dst=1)), "node 0 node: needs a comm_size"),
    (send(to=5), "expected another of the 2 ranks"),
    (trace(node(0, COMP, [9])), "depends on node 9"),
    (trace(node(0, COMP), node(0, COMP)), "a second node"),
    (trace(node(0, 9)), "nodes of type 9"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad_traces_are_refused_with_file_and_byte(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"t\.0\.et: byte [0-9]+: ") as caught:
        read(data, trace())
    assert message in str(caught.value)


def test_collectives_that_are_not_read_are_refused() -> None:
    with pytest.raises(InputError, match="collectives of type 9 are not read"):
        read(*[trace(node(0, COLLECTIVE, comm_type=9, comm_size=8))] * 2)
    some = field(10, field(1, b"involved_dim") + field(28, field(1, bytes([1, 0]))))
    with pytest.raises(InputError, match="some dimensions"):
        read(trace(varint(len(some)) + some))
    lone = trace(node(0, COLLECTIVE, comm_type=0, comm_size=8))
    assert judge(read(lone, trace())).verdict == "unmatched"
    other = trace(node(0, COLLECTIVE, comm_type=0, comm_size=16))
    assert judge(read(lone, other)).verdict == "unmatched"


def test_a_missing_rank_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.1.et").write_bytes(receive())
    with pytest.raises(InputError, match=r"none of rank 0: t\.0\.et"):
        read_schedule(tmp_path / "t.1.et")
