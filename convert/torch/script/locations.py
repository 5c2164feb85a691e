"""Where in the author's program a node of the IR comes from."""

from __future__ import annotations

import re
from typing import Any

from transload.convert.passes.metadata import find_source_line

_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)|(?P<file2>[^\s:()"]+\.py)\((?P<line2>\d+)\)')
_MARK = re.compile(r" *~+( <--- HERE)?")
_FRAMEWORK = re.compile(r"[/\\](?:site-packages|dist-packages)[/\\]torch[/\\]")


def describe_location(node: Any) -> str:
    """`file:line: code`: the author's own line, where the file kept one, else ''."""
    text = _authored(node)
    places = [(match["file"] or match["file2"], match["line"] or match["line2"]) for match in _PLACE.finditer(text)]
    if not places:
        return ""
    file, line = next((place for place in places if not _FRAMEWORK.search(place[0])), places[0])
    lines = text.splitlines()
    marked = next((index for index, each in enumerate(lines) if _MARK.fullmatch(each)), 0)
    code = lines[marked - 1].strip() if marked else ""
    return f"{file}:{line}" + (f": {code}" if code else "")


def short_location(node: Any) -> str:
    """`file.py:line in function`, or ''."""
    return find_source_line(_authored(node))


def _authored(node: Any) -> str:
    """The source range without the place in the serialized code, which no author has seen."""
    text: str = node.sourceRange()
    before, _, after = text.partition("Serialized   ")
    return before or after
