"""The kernel compiled by numba: the same functions, bound to one another's compiled forms."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Timer
from types import FunctionType
from typing import Any

import numpy as np

from . import kernel, state
from .flows import Flows

# The kernel allocates nothing, and counting references to some seventy arrays would take ten times its own time; handing
# them over in calls takes as long as the smaller functions run, so all is compiled into one. The option that leaves the
# counting out is none of numba's public ones, so that it may be refused one day; the cache is where there is no folder
# that can be written: not beside this file, nor in the user's own (NUMBA_CACHE_DIR names another).
FAST: dict[str, Any] = {"_nrt": False, "forceinline": True}
ATTEMPTS: tuple[dict[str, Any], ...] = ({"cache": True, **FAST}, FAST, {"cache": True}, {})
# Only `advance` is called from Python and kept; the ways into the others would take longer to compile than all else.
INNER: dict[str, Any] = {"cache": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
NOTICE_AFTER = 1.5  # s; reading the compiled kernel from the cache takes a fraction of that


def loaded() -> bool:
    """Whether this process has used the compiled kernel."""
    return compiled_advance.cache_info().currsize > 0


@cache
def kept() -> bool:
    """Whether numba's cache beside the kernel holds it."""
    return any((Path(__file__).parent / "__pycache__").glob("kernel.advance-*.nbi"))


@cache
def compiled_advance() -> Callable[..., int]:
    """kernel.advance, compiled and ready: made on the first call on a machine, read from numba's cache later."""
    from numba.core.errors import NumbaError

    for options in ATTEMPTS[:-1]:
        try:
            return _compile(options)
        except (KeyError, RuntimeError, TypeError, NumbaError):
            continue
    return _compile(ATTEMPTS[-1])


def _compile(options: dict[str, Any]) -> Callable[..., int]:
    """The kernel's functions compiled with some options of numba, and run once."""
    from numba import njit

    namespace: dict[str, Any] = dict(vars(kernel))
    for name, plain in vars(kernel).items():
        if isinstance(plain, FunctionType) and plain.__module__ == kernel.__name__:
            # A function finds its callees in its globals, so a copy with other globals calls the compiled ones
            copy = FunctionType(plain.__code__, namespace, name, plain.__defaults__)
            copy.__module__ = kernel.__name__
            if not FAST.items() <= options.items():
                copy.__qualname__ = f"{name}_plain"  # the cache goes by this name alone: it must not hand over the slow one
            namespace[name] = njit(**(options if name == "advance" else {**options, **INNER}))(copy)
    advance: Callable[..., int] = namespace["advance"]
    tiny = Flows.build([1.0], [1.0], [[0]])
    nobody = np.zeros(0, np.int64)
    with _notice("once on this machine" if "cache" in options else "numba finds no folder to keep it in"):
        advance(state.make_state(tiny, method="hybrid", tolerance=0.0, held=nobody, watch=nobody), kernel.INF, 0)
    return advance


@contextmanager
def _notice(remark: str) -> Iterator[None]:
    """Say on stderr what takes so long, if the kernel has to be compiled inside."""
    timer = Timer(NOTICE_AFTER, print, [f"compiling the flow kernel ({remark})"], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
