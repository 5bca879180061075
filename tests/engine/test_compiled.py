"""The compiled kernel where numba does not offer what it is first asked for."""

import pytest

from fabric.engine import compiled


def test_an_option_that_numba_refuses_is_left_out(monkeypatch):
    compile_, tried = compiled._compile, []

    def attempt(options):
        tried.append(options)
        return compile_(options) if "_no_such_option" in options else "compiled"

    monkeypatch.setattr(compiled, "ATTEMPTS", ({"_no_such_option": True}, {"cache": True}))
    monkeypatch.setattr(compiled, "_compile", attempt)
    assert compiled.compiled_advance.__wrapped__() == "compiled"
    assert tried == [{"_no_such_option": True}, {"cache": True}]


def test_kernels_of_other_options_are_kept_apart(monkeypatch):
    """The cache of numba knows a function by its name and arguments, whatever the options."""
    import numba

    names = {}

    def njit(**options):
        def keep(function):
            names.setdefault(function.__name__, set()).add(function.__qualname__)
            return lambda *arguments: 0

        return keep

    monkeypatch.setattr(numba, "njit", njit)
    for options in compiled.ATTEMPTS:
        compiled._compile(options)
    assert names["advance"] == {"advance", "advance_plain"}


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
