"""The kernel compiled by numba: the same functions, bound to one another's compiled forms."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Timer
from types import FunctionType
from typing import Any

import numpy as np

from . import kernel, state
from .flows import Flows

# The kernel allocates nothing, and counting references to some seventy arrays would take ten times its own time
OPTIONS: dict[str, Any] = {"cache": True, "_nrt": False}
NOTICE_AFTER = 1.5  # s; reading the compiled kernel from the cache takes a fraction of that


@cache
def compiled_advance() -> Callable[..., int]:
    """kernel.advance, compiled and ready: made on the first call on a machine, read from numba's cache later."""
    from numba import njit

    namespace: dict[str, Any] = dict(vars(kernel))
    for name, plain in vars(kernel).items():
        if isinstance(plain, FunctionType) and plain.__module__ == kernel.__name__:
            # A function finds its callees in its globals, so a copy with other globals calls the compiled ones
            copy = FunctionType(plain.__code__, namespace, name, plain.__defaults__)
            copy.__module__ = kernel.__name__
            namespace[name] = njit(**OPTIONS)(copy)
    advance: Callable[..., int] = namespace["advance"]
    tiny = Flows.build([1.0], [1.0], [[0]])
    nobody = np.zeros(0, np.int64)
    with _notice():
        advance(state.make_state(tiny, method="hybrid", tolerance=0.0, held=nobody, watch=nobody), kernel.INF, 0)
    return advance


@contextmanager
def _notice() -> Iterator[None]:
    """Say on stderr what takes so long, if the kernel has to be compiled inside."""
    timer = Timer(
        NOTICE_AFTER, print, ["compiling the flow kernel (once on this machine)"], {"file": sys.stderr, "flush": True}
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
