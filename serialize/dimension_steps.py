"""Dimensions that vary in steps: an image whose sides strides must divide has `32*height` rows, any multiple of 32."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from transload.serialize.interface import Dimension

# As the C++ loader reads them: every letter beyond ASCII counts.
_WORD = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]+")
_STEP = re.compile(rf"([1-9][0-9]{{0,8}})\*(?![0-9])({_WORD.pattern})")


def find_steps(dimensions: Iterable[Dimension]) -> dict[str, int]:
    """The step of each dimension of the form `32*height`.

    Only where the word behind the star stands in no other of `dimensions`: what has one in common with another, as an
    exporter writes `2*s0` beside `s0`, is a name like any other.
    """
    names = {dim for dim in dimensions if isinstance(dim, str)}
    uses = Counter(word for name in names for word in set(_WORD.findall(name)))
    steps = {name: match for name in names if (match := _STEP.fullmatch(name))}
    return {name: int(match[1]) for name, match in steps.items() if uses[match[2]] == 1}


def in_steps(name: str, step: int) -> str:
    """What a dimension is called that takes only multiples of a size."""
    return f"{step}*{name}"
