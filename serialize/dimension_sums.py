"""Dimensions whose size is the sum of others: a mask over past and present has `past_length+sequence` columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from transload.serialize.interface import Dimension

_TERM = r"(?:[A-Za-z_]\w*|\d+)"
_SUM = re.compile(rf"{_TERM}(?:\s*\+\s*{_TERM})+")


def find_sums(dimensions: Iterable[Dimension]) -> dict[str, tuple[str | int, ...]]:
    """The terms of each dimension that is a sum of numbers and of other names among `dimensions`.

    A sum with a name that stands nowhere alone says nothing: it is a name like any other.
    """
    names = {dim for dim in dimensions if isinstance(dim, str)}
    sums = {name: _terms(name) for name in names if _SUM.fullmatch(name)}
    return {
        name: terms for name, terms in sums.items() if all(isinstance(term, int) or term in names for term in terms)
    }


def add_terms(terms: Iterable[str | int], sizes: Mapping[str, int]) -> int | str:
    """The size of a sum, or what is left of it where `sizes` does not have all its names: `past_length+5`."""
    known = sum(term if isinstance(term, int) else sizes.get(term, 0) for term in terms)
    left = [term for term in terms if isinstance(term, str) and term not in sizes]
    if not left:
        return known
    return "+".join([*left, str(known)] if known else left)


def _terms(name: str) -> tuple[str | int, ...]:
    words = [word.strip() for word in name.split("+")]
    return tuple(int(word) if word.isdigit() else word for word in words)
