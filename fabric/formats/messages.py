"""Messages that are sent and received apart: the k-th send on (source, destination, tag) meets the k-th receive."""

from __future__ import annotations

from dataclasses import dataclass, field

from .program import Action, Fault, Program
from .verdict import in_order

Channel = tuple[int, int, int]  # source, destination, tag


@dataclass
class Messages:
    """The sends and receives of a program of messages, which has no cells: only bytes and waits."""

    actions: list[Action]
    bytes: dict[int, int] = field(default_factory=dict)  # of each send and receive
    ends: dict[Channel, tuple[list[int], list[int]]] = field(default_factory=dict)

    def add(self, number: int, channel: Channel, amount: int, receives: bool) -> None:
        """An action that sends, or receives, so many bytes."""
        self.ends.setdefault(channel, ([], []))[receives].append(number)
        self.bytes[number] = amount

    def program(self, name: str, ranks: int, notes: list[str], faults: list[Fault]) -> Program:
        """The program of the actions, whose receives wait for their sends; `faults` come before those found here.

        Its size, in bytes, is the most that one rank sends.
        """
        faults = [*faults, *self._match()]
        sent = [0.0] * ranks
        for action in self.actions:
            sent[action.rank] += action.amount
        return Program("custom", name, ranks, self.actions, size=max(*sent, 1.0), faults=faults, notes=notes)

    def _match(self) -> list[Fault]:
        faults: list[Fault] = []
        # Where waits order the sends of a channel, that order counts and not that of the file.
        turns = {number: turn for turn, number in enumerate(in_order(self.actions))}
        for channel, ends in sorted(self.ends.items()):
            where = "rank {} to rank {} with tag {}".format(*channel)
            sends, receives = (sorted(numbers, key=lambda number: turns.get(number, len(turns))) for numbers in ends)
            for send, receive in zip(sends, receives):
                self.actions[receive].after.append(send)
                if self.bytes[send] != self.bytes[receive]:
                    message = f"takes {self.bytes[receive]} bytes, and {self.bytes[send]} are sent from {where}"
                    faults.append(unmatched(self.actions[receive], message))
            faults += [unmatched(self.actions[n], f"nobody receives it: from {where}") for n in sends[len(receives) :]]
            faults += [unmatched(self.actions[n], f"nobody sends what it takes from {where}") for n in receives[len(sends) :]]
        return faults


def unmatched(action: Action, message: str) -> Fault:
    return Fault("unmatched", action.rank, None, action.step, f"{action}: {message}")
