"""Quantities of a scenario file: text with a unit to a number and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..errors import InputError
from ..units import BANDWIDTH, TIME, format_size, parse_bandwidth, parse_size, parse_time

_RANGE = re.compile(r"\s*(.+?)\s*\.\.\s*(.+?)\s+[x×*]\s*(\S+)\s*$")


def read_size(text: object) -> float:
    """Bytes, above zero."""
    return _read(parse_size, text, "a size", zero=False)


def read_size_or_zero(text: object) -> float:
    """Bytes, zero allowed."""
    return _read(parse_size, text, "a size", zero=True)


def read_time(text: object) -> float:
    """Seconds, zero allowed."""
    return _read(parse_time, text, "a time", zero=True)


def read_bandwidth(text: object) -> float:
    """Bytes/s, above zero."""
    return _read(parse_bandwidth, text, "a bandwidth", zero=False)


def _read(parse: Callable[[object], float], text: object, what: str, zero: bool) -> float:
    try:
        value = parse(text)
    except InputError as error:
        raise ValueError(str(error)) from None
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"{what} is {'at least' if zero else 'above'} zero, not {text!r}")
    return value


def expand_sizes(value: object) -> object:
    """One size or one range as the list of sizes that it stands for; a list stays as it is.

    A range is geometric: the first size times the factor as often as it does not pass the last.

    >>> expand_sizes("1 KiB..16 KiB x4")
    ['1 KiB', '4 KiB', '16 KiB']
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, str) or ".." not in value:
        return [value]
    match = _RANGE.match(value)
    if match is None:
        raise ValueError(f"expected a range such as '64 KiB..1 GiB x4', not {value!r}")
    size, last = read_size(match[1]), read_size(match[2])
    if not match[3].isascii() or not match[3].isdigit() or int(match[3]) < 2:
        raise ValueError(f"the factor of a range is a whole number of at least 2, not {match[3]!r}")
    if size > last:
        raise ValueError(f"the range {value!r} ends before it starts")
    sizes = []
    while size <= last:
        sizes.append(format_size(size))
        size *= int(match[3])
    return sizes


def size_text(size: float) -> str:
    """Text that reads back as exactly this size, bytes."""
    return format_size(size)


def time_text(time: float) -> str:
    """Text that reads back as exactly this time, s.

    >>> time_text(1.3e-06), time_text(0.0)
    ('1.3 us', '0 s')
    """
    return _exact(time, parse_time, ("s", "ms", "us", "ns", "ps"), TIME)


def bandwidth_text(bandwidth: float) -> str:
    """Text that reads back as exactly this bandwidth, bytes/s.

    >>> bandwidth_text(128e9)
    '128 GB/s'
    """
    return _exact(bandwidth, parse_bandwidth, ("GB/s", "MB/s", "B/s"), BANDWIDTH)


def _exact(value: float, parse: Callable[[object], float], names: Sequence[str], units: dict[str, float]) -> str:
    """The value in the first unit that makes it at least 1 and reads back exactly, else in the base unit."""
    for name in names:
        text = f"{value / units[name]:.15g} {name}"
        if value >= units[name] and parse(text) == value:
            return text
    base = next(name for name in names if units[name] == 1)
    return f"{value!r} {base}" if value else f"0 {base}"
