"""An algorithm's name and options against the algorithms that there are; their signatures say which options exist."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..collectives import ALGORITHMS
from ..errors import unknown
from .document import Fault, Path
from .faults import read_errors
from .model import Algorithm

AUTO = "auto"


def check_algorithm(collective: str, given: object, at: Path) -> list[Fault]:
    """What is wrong with the algorithm of a case; whether it serves the fabric is not looked at."""
    algorithm = Algorithm.model_validate({"name": given} if isinstance(given, str) else given)
    known = _algorithms(collective)
    if algorithm.name == AUTO:
        return [Fault((*at, key), f"{AUTO} takes no options", key=True) for key in algorithm.parameters]
    if algorithm.name not in known:
        where = at if isinstance(given, str) else (*at, "name")
        return [Fault(where, unknown(f"algorithm of {collective}", algorithm.name, [AUTO, *known]))]
    options = _options(known[algorithm.name])
    faults = []
    for key, value in algorithm.parameters.items():
        if key not in options:
            faults.append(Fault((*at, key), unknown(f"option of {algorithm.name}", key, list(options)), key=True))
        else:
            faults += _check_option(known[algorithm.name], key, value, (*at, key))
    return faults


def with_default_options(collective: str, given: object) -> dict[str, Any]:
    """A checked algorithm with the defaults of its options filled in."""
    algorithm: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)  # type: ignore[call-overload]
    if algorithm.setdefault("name", AUTO) == AUTO:
        return algorithm
    options = _options(_algorithms(collective)[algorithm["name"]])
    defaults = {name: option.default for name, option in options.items() if option.default is not None}
    return {**algorithm, **{name: value for name, value in defaults.items() if name not in algorithm}}


def _algorithms(collective: str) -> Mapping[str, Callable[..., Any]]:
    return ALGORITHMS["all_to_all_v" if collective == "moe" else collective]


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters with a default: the others are the layout, and the matrix."""
    parameters = inspect.signature(function).parameters
    return {name: option for name, option in parameters.items() if option.default is not option.empty}


def _check_option(function: Callable[..., Any], name: str, value: object, at: Path) -> list[Fault]:
    hint = get_type_hints(function).get(name, Any)
    adapter = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        adapter.validate_json(json.dumps(value))  # as JSON, so that a list may become a tuple
    except ValidationError as error:
        return [next(read_errors(error))._replace(path=at)]
    return []
