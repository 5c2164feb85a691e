"""The programs that do not pass the full proof, each with what differs; nothing is written for them."""

from __future__ import annotations

KNOWN_FAILURES: dict[str, str] = {}
"""Of the programs of docs/operators-tensorflow.md. Any other failure is an error, and so is one that passes."""


def compare_failures(failed: set[str], run: set[str]) -> list[str]:
    """One line for each program that fails unexpectedly, or passes unexpectedly, of those that were run."""
    expected = run & KNOWN_FAILURES.keys()
    return [
        *(f"{name} fails, which is not known" for name in sorted(failed - expected)),
        *(f"{name} no longer fails: {KNOWN_FAILURES[name]}" for name in sorted(expected - failed)),
    ]
