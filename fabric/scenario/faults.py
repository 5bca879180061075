"""pydantic's errors in the words of this program, each with its path in the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import unknown
from .document import Fault, Path
from .fields import Faults, shown
from .model import Case, Degrade, MatrixFile, Model, Moe, Overheads, Report, Routing, Scale, Scenario

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, ValidationError

#: The model under each key; the keys of a list's items are those of the list.
MODELS: Mapping[str, type[Model]] = {
    "cases": Case,
    "degrade": Degrade,
    "dispatch_scale": Scale,
    "matrix": MatrixFile,
    "moe": Moe,
    "overheads": Overheads,
    "report": Report,
    "routing": Routing,
}
EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a mapping",
    "string_type": "text",
    "string_pattern_mismatch": "text in one line",
    "string_too_short": "text",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "at least {min_length} in the list",
    "too_long": "at most {max_length} in the list",
}


def read_errors(error: ValidationError, at: Path = ()) -> Iterator[Fault]:
    """Every fault of a validation of the value at a path; None stands for a value that was refused already."""
    for detail in error.errors(include_url=False):
        if detail["input"] is not None:
            yield from _read(detail, (*at, *detail["loc"]))


def _read(detail: ErrorDetails, path: Path) -> Iterator[Fault]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        yield Fault(path, f"missing key {path[-1]!r}", key=True)
    elif kind == "extra_forbidden":
        yield Fault(path, unknown("key", str(path[-1]), list(_model(path[:-1]).model_fields)), key=True)
    elif kind == "value_error" and isinstance(context["error"], Faults):
        for below, message in context["error"].faults:
            yield Fault((*path, *below), message)
    elif kind == "value_error":
        yield Fault(path, str(context["error"]))
    else:
        yield Fault(path, _expected(kind, context, detail["input"], detail["msg"]))


def _expected(kind: str, context: Mapping[str, Any], value: object, message: str) -> str:
    if kind not in EXPECTED:
        return message
    return f"expected {EXPECTED[kind].format(**context)}, not {_shown(value)}"


def _shown(value: object) -> str:
    return "an empty one" if value in ([], "") else shown(value)


def _model(path: Path) -> type[Model]:
    """The model of the mapping at a path."""
    words = [part for part in path if isinstance(part, str)]
    return MODELS[words[-1]] if words else Scenario
