"""A plain reading of a schedule: sets of contributions moved step by step, and bytes counted exactly."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod

import networkx as nx
import numpy as np

from fabric import Overheads, simulate
from fabric.csr import pointers
from fabric.layout import Layout
from fabric.schedule import REDUCE, Schedule

Cells = dict[tuple[int, int], frozenset[int]]


def torus(*dims: int, bandwidth: tuple[float, ...] = ()) -> Layout:
    return Layout(prod(dims), dims, bandwidth or (1.0,) * len(dims))


def machines(servers: int, inner: Layout) -> Layout:
    return Layout(servers * inner.ranks, servers=servers, inner=inner)


SIZE, ALPHA, BANDWIDTH = 12_345_678.0, 2e-6, 100e9


def time_of(graph: nx.DiGraph[int], schedule: Schedule) -> float:
    """Seconds at SIZE with ALPHA for each transfer; the graph's links ought to have BANDWIDTH. Proves the schedule."""
    return simulate(graph, schedule.scaled(SIZE), overheads=Overheads(alpha_link=ALPHA)).time


def with_barriers(schedule: Schedule) -> Schedule:
    """The same transfers, each step after the whole of the one before it."""
    before = [np.flatnonzero(schedule.step == step - 1) for step in range(schedule.steps)]
    waits = [before[step] for step in schedule.step]
    ptr = pointers(np.array([len(wait) for wait in waits], dtype=np.int64))
    return replace(schedule, wait_ptr=ptr, wait_ids=np.concatenate(waits).astype(np.int32))


def chunks_of(schedule: Schedule) -> list[list[int]]:
    return [schedule.chunk_ids[a:b].tolist() for a, b in zip(schedule.chunk_ptr, schedule.chunk_ptr[1:])]


def waits_of(schedule: Schedule) -> list[list[int]]:
    return [schedule.wait_ids[a:b].tolist() for a, b in zip(schedule.wait_ptr, schedule.wait_ptr[1:])]


def run(schedule: Schedule) -> Cells:
    """What every cell (rank, chunk) holds in the end. All transfers of a step read before any of them writes."""
    n, parts, cells = schedule.ranks, len(schedule.parts), Cells()
    for chunk in range(schedule.chunks):
        block = chunk // parts
        starts = {"all_gather": [block], "all_to_all": [block // n], "all_to_all_v": [block // n], "permute": [block // n]}
        starts |= {"gather": [block], "scatter": [schedule.root], "broadcast": [schedule.root]}
        for rank in starts.get(schedule.collective, range(n)):
            cells[rank, chunk] = frozenset({rank})
    carried = chunks_of(schedule)
    for step in range(schedule.steps):
        now = [t for t in range(schedule.transfers) if schedule.step[t] == step]
        read = {(t, chunk): cells[int(schedule.source[t]), chunk] for t in now for chunk in carried[t]}
        for (t, chunk), value in read.items():
            cell = (int(schedule.destination[t]), chunk)
            if schedule.operation[t] == REDUCE:
                assert not cells[cell] & value, f"summed twice in {cell}"
                value |= cells[cell]
            cells[cell] = value
    return cells


def check(schedule: Schedule) -> None:
    """The schedule does what its collective asks, and every transfer waits for transfers of earlier steps only."""
    n, parts, cells = schedule.ranks, len(schedule.parts), run(schedule)
    for chunk in range(schedule.chunks):
        block = chunk // parts
        if schedule.collective == "permute" and not schedule.blocks[block]:
            continue
        owners, value = {
            "all_reduce": (range(n), range(n)),
            "all_gather": (range(n), [block]),
            "reduce_scatter": ([block], range(n)),
            "all_to_all": ([block % n], [block // n]),
            "permute": ([block % n], [block // n]),
            "broadcast": (range(n), [schedule.root]),
            "reduce": ([schedule.root], range(n)),
            "scatter": ([block], [schedule.root]),
            "gather": ([schedule.root], [block]),
        }[schedule.collective]
        for rank in owners:
            assert cells[rank, chunk] == frozenset(value), f"chunk {chunk} at rank {rank}"
    for t, waits in enumerate(waits_of(schedule)):
        assert all(schedule.step[w] < schedule.step[t] for w in waits)


def transfer_bytes(schedule: Schedule) -> list[Fraction]:
    """Exact bytes of each transfer, for schedules whose blocks and parts are simple fractions of one byte."""
    blocks, parts = ([Fraction(x).limit_denominator(10**6) for x in xs] for xs in (schedule.blocks, schedule.parts))
    assert sum(parts) == 1
    if len(set(blocks)) == len(set(parts)) == 1:
        return [blocks[0] * parts[0] * len(chunks) for chunks in chunks_of(schedule)]
    return [
        sum((blocks[c // len(parts)] * parts[c % len(parts)] for c in chunks), Fraction()) for chunks in chunks_of(schedule)
    ]


def coordinates(rank: int, dims: tuple[int, ...]) -> list[int]:
    found = []
    for k in dims:
        found.append(rank % k)
        rank //= k
    return found


def hops(a: int, b: int, dims: tuple[int, ...]) -> int:
    """Links on a shortest route of a torus."""
    return sum(min((x - y) % k, (y - x) % k) for x, y, k in zip(coordinates(a, dims), coordinates(b, dims), dims))


def route(source: int, destination: int, dims: tuple[int, ...]) -> list[tuple[tuple[int, int, int], Fraction]]:
    """Links (rank, dimension, way) of the shortest dimension-ordered route with their shares; ties go half each way."""
    links: list[tuple[tuple[int, int, int], Fraction]] = []
    here, stride = source, 1
    for dim, k in enumerate(dims):
        x = here // stride % k
        ahead = (destination // stride - x) % k
        ways = [(1, ahead)] * (2 * ahead <= k) + [(-1, k - ahead)] * (2 * ahead >= k)
        for way, count in ways if ahead else []:
            passed = [here + stride * ((x + way * i) % k - x) for i in range(count)]
            links += [((rank, dim, way), Fraction(1, len(ways))) for rank in passed]
        here += stride * ((x + ahead) % k - x)
        stride *= k
    assert here == destination
    return links


def step_loads(schedule: Schedule, dims: tuple[int, ...]) -> list[dict[tuple[int, int, int], Fraction]]:
    """For each step, the bytes on each link of a torus."""
    loads: list[dict[tuple[int, int, int], Fraction]] = [{} for _ in range(schedule.steps)]
    for t, size in enumerate(transfer_bytes(schedule)):
        load = loads[schedule.step[t]]
        for link, share in route(int(schedule.source[t]), int(schedule.destination[t]), dims):
            load[link] = load.get(link, Fraction()) + size * share
    return loads
