"""Domains of operators: ONNX's own, ONNX Runtime's own, and those that an interface may declare on top."""

from __future__ import annotations

import re
from collections.abc import Iterable

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})

RUNTIME_DOMAINS = frozenset({"com.microsoft", "com.microsoft.nchwc"})
"""Where ONNX Runtime's own operators lie, which its optimisations put into a graph."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_RUNTIME_PREFIXES = ("com.microsoft.", "com.ms.")


def is_library_domain(name: str) -> bool:
    """Whether an interface may declare the domain: its operators come from a library that the user gives."""
    # ONNX Runtime has its own operators without any library, those that load code from files among them.
    is_runtime = f"{name}.".startswith(_RUNTIME_PREFIXES)
    return _NAME.fullmatch(name) is not None and name not in STANDARD_DOMAINS and not is_runtime


def find_bad_domain(domains: Iterable[str]) -> str | None:
    """The first of the declared domains that may not be declared, or stands there again; None where all are right."""
    seen: set[str] = set()
    for name in domains:
        if name in seen or not is_library_domain(name):
            return name
        seen.add(name)
    return None
