"""Quantities as text: `64 MiB`, `128 GB/s`, `400 Gb/s`, `1.5 us`.

Inside the program everything is bytes, seconds and bytes/s in one direction. In files a number carries its unit; a bare
number is refused, except 0. `b` is a bit and `B` a byte; k M G T are powers of 1000, Ki Mi Gi Ti powers of 1024.
"""

from __future__ import annotations

import math
import re

from .errors import InputError, nearest

PREFIXES = {
    "": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50,
}  # fmt: skip
SIZE = {prefix + "B": factor for prefix, factor in PREFIXES.items()}
BANDWIDTH = {f"{prefix}B/s": factor for prefix, factor in PREFIXES.items()} | {
    f"{prefix}{bit}": factor / 8 for prefix, factor in PREFIXES.items() for bit in ("b/s", "bps")
}
TIME = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "\N{MICRO SIGN}s": 1e-6, "\N{GREEK SMALL LETTER MU}s": 1e-6, "ns": 1e-9, "ps": 1e-12}
MOST_BYTES = 2.0**53  # beyond it a float64 skips whole numbers
BANDWIDTHS = (1e-3, 1e18)  # bytes/s: beyond them times and bytes leave the range of numbers
MOST_SECONDS = 1e9
EXAMPLES = {"size": "64 MiB", "bandwidth": "128 GB/s", "time": "1.5 us"}

_QUANTITY = re.compile(r"\s*([+-]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(\S*)\s*$")


def parse_size(text: object) -> float:
    """Bytes. A size is a whole number of bytes of at most MOST_BYTES.

    >>> parse_size("64 KiB")
    65536.0
    """
    size = _parse(text, SIZE, "size")
    if abs(size) > MOST_BYTES:
        raise InputError(f"{text!r} is too large for a size: at most 8 PiB, up to which every whole number of bytes is exact")
    if abs(size - round(size)) > 4 * math.ulp(size):  # 1.1 MB is not a whole number of bytes in floating point
        raise InputError(f"{text!r} is {size:.15g} bytes: a size is a whole number of bytes")
    return float(round(size))


def parse_bandwidth(text: object) -> float:
    """Bytes/s, one direction; 0, or within BANDWIDTHS.

    >>> parse_bandwidth("400 Gb/s")
    50000000000.0
    """
    bandwidth = _parse(text, BANDWIDTH, "bandwidth")
    if bandwidth and not BANDWIDTHS[0] <= abs(bandwidth) <= BANDWIDTHS[1]:
        raise InputError(f"{text!r} is out of range: expected a bandwidth of 0.001 B/s to 1e9 GB/s")
    return bandwidth


def parse_time(text: object) -> float:
    """Seconds, at most MOST_SECONDS.

    >>> parse_time("1.3 us")
    1.3e-06
    """
    time = _parse(text, TIME, "time")
    if abs(time) > MOST_SECONDS:
        raise InputError(f"{text!r} is too large for a time: at most {MOST_SECONDS:g} s")
    return time


def _parse(text: object, units: dict[str, float], what: str) -> float:
    example = f"such as {EXAMPLES[what]!r}"
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise InputError(f"expected a {what} {example}, not {text!r}")
    match = _QUANTITY.match(str(text))
    if match is None:
        raise InputError(f"expected a {what} {example}, not {text!r}")
    number, unit = float(match[1]), match[2]
    if unit == "" and number == 0:
        return 0.0
    if unit == "":
        raise InputError(f"{text!r} has no unit: expected a {what} {example}")
    if unit not in units:
        raise InputError(f"unknown unit {unit!r} of a {what}{_nearest(unit, units)}; expected one {example}")
    # Divide by the inverse where it is exact: 1.3 us must be the float 1.3e-06, not 1.3 * 1e-06.
    factor = units[unit]
    value = number * factor if factor >= 1 else number / round(1 / factor)
    if not math.isfinite(value):
        raise InputError(f"{text!r} is too large for a {what}")
    return value


def _nearest(unit: str, units: dict[str, float]) -> str:
    """The unit meant, most likely: the same letters in another case, else the nearest."""
    same = [known for known in units if known.casefold() == unit.casefold()]
    return f" (did you mean {' or '.join(same)}?)" if same else nearest(unit, list(units))


def format_size(size: float) -> str:
    """Binary units where they are exact, else bytes.

    >>> format_size(65536), format_size(1000)
    ('64 KiB', '1000 B')
    """
    for prefix in ("Ti", "Gi", "Mi", "Ki"):
        if size >= PREFIXES[prefix] and size % PREFIXES[prefix] == 0:
            return f"{size / PREFIXES[prefix]:.0f} {prefix}B"
    return f"{size:.0f} B"


def format_bandwidth(bandwidth: float) -> str:
    """Decimal GB/s.

    >>> format_bandwidth(128e9)
    '128 GB/s'
    """
    return f"{bandwidth / 1e9:.6g} GB/s"


def format_time(time: float) -> str:
    """Engineering notation.

    >>> format_time(0.0123), format_time(1.3e-6)
    ('12.3 ms', '1.3 us')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if time >= factor:
            return f"{time / factor:.4g} {unit}"
    return f"{time * 1e9:.4g} ns"
