"""JSON in which every number is finite: Python's reader takes NaN, Infinity and 1e999 otherwise."""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = ["loads"]

#: Strings, so that what is inside them is passed over, and numbers.
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity|\d[\d.eE+-]*)')


def loads(text: str) -> Any:
    """The value in `text`. ValueError, beginning with line:column, if it is not JSON or a number is not finite."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.lineno}:{error.colno}: {error.msg}") from None
    except OverflowError:
        raise ValueError(f"{_infinite_place(text)}: numbers must be finite") from None


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise OverflowError(number)
    return value


def _infinite_place(text: str) -> str:
    """line:column of the first number that is not finite."""
    numbers = (token for token in TOKENS.finditer(text) if not token.group().startswith('"'))
    start = next(number.start() for number in numbers if not math.isfinite(float(number.group())))
    return f"{text.count(chr(10), 0, start) + 1}:{start - text.rfind(chr(10), 0, start)}"
