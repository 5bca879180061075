"""The proof of schedules: what it must accept, what it must refuse and where, against an oracle and by mutation."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.builder import Builder
from fabric.collectives import ALGORITHMS, applicable, conditions
from fabric.collectives.conditions import ProofError, prove
from fabric.csr import pointers
from fabric.errors import InputError
from fabric.layout import Layout
from fabric.schedule import COPY, REDUCE, Schedule


@dataclass(frozen=True)
class Row:
    """One transfer, for schedules written or changed by hand."""

    source: int
    destination: int
    operation: int
    chunks: tuple[int, ...]
    waits: tuple[int, ...] = ()
    step: int = 0


def made(collective: str, ranks: int, blocks: int, rows: list[Row], parts: tuple[float, ...] = (1.0,)) -> Schedule:
    return rewritten(replace(Builder(collective, "by hand", ranks, np.ones(blocks)).build(), parts=np.array(parts)), rows)


def rewritten(schedule: Schedule, rows: list[Row]) -> Schedule:
    """The schedule with these transfers instead of its own."""

    def column(values: list[int]) -> np.ndarray:
        return np.array(values, dtype=np.int32)

    return replace(
        schedule,
        source=column([row.source for row in rows]),
        destination=column([row.destination for row in rows]),
        operation=column([row.operation for row in rows]).astype(np.uint8),
        step=column([row.step for row in rows]),
        channel=column([-1] * len(rows)),
        chunk_ptr=pointers(np.array([len(row.chunks) for row in rows], dtype=np.int64)),
        chunk_ids=column([chunk for row in rows for chunk in row.chunks]),
        wait_ptr=pointers(np.array([len(row.waits) for row in rows], dtype=np.int64)),
        wait_ids=column([wait for row in rows for wait in row.waits]),
    )


def rows_of(schedule: Schedule) -> list[Row]:
    chunks, waits = (
        [tuple(ids[a:b].tolist()) for a, b in pairwise(ptr)]
        for ptr, ids in ((schedule.chunk_ptr, schedule.chunk_ids), (schedule.wait_ptr, schedule.wait_ids))
    )
    columns = (schedule.source, schedule.destination, schedule.operation)
    return [Row(*row) for row in zip(*(c.tolist() for c in columns), chunks, waits, schedule.step.tolist())]


def verdict(schedule: Schedule) -> str:
    try:
        prove(schedule)
    except ProofError as error:
        return error.verdict
    return "ok"


def place(schedule: Schedule) -> tuple[str, int | None, int | None, int | None]:
    with pytest.raises(ProofError) as caught:
        prove(schedule)
    assert str(caught.value).startswith(f"{caught.value.verdict}: ")
    return caught.value.verdict, caught.value.rank, caught.value.chunk, caught.value.step


# Verdicts and where.


def copy(source: int, destination: int, chunk: int, *waits: int, step: int = 0) -> Row:
    return Row(source, destination, COPY, (chunk,), waits, step)


def reduce(source: int, destination: int, chunk: int, *waits: int, step: int = 0) -> Row:
    return Row(source, destination, REDUCE, (chunk,), waits, step)


STAR = [
    reduce(1, 0, 0),
    reduce(2, 0, 0),
    copy(0, 1, 0, 0, 1, step=1),
    copy(0, 2, 0, 0, 1, step=1),
]
"""An all_reduce of one chunk on three ranks: sums at rank 0, then copies."""

LINE = [copy(0, 1, 0), copy(1, 2, 0, 0, step=1), copy(1, 0, 1), copy(1, 2, 1), copy(2, 1, 2), copy(2, 0, 2)]
"""An all_gather on three ranks; rank 1 forwards block 0."""


def test_a_right_schedule_is_proved() -> None:
    proof = prove(made("all_reduce", 3, 1, STAR))
    assert (proof.transfers, proof.levels) == (4, 2)
    assert str(proof) == "proved on chunk sets: 4 transfers in 2 levels"
    assert prove(made("all_gather", 3, 3, LINE)).levels == 2


def test_nothing_to_do_is_proved() -> None:
    for collective in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all"):
        assert prove(made(collective, 1, 1, [])).levels == 0


@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
def test_doing_nothing_is_not_enough(collective: str) -> None:
    assert verdict(made(collective, 2, {"all_to_all": 4}.get(collective, 2), [])) == "missing"


def test_missing_at_the_end() -> None:
    assert place(made("all_reduce", 3, 1, [STAR[0], copy(0, 1, 0, 0, step=1), copy(0, 2, 0, 0, step=1)])) == (
        "missing", 0, 0, 0,  # the last transfer to rank 0 is of step 0
    )  # fmt: skip
    assert place(made("all_gather", 3, 3, LINE[:-1])) == ("missing", 0, 2, None)  # none ever came


def test_missing_when_sent() -> None:
    early = [*LINE[:1], copy(1, 2, 0, step=1), *LINE[2:]]
    assert place(made("all_gather", 3, 3, early)) == ("missing", 1, 0, 1)


def test_wrong() -> None:
    assert place(made("all_gather", 3, 3, [*LINE[:-1], reduce(2, 0, 2, step=4)])) == ("wrong", 0, 2, 4)


def test_double() -> None:
    assert place(made("all_reduce", 3, 1, [*STAR, reduce(2, 0, 0, 2, step=7)])) == ("double", 0, 0, 7)
    assert place(made("all_gather", 3, 3, [*LINE, copy(2, 0, 2, step=7)])) == ("double", 0, 2, 7)
    assert place(made("all_gather", 3, 3, [*LINE, copy(1, 0, 2, 4, 5, step=7)])) == (
        "double",
        0,
        2,
        7,
    )  # in order, in vain
    # Rank 1's input comes both ways round.
    both = [reduce(1, 0, 0), reduce(1, 2, 0), reduce(2, 0, 0, 1, step=1)]
    assert place(made("reduce_scatter", 3, 3, both)) == ("double", 0, 0, 1)


def test_many_equal_sums_are_double_though_their_bits_cancel() -> None:
    # 2^k + 1 equal sets add up to the set and the set shifted by k: one bit alone, were the shifted one cut off.
    for n in (33, 64):
        again = [reduce(n - 1, 0, 0) for _ in range(65)]
        assert place(made("all_reduce", n, 1, again))[:3] == ("double", 0, 0)


def test_deadlock() -> None:
    cycle = [STAR[0], reduce(2, 0, 0, 3, step=1), copy(0, 1, 0, 0, 1, step=2), copy(0, 2, 0, 2, step=3)]
    schedule = made("all_reduce", 3, 1, cycle)
    assert place(schedule) == ("deadlock", 2, 0, 1)
    names = r"transfer 1 \(rank 2 to 0, step 1\) waits for transfer 3 .* transfer 2 .* transfer 1"
    with pytest.raises(ProofError, match=names):
        prove(schedule)
    assert verdict(made("all_reduce", 3, 1, [replace(STAR[0], waits=(0,))])) == "deadlock"


def test_a_long_deadlock_is_named_briefly() -> None:
    n = 3000
    ring = [copy(0, 1, 0, (t + 1) % n) for t in range(n)]
    with pytest.raises(ProofError, match="more") as caught:
        prove(made("all_gather", 2, 2, ring))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("row", "rank"),
    [
        (copy(0, 3, 0), 3),
        (copy(0, -1, 0), -1),
        (copy(1, 1, 0), 1),
        (copy(0, 1, 3), 1),
        (copy(0, 1, -1), 1),
        (Row(0, 1, COPY, ()), 1),
        (Row(0, 1, 2, (0,)), 1),
        (copy(0, 1, 0, 9), 1),
        (copy(0, 1, 0, -1), 1),
        (copy(3, 1, 0), 1),
    ],
)
def test_unmatched_transfer(row: Row, rank: int) -> None:
    verdict, where, _, step = place(made("all_gather", 3, 3, [*LINE, replace(row, step=5)]))
    assert (verdict, where, step) == ("unmatched", rank, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"blocks": np.ones(2)},
        {"blocks": np.ones(0)},
        {"blocks": np.array([1.0, 1.0, np.nan])},
        {"blocks": np.array([1.0, 1.0, -1.0])},
        {"parts": np.array([0.5])},
        {"parts": np.array([1.5, -0.5])},
        {"parts": np.array([np.nan])},
        {"destination": np.zeros(2, dtype=np.int32)},
        {"wait_ptr": np.zeros(7, dtype=np.int64)},
        {"wait_ptr": np.array([0, 2, 1, 1, 1, 1, 1])},
        {"chunk_ptr": np.arange(6)},
    ],
)
def test_unmatched_schedule(change: dict[str, np.ndarray]) -> None:
    assert place(replace(made("all_gather", 3, 3, LINE), **change)) == ("unmatched", None, None, None)  # type: ignore[arg-type]


def test_no_postcondition() -> None:
    with pytest.raises(InputError, match="did you mean all_gather"):
        prove(made("all_gathr", 3, 3, LINE))


@pytest.mark.parametrize("field", ["multiplicity", "repeat"])
def test_a_folded_schedule_is_refused(field: str) -> None:
    with pytest.raises(InputError, match="folded"):
        prove(replace(made("all_gather", 3, 3, LINE), **{field: np.ones(6)}))  # type: ignore[arg-type]


def test_the_collective_decides() -> None:
    gather = made("all_gather", 2, 2, [copy(0, 1, 0), copy(1, 0, 1)])
    assert verdict(gather) == "ok"
    assert verdict(replace(gather, collective="all_reduce")) == "missing"
    assert verdict(replace(gather, collective="reduce_scatter")) == "missing"
    scatter = made("reduce_scatter", 2, 2, [reduce(0, 1, 1), reduce(1, 0, 0)])
    assert verdict(scatter) == "ok"
    assert verdict(replace(scatter, collective="all_reduce")) == "missing"


def test_empty_chunks_need_not_move() -> None:
    blocks = np.array([0.0, 1.0, 0.0, 0.0])
    one_way = replace(made("all_to_all_v", 2, 4, [copy(0, 1, 1)]), blocks=blocks)
    assert verdict(one_way) == "ok"
    assert verdict(replace(one_way, blocks=np.array([0.0, 1.0, 1.0, 0.0]))) == "missing"
    two_parts = made("all_gather", 2, 2, [copy(0, 1, 0), copy(1, 0, 2)], parts=(1.0, 0.0))
    assert verdict(two_parts) == "ok"
    assert verdict(replace(two_parts, parts=np.array([0.5, 0.5]))) == "missing"


# Order.


def test_a_read_that_may_come_too_late_is_a_race() -> None:
    """Recursive doubling in place on 4 ranks: a fast partner's sum may reach a rank before it has sent its own."""
    first = [reduce(r, r ^ 1, 0) for r in range(4)]
    into = {r ^ 1: t for t, r in enumerate(range(4))}
    second = [reduce(r, r ^ 2, 0, into[r], step=1) for r in range(4)]
    assert place(made("all_reduce", 4, 1, first + second))[0::3] == ("race", 1)
    # It is right if each exchange starts when both partners are ready.
    both = [reduce(r, r ^ 2, 0, into[r], into[r ^ 2], step=1) for r in range(4)]
    assert verdict(made("all_reduce", 4, 1, first + both)) == "ok"
    # In one step nobody waits: all read at time 0.
    everyone = [reduce(s, d, 0) for s in range(4) for d in range(4) if s != d]
    assert verdict(made("all_reduce", 4, 1, everyone)) == "ok"


