"""What took long to find, kept on disk for the next run: arrays under the digest of all that they depend on.

The folder is `fabricsim` in $XDG_CACHE_HOME, or in ~/.cache. It may be deleted at any time. One that cannot be written to, or
a file that cannot be read, costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def folder() -> Path:
    """Where it is kept. A relative $XDG_CACHE_HOME is no folder (XDG base directory specification) and is ignored."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "fabricsim"


def digest(*parts: object) -> str:
    """A name for arrays and plain values."""
    found = hashlib.sha256()
    for part in parts:
        text = part.tobytes() + str((part.dtype, part.shape)).encode() if isinstance(part, np.ndarray) else repr(part).encode()
        found.update(hashlib.sha256(text).digest())
    return found.hexdigest()


def load(kind: str, name: str) -> Arrays | None:
    """The arrays that were stored under a name; None where there are none that can be read."""
    try:
        with (folder() / kind / f"{name}.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None


def store(kind: str, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep arrays under a name; the file appears when it is whole."""
    target = folder() / kind / f"{name}.npz"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=".", suffix=".npz", dir=target.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        os.replace(draft, target)
    except OSError:
        Path(draft).unlink(missing_ok=True)
