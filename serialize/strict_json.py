"""JSON with one meaning: duplicate keys, NaN and over-deep nesting are refused; written in one fixed form."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from transload.serialize.errors import PackageError

T = TypeVar("T")

MAX_JSON_BYTES = 64 << 20
"""A manifest or interface larger than this is refused unread; real ones are some kilobytes."""


def encode_json(value: Any) -> bytes:
    """UTF-8, two-space indents, keys in the value's own order, one final newline: equal values, equal bytes."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def decode_json(data: bytes | memoryview, member: str) -> dict[str, Any]:
    """The object in `data`.

    Raises:
        PackageError: not UTF-8 JSON, not an object, a key stands twice, a number is not finite, or nesting is
            deeper than Python's parser goes.
    """
    if len(data) > MAX_JSON_BYTES:
        raise PackageError(f"{len(data)} bytes of JSON are too many.", member=member, rule="json-size")
    try:
        value = json.loads(str(data, "utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
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
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return value


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