def test_order_through_other_chunks_counts() -> None:
    """Rank 1 forwards block 0 after a transfer of block 1 that itself waited for block 0."""
    rows = [copy(0, 1, 0), copy(1, 2, 1, 0), copy(1, 2, 0, 1), copy(1, 0, 1), copy(2, 0, 2), copy(2, 1, 2)]
    assert verdict(made("all_gather", 3, 3, rows)) == "ok"
    rows[1] = replace(rows[1], waits=())
    assert verdict(made("all_gather", 3, 3, rows)) == "race"  # right if all take equally long, by luck
    rows[2] = replace(rows[2], waits=())
    assert verdict(made("all_gather", 3, 3, rows)) == "missing"


@pytest.mark.parametrize("budget", [1 << 22, 600, 100])  # at once, in two searches, chunk by chunk
def test_a_barrier_orders_everything(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Direct sums, then direct copies that all wait for one of them, which waits for all sums."""
    monkeypatch.setattr(conditions, "_BUDGET", budget)
    n = 10
    pairs = [(s, d) for s in range(n) for d in range(n) if s != d]
    sums = [reduce(s, d, d) for s, d in pairs]
    barrier = copy(0, 1, 0, *range(len(sums)), step=1)
    rest = [copy(s, d, s, len(sums), step=2) for s, d in pairs[1:]]
    assert verdict(made("all_reduce", n, n, [*sums, barrier, *rest])) == "ok"
    for forgotten in (0, 50, 89):  # of the blocks 1, 5 and 8
        waits = tuple(w for w in barrier.waits if w != forgotten)
        schedule = made("all_reduce", n, n, [*sums, replace(barrier, waits=waits), *rest])
        block = pairs[forgotten][1]
        with pytest.raises(ProofError, match=f"transfer {forgotten} ") as caught:
            prove(schedule)
        assert (caught.value.verdict, caught.value.chunk, caught.value.step) == ("race", block, 2)


def test_two_unordered_copies_are_a_race_if_they_differ() -> None:
    rows = [reduce(1, 0, 0), copy(0, 2, 0, 0, step=1), copy(1, 2, 0, 0, step=1), copy(0, 1, 0, 0, step=1)]
    assert place(made("all_reduce", 3, 1, rows)) == ("race", 2, 0, 1)
    same = [*STAR, replace(STAR[2])]
    assert place(made("all_reduce", 3, 1, same)) == ("double", 1, 0, 1)


def test_a_copy_and_a_sum_of_one_level_are_a_race() -> None:
    for order in (1, -1):
        rows = [reduce(1, 0, 0), reduce(2, 0, 0), copy(3, 0, 0)][::order]
        assert place(made("all_reduce", 4, 1, [*rows, copy(3, 0, 0)]))[0] == "race"
        schedule = made("all_reduce", 4, 1, rows)
        assert place(schedule)[:3] == ("race", 0, 0)
        with pytest.raises(ProofError, match=rf"transfer {rows.index(copy(3, 0, 0))} \(rank 3 to 0"):  # not the two sums
            prove(schedule)


def test_a_sum_that_may_come_before_a_copy_is_a_race() -> None:
    """Rank 2's input reaches rank 0 after the copy from rank 1, which would wipe it out, if all take equally long."""
    detour = [reduce(0, 1, 1), reduce(2, 1, 1, 0), copy(1, 2, 1, 1), copy(1, 0, 1, 1)]
    sums = [reduce(0, 1, 0), copy(1, 0, 0, 4), reduce(2, 0, 0, 2), copy(0, 1, 0, 6), copy(0, 2, 0, 6)]
    assert place(made("all_reduce", 3, 2, [*detour, *sums]))[:3] == ("race", 0, 0)
    sums[2] = reduce(2, 0, 0, 2, 5)
    assert verdict(made("all_reduce", 3, 2, [*detour, *sums])) == "ok"


def test_a_sum_that_may_come_after_a_copy_is_a_race() -> None:
    """Rank 1's input goes to rank 0 for nothing, and is counted twice if it comes after the whole sum."""
    rows = [reduce(1, 0, 0), reduce(0, 2, 0), reduce(1, 2, 0), copy(2, 0, 0, 1, 2), copy(2, 1, 0, 1, 2)]
    assert place(made("all_reduce", 3, 1, rows))[:3] == ("race", 0, 0)
    rows[3] = copy(2, 0, 0, 0, 1, 2)
    assert verdict(made("all_reduce", 3, 1, rows)) == "ok"


def test_a_reader_must_follow_every_sum_not_just_the_last() -> None:
    detour = [reduce(0, 1, 1), reduce(2, 1, 1, 0), copy(1, 2, 1, 1), copy(1, 0, 1, 1)]
    sums = [reduce(1, 0, 0), reduce(2, 0, 0, 2), copy(0, 1, 0, 5), copy(0, 2, 0, 4, 5)]
    with pytest.raises(ProofError, match=r"^race: transfer 6 .* transfer 4 "):
        prove(made("all_reduce", 3, 2, [*detour, *sums]))
    sums[2] = copy(0, 1, 0, 4, 5)
    assert verdict(made("all_reduce", 3, 2, [*detour, *sums])) == "ok"


def test_a_sum_must_follow_every_read_not_just_since_the_last_sum() -> None:
    """Rank 0 passes on what rank 1 brought; two more sums reach it that nobody wants, one of them perhaps too early."""
    n, block = 5, 2
    direct = [reduce(s, d, d) for d in range(n) if d != block for s in range(n) if s != d]
    late = [replace(direct[4], waits=(0,)), replace(direct[8], waits=(4,))]
    direct[4], direct[8] = late
    p = len(direct)
    way = [reduce(1, 0, block), reduce(0, 2, block, p), reduce(3, 2, block), reduce(4, 2, block)]
    more = [reduce(3, 0, block, p), reduce(4, 0, block, 8)]
    with pytest.raises(ProofError, match=rf"^race: transfer {p + 5} .* transfer {p + 1} "):
        prove(made("reduce_scatter", n, n, [*direct, *way, *more]))
    more[1] = reduce(4, 0, block, 8, p)
    assert verdict(made("reduce_scatter", n, n, [*direct, *way, *more])) == "ok"


# An oracle: the definitions, word for word.


def ancestors(rows: list[Row]) -> list[set[int]] | None:
    """What each transfer waits for, directly or not; None where waits are cyclic."""
    closure = [set(row.waits) for row in rows]
    for middle in range(len(rows)):
        for mine in closure:
            if middle in mine:
                mine |= closure[middle]
    return None if any(t in mine for t, mine in enumerate(closure)) else closure


def races(rows: list[Row], before: list[set[int]]) -> bool:
    """Whether any two accesses of one cell, not both reads and not both sums, are unordered."""

    def clash(t: int, u: int) -> bool:
        one, two = rows[t], rows[u]
        if not set(one.chunks) & set(two.chunks):
            return False
        both_write = one.destination == two.destination and COPY in (one.operation, two.operation)
        unordered = t not in before[u] and u not in before[t]
        write_and_read = one.destination == two.source
        late = not all(wait in before[t] for wait in two.waits)
        return (both_write and unordered) or (write_and_read and t not in before[u] and late)

    return any(clash(t, u) for t in range(len(rows)) for u in range(len(rows)) if t != u)


def outcome(schedule: Schedule, rows: list[Row], durations: list[float]) -> set[str]:
    """The faults of one run with these durations: a clock, and a set for every rank and chunk."""
    n, parts = schedule.ranks, len(schedule.parts)
    chunks = range(len(schedule.blocks) * parts)
    total = schedule.collective in ("all_reduce", "reduce_scatter")
    owner = {c: c // parts // n if schedule.collective.startswith("all_to_all") else c // parts for c in chunks}
    holds = {(r, c): {r} if total or owner[c] == r else set() for r in range(n) for c in chunks}
    faults, carried = set(), {}
    finish: dict[int, float] = {}
    while len(finish) < len(rows):
        for t, row in enumerate(rows):
            if t not in finish and all(wait in finish for wait in row.waits):
                finish[t] = max((finish[wait] for wait in row.waits), default=0.0) + durations[t]
    start = {t: max((finish[wait] for wait in row.waits), default=0.0) for t, row in enumerate(rows)}
    # At one moment what ends comes before what starts on it.
    for _, begins, t in sorted([(finish[t], False, t) for t in finish] + [(start[t], True, t) for t in start]):
        row = rows[t]
        for index, c in enumerate(row.chunks):
            if begins:
                carried[t, index] = set(holds[row.source, c])
                faults |= {"missing"} - {"missing" for _ in holds[row.source, c]}
                continue
            brought, cell = carried[t, index], (row.destination, c)
            if row.operation == COPY:
                faults |= {"double"} if holds[cell] == brought else set()
                holds[cell] = brought
            else:
                faults |= {"double"} if holds[cell] & brought else set()
                holds[cell] = holds[cell] | brought
    for r, c in holds:
        block = c // parts
        last = {"reduce_scatter": block, "all_to_all": block % n}.get(schedule.collective, r)
        whole = set(range(n)) if total else {owner[c]}
        faults |= {"missing"} if r == last and holds[r, c] != whole else set()
    return faults


def judge(schedule: Schedule) -> tuple[set[str], bool]:
    """The verdicts that are justified (none: it is right), and whether a race is among them."""
    rows = rows_of(schedule)
    before = ancestors(rows)
    if before is None:
        return {"deadlock"}, False
    racing = races(rows, before)
    return outcome(schedule, rows, [1.0] * len(rows)) | ({"race"} if racing else set()), racing


def check_against_oracle(schedule: Schedule, seed: int) -> None:
    justified, racing = judge(schedule)
    found = verdict(schedule)
    assert found in (justified or {"ok"})
    if justified == {"deadlock"} or racing:
        return
    # Without a race any durations whatever bring about the same faults, or none.
    chance, rows = random.Random(seed), rows_of(schedule)
    for _ in range(4):
        assert outcome(schedule, rows, [2.0 ** chance.randrange(12) for _ in rows]) == justified


@st.composite
def trees(draw: st.DrawFn) -> Schedule:
    """A right schedule: every block goes up and down random trees of its own."""
    collective = draw(st.sampled_from(["all_reduce", "reduce_scatter", "all_gather", "all_to_all"]))
    n, parts = draw(st.integers(2, 4)), draw(st.integers(1, 2))
    blocks = n * n if collective == "all_to_all" else n
    builder = Builder(collective, "trees", n, np.ones(blocks), np.full(parts, 1 / parts))
    for block in range(blocks):
        chunks = [block * parts + part for part in range(parts)]
        for held in draw(st.sampled_from([[chunks], [[chunk] for chunk in chunks]])):
            root = block // n if collective == "all_to_all" else block
            order = [root, *draw(st.permutations([r for r in range(n) if r != root]))]
            if collective == "all_to_all":
                order = order[: order.index(block % n) + 1]
            parent = [0, *(order[draw(st.integers(0, i))] for i in range(len(order) - 1))]
            up = [(order[i], parent[i], REDUCE, n - i) for i in range(len(order) - 1, 0, -1)]
            down = [(parent[i], order[i], COPY, n + i) for i in range(1, len(order))]
            moves = {"all_reduce": up + down, "reduce_scatter": up}.get(collective, down)
            for source, destination, operation, step in moves:
                builder.add(np.array([source]), np.array([destination]), np.array([held]), operation, step)
    return builder.build()


@st.composite
def edited(draw: st.DrawFn) -> Schedule:
    """Trees with a few changes, each of which may or may not break them."""
    schedule = draw(trees())
    rows = rows_of(schedule)
    sums = schedule.collective in ("all_reduce", "reduce_scatter")
    for _ in range(draw(st.integers(0, 3))):
        if not rows:
            break
        t, other = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows) - 1))
        edit = draw(st.sampled_from(["drop", "wait", "move", "send", "turn", "delete", "double", "extra"]))
        row = rows[t]
        if edit == "drop" and row.waits:
            dropped = draw(st.sampled_from(row.waits))
            rows[t] = replace(row, waits=tuple(wait for wait in row.waits if wait != dropped))
        elif edit == "wait" and other != t:
            rows[t] = replace(row, waits=tuple({*row.waits, other}))
        elif edit == "move":
            rows[t] = replace(row, waits=rows[other].waits)
        elif edit == "send":
            to = draw(st.sampled_from([r for r in range(schedule.ranks) if r != row.source]))
            rows[t] = replace(row, destination=to)
        elif edit == "turn" and sums:
            rows[t] = replace(row, operation=1 - row.operation)
        elif edit == "delete":
            rows = without(rows, t)
        elif edit == "double":
            more = draw(st.sets(st.integers(0, len(rows) - 1), max_size=2))
            rows.append(replace(row, waits=tuple({*row.waits, *more})))
        elif edit == "extra":
            rows.append(replace(row, source=row.destination, destination=row.source, waits=(other,)))
    return rewritten(schedule, rows)


