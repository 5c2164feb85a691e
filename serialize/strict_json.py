"""JSON with one meaning in every reader, and bounded; written in one fixed form."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

import msgspec

from transload.serialize.errors import PackageError

T = TypeVar("T")

MAX_JSON_BYTES = 2 << 20
"""A manifest or interface larger than this is refused unread; real ones are some kilobytes."""

MAX_JSON_PARTS = 1 << 16
"""Commas and opening brackets and braces in a manifest or interface, those inside of texts too. A value takes some
hundred times as much memory as file; three of these for each member are what a manifest of ours has."""

MAX_JSON_DEPTH = 64
"""Objects and lists, one inside the other; empty ones do not count."""

MIN_INTEGER, MAX_INTEGER = -(1 << 63), (1 << 63) - 1


def encode_json(value: Any) -> bytes:
    """UTF-8, two-space indents, keys in the value's own order, one final newline: equal values, equal bytes."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def decode_json(data: bytes | memoryview, member: str) -> dict[str, Any]:
    """The object in `data`.

    Raises:
        PackageError: too large, not UTF-8 JSON, not an object, a key stands twice, a number is not finite or leaves 64
            bits, a string holds half of a surrogate pair, or values nest too deep.
    """
    if len(data) > MAX_JSON_BYTES:
        raise PackageError(f"{len(data)} bytes of JSON are too many.", member=member, rule="json-size")
    if sum(bytes(data).count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_PARTS:
        raise PackageError(f"The JSON has more than {MAX_JSON_PARTS} parts.", member=member, rule="json-size")
    try:
        value = json.loads(
            str(data, "utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
        _check_values(value)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"Not valid JSON: {error}.", member=member, rule="json") from error
    if not isinstance(value, dict):
        raise PackageError("The JSON is not an object.", member=member, rule="json")
    return value


def convert_json(value: Any, to: type[T], member: str, rule: str) -> T:
    """Check parsed JSON against a msgspec type; fields that the type does not know are left aside.

    Raises:
        PackageError: a field is missing or has the wrong type.
    """
    try:
        return msgspec.convert(value, to)
    except (msgspec.ValidationError, RecursionError) as error:
        raise PackageError(f"{error}.", member=member, rule=rule) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {name!r} stands twice")
            seen.add(name)
    return value


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _integer(digits: str) -> int:
    value = int(digits)
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise ValueError(f"{digits} does not fit into 64 bits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large")
    return value


def _check_values(value: Any) -> None:
    """Refuse nesting that other readers give up on, and strings that are not Unicode."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_JSON_DEPTH):
        inner: list[Any] = []
        for container in level:
            for item in container if isinstance(container, list) else (*container, *container.values()):
                if isinstance(item, str):
                    # A lone half of a surrogate pair cannot be encoded: a UnicodeError, which is a ValueError.
                    item.encode()
                elif isinstance(item, dict | list) and item:
                    inner.append(item)
        level = inner
    if level:
        raise ValueError(f"values nest deeper than {MAX_JSON_DEPTH}")
