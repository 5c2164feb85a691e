"""Every promise of the threat model names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text()


def promises() -> list[tuple[str, list[str]]]:
    """The rows of the tables of promises: what is promised, and the tests that the row names."""
    tables = re.findall(r"\| promise \| tests \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    rows = [row.strip("|\n ").rsplit(" | ", 1) for table in tables for row in table.splitlines()]
    return [(promise, re.findall(r"`(tests/[^`]+::[^`]+)`", tests)) for promise, tests in rows]


def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_test() -> None:
    assert len(promises()) > 20
    assert [promise for promise, tests in promises() if not tests] == []


def test_every_named_test_exists() -> None:
    names = {name for _, tests in promises() for name in tests}
    missing = []
    for name in sorted(names):
        file, _, test = name.partition("::")
        if not (ROOT / file).exists() or test not in defined(ROOT / file):
            missing.append(name)
    assert missing == []
    # Every test that the page names, in whatever place, is among those of the tables.
    assert set(re.findall(r"tests/[\w/]+\.py::\w+", PAGE)) == names


def test_every_section_of_promises_says_what_is_not_promised() -> None:
    sections = [section for section in PAGE.split("\n## ")[1:] if "| promise | tests |" in section]
    silent = [section.splitlines()[0] for section in sections if "Not promised" not in section]
    assert silent == ["ONNX files and folders"]
