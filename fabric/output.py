"""Writing results: all of them or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


class Staging:
    """A hidden folder beside the one asked for, in which everything is written before any of it appears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        (self.folder / name).write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(target: str | Path) -> Iterator[Staging]:
    """Fill `target` with what the block writes, if the block ends well; leave no trace of it if not.

    A folder that exists keeps its other files. Raises InputError if it cannot be written, before the block runs where
    that can be known.
    """
    wanted = Path(target)
    if wanted.exists() and not wanted.is_dir():
        raise InputError(f"cannot write to {wanted}: it is a file, and a folder is needed")
    with _writing(wanted):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if wanted.exists() and not os.access(wanted, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
        staging = Path(tempfile.mkdtemp(prefix=f".{wanted.name}.", dir=wanted.parent))
    try:
        with _writing(wanted):
            yield Staging(staging)
            _move(staging, wanted)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def whole_file(target: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file that takes its name only when it is complete. Raises InputError if it cannot be written."""
    wanted = Path(target)
    with _writing(wanted):
        handle, name = tempfile.mkstemp(prefix=f".{wanted.name}.", dir=wanted.parent)
        os.close(handle)
        try:
            write(Path(name))
            os.chmod(name, 0o644)
            os.replace(name, wanted)
        finally:
            Path(name).unlink(missing_ok=True)


def _move(staging: Path, wanted: Path) -> None:
    staging.chmod(0o755)
    if not wanted.exists():
        staging.rename(wanted)
        return
    for file in sorted(staging.iterdir()):
        os.replace(file, wanted / file.name)


@contextmanager
def _writing(wanted: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {wanted}: {error.strerror or error}") from error
