"""All that is wrong with a file at once."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

__all__ = ["FileFaults"]


class FileFaults(ValueError):
    """`faults` has one line for each, beginning with the path of the file."""

    def __init__(self, path: str | PathLike[str], faults: Sequence[str]) -> None:
        self.faults = [f"{path}: {fault}" for fault in faults]
        super().__init__("\n".join(self.faults))
