"""Reading the report that torch's exporter writes when it fails: which operators have no translation, and where."""

from __future__ import annotations

import re

from transload.serialize.errors import UnsupportedOperation

# The layout of torch/onnx/_internal/exporter/_analysis.py and of printed ExportedPrograms, torch 2.13.
_ERRORS = "Errors grouped by operator:"
_ENTRY = re.compile(
    r"^- `(?P<name>[^`]+)`:\s+(?P<reason>.*?)\.? Example node: .*?All nodes: `\[(?P<nodes>[^\]]*)\]`", re.M
)
_PLACE = re.compile(r"# .*?File: (?P<file>.+?):(?P<line>\d+) in (?P<function>\S+?)(?:, code: (?P<code>.*))?$")
_ASSIGNMENT = re.compile(r"^\s+(?P<node>\w+)(?::[^=]*)? = ")


def unsupported_operations(report: str) -> tuple[UnsupportedOperation, ...]:
    """Every operation, once for each node, for which the report says that no ONNX decomposition is registered."""
    before, found, analysis = report.partition(_ERRORS)
    if not found:
        return ()
    places = _places(before)
    return tuple(
        UnsupportedOperation(match["name"], places.get(node.strip(), f"node {node.strip()}"), match["reason"])
        for match in _ENTRY.finditer(analysis)
        for node in match["nodes"].split(",")
    )


def _places(program: str) -> dict[str, str]:
    """Source lines by the names of nodes, from the printed program, which puts a comment above each group of nodes."""
    places: dict[str, str] = {}
    place = ""
    for line in program.splitlines():
        if match := _PLACE.search(line):
            code = f": {match['code'].strip()}" if match["code"] else ""
            place = f"{match['file']}:{match['line']}{code}"
        elif match := _ASSIGNMENT.match(line):
            places[match["node"]] = place
    return {node: place for node, place in places.items() if place}
