"""The wire format of protobuf, as much of it as a trace needs: fields by number, without a schema or a dependency.

Facts: protobuf.dev, Encoding. A field is a varint key (number * 8 + wire type) and a value: 0 varint, 1 eight bytes, 2 a length
and as many bytes, 5 four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import InputError

_FIXED = {1: 8, 5: 4}


class Reader:
    """Walks through the bytes of a file. Raises InputError with the byte where they make no sense."""

    def __init__(self, data: bytes, file: str) -> None:
        self.data, self.file = data, file

    def messages(self) -> Iterator[tuple[int, int]]:
        """(first byte, end) of each message of a file of them, each after its length."""
        at = 0
        while at < len(self.data):
            length, start = self.varint(at, len(self.data))
            yield start, self.end(start, length, len(self.data))
            at = start + length

    def fields(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(number, value, 0) of each varint, (number, first byte, end) of each field of bytes; no others."""
        while at < end:
            key, start = self.varint(at, end)
            number, wire = divmod(key, 8)
            if number == 0 or wire not in (0, 1, 2, 5):
                raise self.fault(at, f"no field of protobuf: number {number}, wire type {wire}")
            if wire == 0:
                value, at = self.varint(start, end)
                yield number, value, 0
            elif wire == 2:
                length, start = self.varint(start, end)
                at = self.end(start, length, end)
                yield number, start, at
            else:
                at = self.end(start, _FIXED[wire], end)

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """A number and the byte after it."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise self.fault(at, "cut short: a number does not end")
            byte = self.data[at]
            value |= (byte & 127) << shift
            at += 1
            if byte < 128:
                return value, at
        raise self.fault(at, "a number of more than ten bytes")

    def end(self, start: int, length: int, limit: int) -> int:
        if length > limit - start:
            raise self.fault(start, f"cut short: {length} bytes announced, {limit - start} left")
        return start + length

    def text(self, start: int, end: int) -> str:
        return self.data[start:end].decode("utf-8", errors="replace")

    def fault(self, at: int, message: str) -> InputError:
        return InputError(f"{self.file}: byte {at}: {message}")
