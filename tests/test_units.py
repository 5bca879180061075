"""Quantities as text."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.errors import InputError
from fabric.units import (
    format_bandwidth,
    format_size,
    format_time,
    parse_bandwidth,
    parse_size,
    parse_time,
)

PARSERS = [parse_size, parse_bandwidth, parse_time]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64 KiB", 65536), ("64KiB", 65536), (" 1 B ", 1), ("1.5 KiB", 1536), ("1 kB", 1000), ("1 KB", 1000), ("1e3 B", 1000),
        ("1.1 MB", 1_100_000), ("0.3 kB", 300), ("1_000 B", 1000), ("2 TiB", 2**41), ("1 PiB", 2**50), ("0", 0), ("0 GiB", 0),
        (".5 KiB", 512), ("8. B", 8), ("+8 B", 8), ("1 GB", 10**9), ("1 GiB", 2**30),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "bandwidth"),
    [
        ("400 Gb/s", 50e9), ("400 Gbps", 50e9), ("128 GB/s", 128e9), ("1 B/s", 1.0), ("8 b/s", 1.0), ("1 GiB/s", 2**30),
        ("1 Gib/s", 2**27), ("1.6 Tb/s", 200e9), ("0", 0.0), ("12,8", None),
    ],
)  # fmt: skip
def test_bandwidths(text: str, bandwidth: float | None) -> None:
    if bandwidth is None:
        with pytest.raises(InputError):
            parse_bandwidth(text)
    else:
        assert parse_bandwidth(text) == bandwidth


@pytest.mark.parametrize(
    ("text", "time"),
    [("1.3 us", 1.3e-6), ("1.3 \u00b5s", 1.3e-6), ("1.3 \u03bcs", 1.3e-6), ("15 ms", 0.015), ("200 ns", 2e-7), ("2 s", 2.0)],
)
def test_times_are_the_nearest_float(text: str, time: float) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "64", "64 ", "-", "1 2 B", "nan B", "inf s", "1e999 GB/s", "1__0 B", "1_ B", "_1 B", "0x10 B", "٣ B",
     "1 e3 B", "1e400 s", "1 XB", "1 s/B", None, True, False, [], {}, 3, 1.5, float("nan")],
)  # fmt: skip
def test_what_is_no_quantity_is_refused(parse: Callable[[object], float], text: object) -> None:
    with pytest.raises(InputError) as raised:
        parse(text)
    assert len(raised.value.faults) == 1
    assert "\n" not in raised.value.faults[0]


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_size, "64", "'64' has no unit: expected a size such as '64 MiB'"),
        (parse_size, "64 Kib", "unknown unit 'Kib' of a size (did you mean KiB?); expected one such as '64 MiB'"),
        (parse_size, "1 kb", "unknown unit 'kb' of a size (did you mean kB or KB?); expected one such as '64 MiB'"),
        (parse_size, "0.5 B", "'0.5 B' is 0.5 bytes: a size is a whole number of bytes"),
        (parse_size, "0.1 GiB", "'0.1 GiB' is 107374182.4 bytes: a size is a whole number of bytes"),
        (parse_size, "10000000000.25 B", "'10000000000.25 B' is 10000000000.25 bytes: a size is a whole number of bytes"),
        (parse_size, "8193 TiB", "'8193 TiB' is too large for a size: at most 8 PiB, up to which every whole number of "
         "bytes is exact"),
        (parse_bandwidth, "1e10 GB/s", "'1e10 GB/s' is out of range: expected a bandwidth of 0.001 B/s to 1e9 GB/s"),
        (parse_bandwidth, "1e-9 B/s", "'1e-9 B/s' is out of range: expected a bandwidth of 0.001 B/s to 1e9 GB/s"),
        (parse_time, "2e9 s", "'2e9 s' is too large for a time: at most 1e+09 s"),
        (parse_bandwidth, "1 gb/s", "unknown unit 'gb/s' of a bandwidth (did you mean GB/s or Gb/s?); expected one such as "
         "'128 GB/s'"),
        (parse_bandwidth, "128 GB", "unknown unit 'GB' of a bandwidth (did you mean GB/s?); expected one such as '128 GB/s'"),
        (parse_time, "1 US", "unknown unit 'US' of a time (did you mean us?); expected one such as '1.5 us'"),
        (parse_time, True, "expected a time such as '1.5 us', not True"),
    ],
)  # fmt: skip
def test_messages(parse: Callable[[object], float], text: object, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse(text)
    assert raised.value.faults == [message]


PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@given(st.integers(0, 2**13), st.sampled_from(list(PREFIXES)), st.sampled_from(["", " ", "  "]))
def test_prefixes(number: int, prefix: str, space: str) -> None:
    assert parse_size(f"{number}{space}{prefix}B") == number * PREFIXES[prefix]
    assert parse_bandwidth(f"{number}{space}{prefix}B/s") == number * PREFIXES[prefix]
    assert parse_bandwidth(f"{number}{space}{prefix}b/s") == Fraction(number * PREFIXES[prefix], 8)


def test_the_largest_size() -> None:
    assert parse_size("8 PiB") == parse_size("9007199254740992 B") == 2**53


@given(st.integers(0, 2**53))
def test_a_size_as_text_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.floats(1.0, 1e15))
def test_a_bandwidth_as_text_reads_back_to_six_digits(bandwidth: float) -> None:
    assert parse_bandwidth(format_bandwidth(bandwidth)) == pytest.approx(bandwidth, rel=1e-5)


@given(st.floats(1e-9, 1e6))
def test_a_time_as_text_reads_back_to_four_digits(time: float) -> None:
    assert parse_time(format_time(time)) == pytest.approx(time, rel=1e-3)


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    for parse in PARSERS:
        try:
            value = parse(text)
        except InputError:
            continue
        assert value == value
