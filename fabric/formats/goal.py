"""GOAL: the schedules of LogGOPSim, as text. Read into a program, written from a schedule.

    num_ranks 2
    rank 0 {
    l1: calc 100 cpu 0
    l2: send 4096b to 1 tag 7
    l2 requires l1
    }

`requires`: after the other has finished; `irequires`: after it has started. Times are ns. The k-th send on (source,
destination, tag) meets the k-th receive. Facts: spcl/LogGOPSim. A cpu of LogGOPSim runs one operation at a time; here only
what requires each other is ordered, and the time of a message is that of the fabric.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from ..errors import InputError, nearest
from ..schedule import Schedule
from .messages import Messages
from .program import Action, Program, Written, refuse_special

NANOSECOND = 1e-9
MOST_RANKS = 1 << 20
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_OPERATION = re.compile(r"(?:(\w+)\s*:\s*)?(calc|send|recv)\s+(\d+)(b?)((?:\s+[a-z]+\s+\d+)*)")
_REQUIRES = re.compile(r"(\w+)\s+(requires|irequires)\s+(\w+)")
_RANK = re.compile(r"rank\s+(\d+)\s*\{")
_OPTIONS = {"calc": ("cpu",), "send": ("to", "tag", "cpu", "nic"), "recv": ("from", "tag", "cpu", "nic")}


def read_goal(data: bytes, file: str) -> Program:
    """The program of a GOAL file. Raises InputError with file and line. It has no collective, so nothing to prove."""
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), data.decode("utf-8", errors="replace"))
    return _Reader(file).program(text.splitlines())


class _Reader:
    def __init__(self, file: str) -> None:
        self.file, self.line = file, 0
        self.ranks, self.rank = 0, -1
        self.seen: set[int] = set()
        self.labels: dict[str, tuple[int, int]] = {}  # of this rank: the actions that start and end an operation
        self.actions: list[Action] = []
        self.messages = Messages(self.actions)
        self.calcs: Counter[tuple[int, int]] = Counter()
        self.nics: set[int] = set()

    def program(self, lines: list[str]) -> Program:
        for self.line, line in enumerate(lines, start=1):
            if text := line.strip():
                self._line(text)
        if self.rank >= 0:
            raise self._wrong("the file ends inside a rank: expected }")
        if not self.ranks:
            raise self._wrong("expected num_ranks and a number")
        return self.messages.program(self.file, self.ranks, self._notes(), [])

    def _wrong(self, message: str) -> InputError:
        return InputError(f"{self.file}:{self.line}: {message}")

    def _line(self, text: str) -> None:
        if not self.ranks:
            head = re.fullmatch(r"num_ranks\s+(\d+)", text)
            if not head or not 0 < int(head[1]) <= MOST_RANKS:
                raise self._wrong(f"expected num_ranks and a number from 1 to {MOST_RANKS}, not {text[:60]!r}")
            self.ranks = int(head[1])
        elif self.rank < 0:
            self._open(text)
        elif text == "}":
            self.rank = -1
        elif match := _REQUIRES.fullmatch(text):
            self._requires(match[1], match[2], match[3])
        elif match := _OPERATION.fullmatch(text):
            self._operation(match)
        else:
            raise self._wrong(f"expected `label: calc|send|recv ...`, `label requires label` or `}}`, not {text[:60]!r}")

    def _open(self, text: str) -> None:
        match = _RANK.fullmatch(text)
        if not match:
            raise self._wrong(f"expected `rank N {{`, not {text[:60]!r}")
        self.rank = int(match[1])
        if self.rank >= self.ranks or self.rank in self.seen:
            raise self._wrong(f"rank {self.rank}: expected each of 0 to {self.ranks - 1} once")
        self.seen.add(self.rank)
        self.labels = {}

    def _operation(self, match: re.Match[str]) -> None:
        label, kind, amount, unit, rest = match.groups()
        words = rest.split()
        options = dict(zip(words[::2], map(int, words[1::2])))
        for word in options:
            if word not in _OPTIONS[kind]:
                raise self._wrong(f"{kind} has no {word}{nearest(word, _OPTIONS[kind])}; known: {', '.join(_OPTIONS[kind])}")
        if (unit == "b") != (kind != "calc"):
            raise self._wrong(
                f"expected {'bytes such as 4096b' if kind != 'calc' else 'ns without a unit'}, not {amount}{unit}"
            )
        name = f"{label or 'operation'} on line {self.line} ({kind})"
        start = Action(self.rank, len(self.actions), self.line, name)
        action = Action(self.rank, len(self.actions), self.line, name, after=[len(self.actions)])
        self.actions += [start, action]
        self._fill(kind, int(amount), options, action)
        if label is not None:
            if label in self.labels:
                raise self._wrong(f"a second {label} in rank {self.rank}")
            self.labels[label] = (len(self.actions) - 2, len(self.actions) - 1)

    def _fill(self, kind: str, amount: int, options: dict[str, int], action: Action) -> None:
        if kind == "calc":
            action.pause = amount * NANOSECOND
            self.calcs[self.rank, options.get("cpu", 0)] += 1
            return
        side = "to" if kind == "send" else "from"
        peer = options.get(side, -1)
        if not 0 <= peer < self.ranks or peer == self.rank:
            raise self._wrong(f"{kind} needs `{side} N` with another of the {self.ranks} ranks")
        self.nics.add(options.get("nic", 0))
        ends = (self.rank, peer) if kind == "send" else (peer, self.rank)
        self.messages.add(len(self.actions) - 1, (*ends, options.get("tag", 0)), amount, kind == "recv")
        if kind == "send":
            action.receiver, action.amount = peer, float(amount)

    def _requires(self, later: str, kind: str, earlier: str) -> None:
        for label in (later, earlier):
            if label not in self.labels:
                raise self._wrong(f"no {label} before this line in rank {self.rank}{nearest(label, list(self.labels))}")
        self.actions[self.labels[later][0]].after.append(self.labels[earlier][kind == "requires"])

    def _notes(self) -> list[str]:
        notes = []
        if any(count > 1 for count in self.calcs.values()):
            notes.append("calcs of one cpu overlap unless one requires the other")
        if len(self.nics) > 1:
            notes.append("nic numbers are not heeded: the topology says which links a message takes")
        return notes


def write_goal(schedule: Schedule) -> Written:
    """A schedule as GOAL: its bytes and its waits.

    Raises InputError for what it cannot hold: a folded schedule, bytes that are not whole, a wait for a transfer between two
    other ranks.
    """
    refuse_special(schedule, "GOAL")
    amounts = np.rint(schedule.bytes)
    if (np.abs(amounts - schedule.bytes) > 1e-9 * schedule.bytes).any():
        raise InputError(f"GOAL counts whole bytes, and {schedule.size:.0f} B do not divide into whole chunks")
    lines: list[list[str]] = [[] for _ in range(schedule.ranks)]
    local = schedule.source == schedule.destination
    if schedule.pause is not None and schedule.pause[~local].any():
        raise InputError("GOAL has no transfers that compute: a pause has to be a transfer from a rank to itself")
    for t, (source, destination) in enumerate(zip(schedule.source.tolist(), schedule.destination.tolist())):
        if local[t]:
            lines[source].append(f"s{t}: calc {_nanoseconds(schedule, t)}")
        else:
            lines[source].append(f"s{t}: send {amounts[t]:.0f}b to {destination} tag {t}")
            lines[destination].append(f"r{t}: recv {amounts[t]:.0f}b from {source} tag {t}")
    for t, source in enumerate(schedule.source.tolist()):
        for wait in schedule.wait_ids[schedule.wait_ptr[t] : schedule.wait_ptr[t + 1]].tolist():
            if source not in (schedule.source[wait], schedule.destination[wait]):
                raise InputError(f"GOAL orders what one rank does: transfer {t} of rank {source} waits for transfer {wait}")
            side = "r" if schedule.destination[wait] == source and not local[wait] else "s"
            lines[source].append(f"s{t} requires {side}{wait}")
    body = "".join(f"rank {rank} {{\n{''.join(line + chr(10) for line in mine)}}}\n" for rank, mine in enumerate(lines))
    note = "GOAL holds bytes and waits, not which chunks they are nor whether they are copied or summed"
    return Written(f"num_ranks {schedule.ranks}\n{body}", [note])


def _nanoseconds(schedule: Schedule, t: int) -> int:
    pause = 0.0 if schedule.pause is None else float(schedule.pause[t]) / NANOSECOND
    if abs(pause - round(pause)) > 1e-6:
        raise InputError(f"GOAL counts whole ns, and transfer {t} pauses for {pause:g} ns")
    return round(pause)