@st.composite
def anything(draw: st.DrawFn) -> Schedule:
    """Random transfers that wait at random, mostly for earlier ones: dense in conflicts and in orders of all kinds."""
    collective, n = draw(st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"])), draw(st.integers(2, 3))
    operations = [COPY] if collective == "all_gather" else [REDUCE, REDUCE, COPY]
    rows: list[Row] = []
    for t in range(draw(st.integers(1, 9))):
        source, shift = draw(st.integers(0, n - 1)), draw(st.integers(1, n - 1))
        chunks = tuple(sorted(draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=2))))
        waits = draw(st.sets(st.integers(0, max(t - 1, 0)), max_size=min(t, 3)))
        rows.append(Row(source, (source + shift) % n, draw(st.sampled_from(operations)), chunks, tuple(waits), t))
    return made(collective, n, n, rows)


@given(trees())
@settings(max_examples=60, deadline=None)
def test_trees_are_proved(schedule: Schedule) -> None:
    assert judge(schedule) == (set(), False)
    assert verdict(schedule) == "ok"


@given(edited(), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_edited_trees_agree_with_the_oracle(schedule: Schedule, seed: int) -> None:
    check_against_oracle(schedule, seed)


@given(anything(), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_anything_agrees_with_the_oracle(schedule: Schedule, seed: int) -> None:
    check_against_oracle(schedule, seed)


@given(st.one_of(trees(), edited()))
@settings(max_examples=60, deadline=None)
def test_waits_that_others_imply_do_not_matter(schedule: Schedule) -> None:
    rows = rows_of(schedule)
    before = ancestors(rows)
    if before is None:
        return
    fewer = [replace(row, waits=tuple(w for w in row.waits if not any(w in before[v] for v in row.waits))) for row in rows]
    assert verdict(rewritten(schedule, fewer)) == verdict(schedule)


# Every algorithm, whole and changed.


def own_bytes(collective: str, n: int) -> dict[str, np.ndarray]:
    """The matrix of bytes of an all_to_all_v: from each rank to each, a third of them none."""
    matrix = (np.arange(n)[:, np.newaxis] * 7 + np.arange(n) * 5) % 3 * 1.5
    return {"matrix": matrix} if collective == "all_to_all_v" else {}


def server(inner: Layout, servers: int) -> Layout:
    return Layout(inner.ranks * servers, servers=servers, inner=inner)


SMALL = [Layout(2), Layout(3), Layout(4), Layout(4, (2, 2), (1.0, 1.0)), server(Layout(2), 2)]
LARGE = [
    Layout(5),
    Layout(8),
    Layout(12),
    Layout(16),
    Layout(6, (6,), (1.0,)),
    Layout(6, (3, 2), (1.0, 1.0)),
    Layout(8, (4, 2), (2.0, 1.0)),
    Layout(8, (2, 2, 2), (1.0,) * 3),
    Layout(9, (3, 3), (1.0, 1.0)),
    Layout(16, (4, 4), (1.0, 1.0)),
    Layout(16, (4, 4), (2.0, 1.0)),
    Layout(16, (4, 2, 2), (2.0, 2.0, 1.0)),
    Layout(8, servers=4, inner=Layout(2), between=Layout(4, (2, 2), (1.0, 1.0))),
    server(Layout(4), 3),
    server(Layout(3), 4),
    server(Layout(4, (2, 2), (1.0, 1.0)), 4),
    server(Layout(8, (4, 2), (1.0, 1.0)), 2),
]


@cache
def schedules(large: bool) -> list[Schedule]:
    """Every algorithm on every layout that it serves."""
    layouts = LARGE if large else SMALL
    return [
        schedule
        for layout in layouts
        for collective in ALGORITHMS
        for schedule in applicable(collective, layout, slices=1, **own_bytes(collective, layout.ranks)).values()
        if isinstance(schedule, Schedule)
    ]


def test_every_algorithm_is_covered_and_right() -> None:
    built = [*schedules(False), *schedules(True)]
    assert {(s.collective, s.algorithm) for s in built} == {(c, name) for c, known in ALGORITHMS.items() for name in known}
    for schedule in built:
        assert prove(schedule).transfers == schedule.transfers


def without(rows: list[Row], t: int) -> list[Row]:
    """Without transfer t, and nobody waits for it."""
    number = [i - (i > t) for i in range(len(rows))]
    return [replace(row, waits=tuple(number[w] for w in row.waits if w != t)) for i, row in enumerate(rows) if i != t]


def stays_right(rows: list[Row], t: int, rank: int) -> bool:
    """Whether transfer t may as well go to `rank`: a sum put down further along the way of the sum that it joins.

    The sum of a chunk leaves each rank once, after all that reached it. A term that joins it at a later rank of its way
    still does so before the sum leaves that rank, since the transfer that leaves there waits, through all before it, for
    this one; it is summed once, and nobody reads it in between. A copy has no such way: its destination gets that chunk
    by it alone.

    Another rank may also bring it along: one whose own sum goes to the way later and, to find it ready, waits for this one.
    """
    if rows[t].operation != REDUCE:
        return False

    def way(chunk: int) -> Iterator[int]:
        at, seen = rows[t].destination, set[int]()
        while at not in seen:
            seen.add(at)
            yield at
            onward = [row for row in rows if row.source == at and chunk in row.chunks and row.operation == REDUCE]
            if len(onward) != 1:  # the end, or an exchange: ranks that send each other their sums
                return
            at = onward[0].destination

    def brought(chunk: int) -> bool:
        before = ancestors(rows) or []
        mine = [w for w, row in enumerate(rows) if row.source == rank and chunk in row.chunks and row.operation == REDUCE]
        return any(t in before[w] and rows[w].destination in way(chunk) for w in mine)

    return all(rank in way(chunk) or brought(chunk) for chunk in rows[t].chunks)


def needed(rows: list[Row], t: int) -> list[int]:
    """The transfers of lower steps that brought what transfer t sends."""
    sent = set(rows[t].chunks)
    return [
        w
        for w, row in enumerate(rows)
        if row.destination == rows[t].source and row.step < rows[t].step and sent & set(row.chunks)
    ]


def breaks(rows: list[Row], one: int, two: int) -> bool:
    """Whether swapping the waits of two transfers must break the schedule.

    Waits go to lower steps only. If the one of the higher step needs a transfer of the other's step or of a higher one, then
    with the other's waits all its ancestors are below that step: it no longer comes after what it needs. Otherwise it may
    well be right: what a transfer sends can have been there long before.
    """
    first, second = sorted((one, two), key=lambda t: rows[t].step)
    return rows[first].step < rows[second].step and any(rows[w].step >= rows[first].step for w in needed(rows, second))


def deleted(rows: list[Row], t: int, other: int) -> list[Row] | None:
    return without(rows, t)


def duplicated(rows: list[Row], t: int, other: int) -> list[Row] | None:
    return [*rows, rows[t]]


def redirected(rows: list[Row], t: int, other: int) -> list[Row] | None:
    rank = rows[other].source  # every rank sends something
    if rank in (rows[t].source, rows[t].destination) or stays_right(rows, t, rank):
        return None
    return [*rows[:t], replace(rows[t], destination=rank), *rows[t + 1 :]]


def hurried(rows: list[Row], t: int, other: int) -> list[Row] | None:
    return [*rows[:t], replace(rows[t], waits=()), *rows[t + 1 :]] if needed(rows, t) else None


def swapped(rows: list[Row], t: int, other: int) -> list[Row] | None:
    if not breaks(rows, t, other):
        return None
    new = list(rows)
    new[t], new[other] = replace(rows[t], waits=rows[other].waits), replace(rows[other], waits=rows[t].waits)
    return new


Mutation = Callable[[list[Row], int, int], list[Row] | None]
MUTATIONS: list[Mutation] = [deleted, duplicated, redirected, hurried, swapped]


def check_is_refused(schedule: Schedule, rows: list[Row], mutation: Mutation, t: int, other: int) -> bool:
    changed = mutation(rows, t, other)
    if changed is None:
        return False
    found, rank, chunk, _ = place(rewritten(schedule, changed))
    assert found in ("missing", "double", "race", "deadlock")
    assert rank in range(schedule.ranks)
    assert chunk in range(schedule.chunks)
    return True


def senders(rows: list[Row]) -> list[int]:
    """One transfer of each source."""
    return list({row.source: t for t, row in enumerate(rows)}.values())


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_any_one_change_is_found(mutation: Mutation) -> None:
    """On small layouts some transfers of each schedule, redirected to each rank, swapped with some others."""
    tried = 0
    for schedule in schedules(large=False):
        rows = rows_of(schedule)
        assert all(rows[w].step < row.step for row in rows for w in row.waits)  # `breaks` relies on it
        stride = 1 + len(rows) // 24
        for t in range(0, len(rows), stride):
            others = {redirected: senders(rows), swapped: range(t % 6, len(rows), 6 * stride)}.get(mutation, [0])
            tried += sum(check_is_refused(schedule, rows, mutation, t, other) for other in others)
    assert tried > 50


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_any_one_change_is_found_up_to_16_ranks(data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(schedules(large=True)))
    rows = rows_of(schedule)
    t, other = (data.draw(st.integers(0, len(rows) - 1)) for _ in range(2))
    for mutation in MUTATIONS:
        check_is_refused(schedule, rows, mutation, t, other)


# Size.


def ring(n: int) -> Schedule:
    """An all_reduce in both directions, as arrays and in order of steps."""
    builder = Builder("all_reduce", "ring", n, np.ones(n), np.full(2, 0.5))
    ranks = np.arange(n)
    for part, way in enumerate((1, -1)):
        for step in range(2 * (n - 1)):
            block = (ranks - way * (step + 1)) % n
            builder.add(ranks, (ranks + way) % n, block * 2 + part, REDUCE if step < n - 1 else COPY, step, part)
    return builder.build()


@pytest.mark.parametrize(
    ("build", "transfers", "levels"),
    [
        (lambda: ring(144), 2 * 2 * 143 * 144, 2 * 143),
        (lambda: ALGORITHMS["all_to_all"]["direct"](Layout(144)), 143 * 144, 1),
        # Six parts, each with 2 x 9 steps of 64 transfers.
        (lambda: ALGORITHMS["all_reduce"]["bucket"](Layout(64, (4, 4, 4), (1.0,) * 3)), 6 * 2 * 9 * 64, 2 * 9),
    ],
    ids=["ring", "all_to_all", "bucket"],
)
def test_cost(build: Callable[[], Schedule], transfers: int, levels: int) -> None:
    """At most 0.5 s and 256 MiB up to 144 ranks."""
    schedule = build()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        proof = prove(schedule)
        times.append(time.perf_counter() - start)
    assert (proof.transfers, proof.levels) == (transfers, levels)
    assert min(times) < 0.5
    tracemalloc.start()
    try:
        prove(schedule)
        assert tracemalloc.get_traced_memory()[1] < 256 * 2**20
    finally:
        tracemalloc.stop()


def test_pieces_give_the_same_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule too large for the budget is proved some chunks at a time."""
    monkeypatch.setattr(conditions, "_BUDGET", 100)
    schedule = ring(8)
    rows = rows_of(schedule)
    assert len(list(conditions._slabs(schedule, schedule.chunks))) > 4
    assert verdict(schedule) == "ok"
    for t in range(0, len(rows), 5):
        assert verdict(rewritten(schedule, without(rows, t))) == "missing"
    assert verdict(made("all_reduce", 3, 1, STAR)) == "ok"
