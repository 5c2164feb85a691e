"""Regular expressions that stand for one text, or for one character of a set, read as RE2 reads them."""

from __future__ import annotations

from dataclasses import dataclass

SETS = {"s": "\t\n\f\r ", "d": "0123456789", "w": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"}
ESCAPES = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
META = frozenset(".^$*+?()[]{}|")

MAX_CHARACTERS = 128
"""A larger set is not read: each character costs a pass over the text."""


@dataclass(frozen=True)
class LiteralPattern:
    """What matches.

    Args:
        texts: Any one of these: characters of a set, or a single text.
        repeated: Whether a row of them is one match.
    """

    texts: tuple[str, ...]
    repeated: bool = False


def read_pattern(pattern: str) -> LiteralPattern | None:
    """The pattern, or None where it says more than a text or a set."""
    if pattern.startswith("["):
        found, rest = _read_set(pattern[1:])
    elif pattern[:1] == "\\" and pattern[1:2] in SETS:
        found, rest = SETS[pattern[1]], pattern[2:]
    else:
        return _read_text(pattern)
    if not 0 < len(found) <= MAX_CHARACTERS or rest not in ("", "+"):
        return None
    return LiteralPattern(tuple(dict.fromkeys(found)), repeated=rest == "+")


def _read_text(pattern: str) -> LiteralPattern | None:
    text, rest = "", pattern
    while rest and rest[0] not in META:
        character, rest = _read_character(rest)
        if len(character) != 1:
            return None
        text += character
    if text and not rest:
        return LiteralPattern((text,))
    return LiteralPattern((text,), repeated=True) if len(text) == 1 and rest == "+" else None


def _read_set(rest: str) -> tuple[str, str]:
    """The characters of a set whose bracket is open, and what follows it; none where it is not a plain list."""
    found = ""
    if rest.startswith("^"):
        return "", rest
    while rest and (rest[0] != "]" or not found):
        if rest.startswith("[:"):
            return "", rest
        first, rest = _read_character(rest)
        if rest.startswith("-") and not rest.startswith("-]"):
            last, rest = _read_character(rest[1:])
            if len(first) != 1 or len(last) != 1 or not 0 <= ord(last) - ord(first) < MAX_CHARACTERS:
                return "", rest
            first = "".join(map(chr, range(ord(first), ord(last) + 1)))
        if not first:
            return "", rest
        found += first
    return (found, rest[1:]) if rest else ("", rest)


def _read_character(rest: str) -> tuple[str, str]:
    """A character, or the several that an escape stands for, and what follows; none for escapes of other kinds."""
    if rest[0] != "\\":
        return rest[0], rest[1:]
    escaped, rest = rest[1:2], rest[2:]
    if escaped in SETS:
        return SETS[escaped], rest
    if escaped in ESCAPES:
        return ESCAPES[escaped], rest
    return (escaped, rest) if escaped.isascii() and not escaped.isalnum() else ("", rest)
