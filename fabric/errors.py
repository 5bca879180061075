"""What can go wrong, as the user meets it.

    FabricError
      x InputError     the input is wrong: exit code 2
      x RunError       the run failed (a stall, a run that does not fit): exit code 1
      x InternalError  a result contradicts a proof: a defect of this program, exit code 1

The command prints the message and no traceback; from Python they are ordinary exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class FabricError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code = 1


class InputError(FabricError):
    """Wrong input. Carries every fault found, one line each."""

    exit_code = 2

    def __init__(self, faults: str | Iterable[str]) -> None:
        self.faults: list[str] = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class RunError(FabricError):
    """The input was right and the run failed all the same."""


class InternalError(FabricError):
    """A result that cannot be: below a lower bound, or without its certificate."""


def nearest(word: str, known: Sequence[str]) -> str:
    """` (did you mean X?)` for the known name nearest to `word`, or an empty text.

    >>> nearest("trn2_ultrasever", ["trn2", "trn2_ultraserver"])
    ' (did you mean trn2_ultraserver?)'
    """
    close = get_close_matches(str(word), known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def unknown(what: str, word: str, known: Sequence[str]) -> str:
    """One line that rejects a name: what it is, the nearest right one, all that exist."""
    return f"unknown {what} {word!r}{nearest(word, known)}; known: {', '.join(sorted(known))}"
