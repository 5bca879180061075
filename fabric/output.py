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
    wanted = _named(target)
    with _writing(wanted):
        if wanted.exists() and not wanted.is_dir():
            raise InputError(f"cannot write to {wanted}: it is a file, and a folder is needed")
        # Inside a folder that exists: it may be all that can be written to, or a file system of its own.
        beside = wanted if wanted.exists() else wanted.parent
        beside.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{wanted.name}.", dir=beside))
    try:
        with _writing(wanted):
            yield Staging(staging)
            if wanted.exists():
                _replace(staging, wanted)
            else:
                staging.chmod(0o777 & ~_umask())
                staging.rename(wanted)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def whole_file(target: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file that takes its name only when it is complete. Raises InputError if it cannot be written."""
    wanted = _named(target)
    with _writing(wanted):
        handle, name = tempfile.mkstemp(prefix=f".{wanted.name}.", dir=wanted.parent)
        os.close(handle)
        try:
            write(Path(name))
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, wanted)
        finally:
            Path(name).unlink(missing_ok=True)


def _replace(staging: Path, wanted: Path) -> None:
    """Move all files into a folder that exists; put back what was there if one of them cannot be moved."""
    files = sorted(staging.iterdir())
    for file in files:
        if (wanted / file.name).is_dir():
            raise InputError(f"cannot write {wanted / file.name}: it is a folder, and a file is needed")
    kept = staging / "kept"
    kept.mkdir()
    done: list[str] = []
    try:
        for file in files:
            if (wanted / file.name).exists():
                os.replace(wanted / file.name, kept / file.name)
            done.append(file.name)
            os.replace(file, wanted / file.name)
    except OSError:
        for name in done:
            (wanted / name).unlink(missing_ok=True)
            if (kept / name).exists():
                os.replace(kept / name, wanted / name)
        raise


def _named(target: str | Path) -> Path:
    if not str(target).strip():
        raise InputError("the name of what to write is empty")
    return Path(target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _writing(wanted: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {wanted}: {error.strerror or error}") from error
