"""Writing results: all of them or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt


class Staging:
    """A hidden folder beside the one asked for, in which everything is written before any of it appears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def arrays(self, name: str, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Write one npz file."""
        import numpy as np

        columns: dict[str, Any] = {key: np.asarray(values) for key, values in arrays.items()}
        np.savez_compressed(self.folder / name, **columns)


@contextmanager
def whole_folder(target: str | Path, earlier: Sequence[str] = ()) -> Iterator[Staging]:
    """Fill `target` with what the block writes, if the block ends well; leave no trace of it if not.

    earlier: files of an earlier result, which go even if the block does not write them again. All others stay.
    Raises InputError if the folder cannot be written, before the block runs where that can be known.
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
                _replace(staging, wanted, earlier)
            else:
                staging.chmod(0o777 & ~_umask())
                staging.rename(wanted)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def whole_file(target: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file that takes its name only when it is complete. Raises InputError if it cannot be written.

    A device or a pipe (/dev/null, /dev/stdout) is written into, never replaced.
    """
    wanted = _named(target)
    stream = is_stream(wanted)
    with _writing(wanted):
        handle, name = tempfile.mkstemp(prefix=f".{wanted.name}.", dir=None if stream else wanted.parent)
        os.close(handle)
        try:
            write(Path(name))
            if stream:
                wanted.write_bytes(Path(name).read_bytes())
                return
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, wanted)
        finally:
            Path(name).unlink(missing_ok=True)


def _replace(staging: Path, wanted: Path, earlier: Sequence[str]) -> None:
    """Move all files into a folder that exists, in the place of an earlier result; put that back if one cannot be moved."""
    new = sorted(file.name for file in staging.iterdir())
    for name in new:
        if (wanted / name).is_dir():
            raise InputError(f"cannot write {wanted / name}: it is a folder, and a file is needed")
    there = sorted(name for name in {*earlier, *new} if (wanted / name).is_file())
    kept = staging / "kept"
    kept.mkdir()
    try:
        for name in there:
            os.replace(wanted / name, kept / name)
        for name in new:
            os.replace(staging / name, wanted / name)
    except BaseException:  # Ctrl-C as well
        for name in there:
            if (kept / name).exists():
                os.replace(kept / name, wanted / name)
        for name in set(new).difference(there):
            (wanted / name).unlink(missing_ok=True)
        raise


def is_stream(path: Path) -> bool:
    """Whether something that is neither file nor folder has this name."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _named(target: str | Path) -> Path:
    if not str(target).strip():
        raise InputError("the name of what to write is empty")
    if "\0" in str(target):
        raise InputError(f"cannot write {str(target)!r}: a name holds no null character")
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
