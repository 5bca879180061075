"""An algorithm's name and options against the algorithms that there are; their signatures say which options exist."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..collectives import ALGORITHMS, FITTED, SLICES
from ..errors import unknown
from .document import Fault, Path
from .faults import read_errors
from .model import Algorithm

AUTO = "auto"
EVERY = (AUTO, "all")  # no algorithm by name: the fastest of those that apply, or each of them
GENERIC = {"slices": Annotated[int, Field(ge=1)]}  # options of every algorithm


def check_algorithm(collective: str, given: object, at: Path) -> list[Fault]:
    """What is wrong with the algorithm of a case; whether it serves the fabric is not looked at."""
    algorithm = Algorithm.model_validate({"name": given} if isinstance(given, str) else given)
    known = _algorithms(collective)
    every = EVERY[:1] if collective == "moe" else EVERY
    if algorithm.name not in (*every, *known):
        where = at if isinstance(given, str) else (*at, "name")
        return [Fault(where, unknown(f"algorithm of {collective}", algorithm.name, [*every, *known]))]
    kinds = _kinds(list(known.values()) if algorithm.name in EVERY else [known[algorithm.name]])
    faults = []
    for key, value in algorithm.parameters.items():
        if key not in kinds:
            faults.append(Fault((*at, key), unknown(f"option of {algorithm.name}", key, list(kinds)), key=True))
        else:
            faults += _check_option(kinds[key], value, (*at, key))
    return faults


def with_default_options(collective: str, given: object) -> dict[str, Any]:
    """A checked algorithm with the defaults of its options filled in."""
    algorithm: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)  # type: ignore[call-overload]
    if algorithm.setdefault("name", AUTO) in EVERY:
        return algorithm
    options = _options(_algorithms(collective)[algorithm["name"]])
    defaults = {name: option.default for name, option in options.items() if option.default is not None}
    defaults |= {"slices": SLICES[algorithm["name"]]} if algorithm["name"] in SLICES else {}
    return {**algorithm, **{name: value for name, value in defaults.items() if name not in algorithm}}


def _algorithms(collective: str) -> Mapping[str, Callable[..., Any]]:
    name = "all_to_all_v" if collective == "moe" else collective
    return {**ALGORITHMS[name], **FITTED.get(name, {})}


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters with a default: the others are the layout, and the matrix."""
    parameters = inspect.signature(function).parameters
    return {name: option for name, option in parameters.items() if option.default is not option.empty}


def _kinds(functions: list[Callable[..., Any]]) -> dict[str, Any]:
    """The options that all these algorithms take, and the type of each."""
    shared = [name for name in _options(functions[0]) if all(name in _options(function) for function in functions)]
    hints = get_type_hints(functions[0])
    return {name: hints.get(name, Any) for name in shared} | GENERIC


def _check_option(hint: Any, value: object, at: Path) -> list[Fault]:
    adapter = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        adapter.validate_json(json.dumps(value))  # as JSON, so that a list may become a tuple
    except ValidationError as error:
        return [next(read_errors(error))._replace(path=at)]
    return []
