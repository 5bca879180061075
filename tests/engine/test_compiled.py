"""The compiled kernel where numba does not offer what it is first asked for."""

import numpy as np
import pytest

from fabric.engine import Flows, compiled, state
from fabric.engine.kernel import DONE, INF

NOBODY = np.zeros(0, np.int64)


def test_an_option_that_numba_refuses_is_left_out(monkeypatch):
    monkeypatch.setattr(compiled, "ATTEMPTS", ({"_no_such_option": True}, {"cache": True}))
    advance = compiled.compiled_advance.__wrapped__()
    columns = state.make_state(Flows.build([2.0], [3.0], [[0]]), method="hybrid", tolerance=0.0, held=NOBODY, watch=NOBODY)
    assert advance(columns, INF, 1 << 40) == DONE
    assert columns.died[0] + columns.died_base[0] == 1.5


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch):
    tried = []

    def refuse(options):
        tried.append(options)
        if "cache" in options:
            raise RuntimeError("cannot cache function: no locator available")
        return "compiled"

    monkeypatch.setattr(compiled, "_compile", refuse)
    assert compiled.compiled_advance.__wrapped__() == "compiled"
    assert tried == [{"cache": True, **compiled.FAST}, compiled.FAST]


def test_other_errors_are_not_hidden(monkeypatch):
    def fail(options):
        raise ZeroDivisionError

    monkeypatch.setattr(compiled, "_compile", fail)
    with pytest.raises(ZeroDivisionError):
        compiled.compiled_advance.__wrapped__()
