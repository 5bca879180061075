"""The proof of a program: run on sets of inputs instead of bytes, it must end as its collective's name says.

In this order: every transfer is matched; no actions wait for each other in a circle; no two accesses to a cell of which one
writes are unordered; every output holds each of its inputs once and nothing else. A program without races ends alike in every
order that keeps its waits, so one run decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .program import CHANNEL, PRIVATE, Action, Content, Fault, Program, Verdict, conflicts

_COLUMNS = 4096  # actions whose descendants are found at a time


@dataclass(frozen=True)
class Judgement:
    """A verdict, where it was found, and what each rank sends, in units of the size S (up to a deadlock)."""

    fault: Fault
    sent: list[float]

    @property
    def verdict(self) -> str:
        return self.fault.verdict

    @property
    def holds(self) -> bool:
        """Nothing is wrong with it as far as can be said."""
        return self.verdict in ("ok", "no-postcondition")

    def __str__(self) -> str:
        return f"{self.verdict}: {self.fault.message}"

    def to_dict(self) -> dict[str, object]:
        where = {"rank": self.fault.rank, "chunk": self.fault.chunk, "step": self.fault.step}
        return {"verdict": self.verdict, "where": where, "sent_S": self.sent}


def judge(program: Program) -> Judgement:
    """Prove a program, or say what is wrong with it first and where."""
    order = in_order(program.actions)
    return Judgement(_fault(program, order), _sent(program, order))


def in_order(actions: list[Action]) -> list[int]:
    """The actions that can run, each after all that it waits for, as early as the file names them."""
    left = [len(action.after) for action in actions]
    waiting: list[list[int]] = [[] for _ in actions]
    for number, action in enumerate(actions):
        for earlier in action.after:
            waiting[earlier].append(number)
    order = [number for number, count in enumerate(left) if not count]
    for number in order:  # grows as it goes
        for later in waiting[number]:
            left[later] -= 1
            if not left[later]:
                order.append(later)
    return order


def _fault(program: Program, order: list[int]) -> Fault:
    if program.faults:
        return program.faults[0]
    if len(order) < len(program.actions):
        return _deadlock(program, set(order))
    return _race(program, order) or _end(program, order)


def _sent(program: Program, order: list[int]) -> list[float]:
    sent = [0.0] * program.ranks
    for number in order:
        action = program.actions[number]
        if action.receiver >= 0:
            sent[action.rank] += action.amount
    return [round(amount / (program.size or 1.0), 12) for amount in sent]  # a sum of twelfths is meant to be one


def _chunk(program: Program, action: Action) -> int | None:
    """The offset of the first cell that an action names and others can see."""
    for cells in (*action.targets, *action.terms):
        for cell in cells:
            if program.cells.places[cell][1] not in (*PRIVATE, CHANNEL):
                return program.cells.places[cell][2]
    return None


def _at(program: Program, verdict: Verdict, number: int, chunk: int | None, message: str) -> Fault:
    action = program.actions[number]
    return Fault(verdict, action.rank, chunk, action.step, f"{action}: {message}")


def _deadlock(program: Program, done: set[int]) -> Fault:
    """Walks back along waits that never end until it meets itself."""
    number = next(number for number in range(len(program.actions)) if number not in done)
    path: dict[int, int] = {}
    while number not in path:
        path[number] = len(path)
        number = next(earlier for earlier in program.actions[number].after if earlier not in done)
    cycle = list(path)[path[number] :]
    names = [str(program.actions[one]) for one in (*cycle[1:], number)]
    if len(names) > 8:
        names[4:-3] = [f"... {len(names) - 7} more ..."]
    chunk = _chunk(program, program.actions[number])
    return _at(program, "deadlock", number, chunk, "waits for " + ", which waits for ".join(names))


def _race(program: Program, order: list[int]) -> Fault | None:
    """The first conflict, in the order of the run, that nothing orders."""
    actions = program.actions
    pairs = [pair for pair in conflicts(program, order) if actions[pair[0]].worker != actions[pair[1]].worker]
    for earlier, later, cell in _unordered(actions, order, pairs):
        message = f"nothing orders it after {actions[earlier]}, and both use {program.cells.name(cell)}"
        return _at(program, "race", later, program.cells.places[cell][2], message)
    return None


def _unordered(actions: list[Action], order: list[int], pairs: list[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """The pairs of which the first is no ancestor of the second."""
    early = sorted({pair[0] for pair in pairs})
    for first in range(0, len(early), _COLUMNS):
        asked = early[first : first + _COLUMNS]
        bit = {number: 1 << position for position, number in enumerate(asked)}
        known = [0] * len(actions)
        for number in order:
            found = bit.get(number, 0)
            for earlier in actions[number].after:
                found |= known[earlier]
            known[number] = found
        yield from (pair for pair in pairs if pair[0] in bit and not known[pair[1]] & bit[pair[0]])


def _end(program: Program, order: list[int]) -> Fault:
    """Run the program and look at the outputs."""
    if not program.due:
        return Fault("no-postcondition", None, None, None, f"nothing says what {program.collective} has to end with")
    content, twice, writer = _run(program, order)
    faults = [fault for cell in program.due if (fault := _output(program, cell, content, twice, writer))]
    if not faults:
        return Fault("ok", None, None, None, f"{len(order)} actions end as {program.collective} has to")
    first = faults[0]
    message = f"{first.message}; {len(faults)} of {len(program.due)} outputs are not right"
    return Fault(first.verdict, first.rank, first.chunk, first.step, message)


def _run(program: Program, order: list[int]) -> tuple[dict[int, Content], dict[int, int], dict[int, int]]:
    """What each cell holds in the end, the action that first counted something twice in it, the action that last wrote it."""
    content, twice, writer = dict(program.start), dict[int, int](), dict[int, int]()
    for number in order:
        action = program.actions[number]
        values = []
        for cells in zip(*action.terms):
            total, doubled = _sum([content.get(cell, {}) for cell in cells])
            values.append((total, max([number if doubled else -1, *(twice.get(cell, -1) for cell in cells)])))
        for target in action.targets:
            for cell, (total, fault) in zip(target, values):
                content[cell], writer[cell] = total, number
                twice.pop(cell, None)
                if fault >= 0:
                    twice[cell] = fault
    return content, twice, writer


def _sum(terms: Sequence[Content]) -> tuple[Content, bool]:
    """The sum of some contents, and whether an input comes twice in it."""
    if len(terms) == 1:
        return terms[0], False
    total, doubled = dict(terms[0]), False
    for term in terms[1:]:
        for offset, ranks in term.items():
            doubled |= bool(total.get(offset, 0) & ranks)
            total[offset] = total.get(offset, 0) | ranks
    return total, doubled


def _output(
    program: Program, cell: int, content: dict[int, Content], twice: dict[int, int], writer: dict[int, int]
) -> Fault | None:
    """What is wrong with a cell in the end, if anything."""
    due, held = program.due[cell], content.get(cell, {})
    if held == due and cell not in twice:
        return None
    rank, _, offset = program.cells.places[cell]
    where = program.cells.name(cell)
    if cell in twice:
        chunk = _chunk(program, program.actions[twice[cell]])
        return _at(program, "double", twice[cell], chunk, f"it adds what is there already, and {where} ends with it")
    step = program.actions[writer[cell]].step if cell in writer else None
    if strange := _without(held, due):
        return Fault("wrong", rank, offset, step, f"{where} ends with {_inputs(strange)}, which is not due there")
    return Fault("missing", rank, offset, step, f"{where} ends without {_inputs(_without(due, held))}")


def _without(some: Content, others: Content) -> Content:
    """The inputs of the first that are not in the second."""
    left = {offset: ranks & ~others.get(offset, 0) for offset, ranks in some.items()}
    return {offset: ranks for offset, ranks in left.items() if ranks}


def _inputs(content: Content) -> str:
    """Some inputs in words, the first of them by name."""
    offset, ranks = min(content.items())
    more = sum(ranks.bit_count() for ranks in content.values()) - 1
    first = f"input chunk {offset} of rank {(ranks & -ranks).bit_length() - 1}"
    return f"{first} and {more} more" if more else first
