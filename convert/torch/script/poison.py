"""Values and exceptions of translations that did not succeed."""

from __future__ import annotations

from typing import Any

from transload.convert.torch.script.values import Dict, List


class Raised(Exception):  # noqa: N818
    """The program raises an exception on the way that is being translated."""


class Poison:
    """The result of an operation that could not be translated; what is computed from it is not reported again."""


POISON = Poison()


def is_poisoned(value: Any) -> bool:
    """Whether there is poison in a value."""
    match value:
        case Poison():
            return True
        case List(raw=list() as items):
            return any(is_poisoned(item) for item in items)
        case Dict(raw=dict() as items):
            return any(is_poisoned(item) for item in items.values())
        case tuple():
            return any(is_poisoned(item) for item in value)
        case _:
            return False
