"""Protobuf's wire format: the fields of a message, without parsing them.

The wire format is specified at https://protobuf.dev/programming-guides/encoding: a message is a run of fields, each a
varint tag (number and wire type) and a payload whose length the wire type or a varint tells.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

MAX_FIELDS = 1 << 20
"""Where scanning stops: more top-level fields than any graph has nodes that a front end could convert."""

MAX_FIELD_NUMBER = (1 << 29) - 1

_VARINT = re.compile(rb"[\x80-\xff]{0,9}[\x00-\x7f]")


class Field(NamedTuple):
    """A field's number and wire type, and where its payload lies."""

    number: int
    wire_type: int
    start: int
    end: int


class WireFormatError(ValueError):
    """The bytes break the wire format; `position` is where."""

    def __init__(self, position: int) -> None:
        super().__init__(f"not protobuf at byte {position}")
        self.position = position


def scan_fields(data: bytes | mmap.mmap, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The top-level fields of a message, payloads skipped unread; at most MAX_FIELDS of them.

    Raises:
        WireFormatError: a tag is malformed, or a payload reaches past the end.
    """
    position, end = start, len(data) if end is None else end
    for _ in range(MAX_FIELDS):
        if position == end:
            return
        at = position
        tag, position = read_varint(data, position, end)
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number <= MAX_FIELD_NUMBER:
            raise WireFormatError(at)
        if wire_type == VARINT:
            payload = position
            position = skip_varint(data, position, end)
        elif wire_type == LENGTH:
            size, payload = read_varint(data, position, end)
            position = payload + size
        elif wire_type in (FIXED64, FIXED32):
            payload = position
            position += 8 if wire_type == FIXED64 else 4
        else:
            raise WireFormatError(at)
        if position > end:
            raise WireFormatError(at)
        yield Field(number, wire_type, payload, position)


def read_varint(data: bytes | memoryview | mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """A varint of at most ten bytes, and the position after it.

    Raises:
        WireFormatError: it is longer, or reaches past the end.
    """
    if position < end and (value := data[position]) < 0x80:
        # By far the most are of one byte.
        return value, position + 1
    value = 0
    for index in range(10):
        if position + index >= end:
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise WireFormatError(position)


def skip_varint(data: bytes | memoryview | mmap.mmap, position: int, end: int) -> int:
    """The position after a varint of at most ten bytes.

    Raises:
        WireFormatError: it is longer, or reaches past the end.
    """
    if position < end and data[position] < 0x80:
        return position + 1
    found = _VARINT.match(data, position, end)
    if found is None:
        raise WireFormatError(position)
    return found.end()
