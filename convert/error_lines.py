"""One line of what a framework says when it fails."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of the message that is not empty; the name of the error's class where there is none."""
    return next(iter(_lines(error)), type(error).__name__)


def last_line(error: BaseException) -> str:
    """The last such line, where frameworks put a traceback of their own before it."""
    return (_lines(error) or [type(error).__name__])[-1]


def _lines(error: BaseException) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]
