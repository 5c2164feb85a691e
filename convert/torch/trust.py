"""Whether a .pt2 file could run code when torch reads it.

`torch.export.load` (torch 2.13.0) unpickles members without restraint where a restrained reading fails or a flag asks
for it, and gives size expressions to `sympy.sympify`, which evaluates Python. So both are checked before it sees them.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from transload.serialize.errors import SourceError

_HINT = "If you trust where it comes from, convert it with --trust-source."
_OBJECTS = re.compile(r"(custom_obj|opaque_obj)")
_TOKENS = re.compile(
    r"\s*(?:(?P<call>[A-Za-z_]\w*)\s*\(|[A-Za-z_]\w*|'[A-Za-z_]\w*'|\d+(?:\.\d*)?(?:e[+-]?\d+)?|[-+*/%()<>=!&|~,])"
)
_FUNCTIONS = frozenset(
    {
        *("Abs", "Add", "And", "Eq", "Equality", "Float", "Ge", "GreaterThan", "Gt", "Identity", "Integer", "Le"),
        *("LessThan", "Lt", "Max", "Min", "Mod", "Mul", "Ne", "Not", "Or", "Pow", "Rational", "StrictGreaterThan"),
        *("StrictLessThan", "Symbol", "Unequality", "ceiling", "floor"),
        *("CeilDiv", "CeilToInt", "CleanDiv", "FloatPow", "FloatTrueDiv", "FloorDiv", "FloorToInt", "IntTrueDiv"),
        *("LShift", "ModularIndexing", "PowByNatural", "PythonMod", "RShift", "RoundDecimal", "RoundToInt"),
        *("ToFloat", "TruncToFloat", "TruncToInt", "Where"),
    }
)
"""sympy's and torch's functions of sizes; a call of anything else in a size expression is refused."""


def check_program_trust(path: Path) -> None:
    """Refuse a .pt2 file that holds more than tensors, plain values and size expressions.

    Raises:
        SourceError: it does, or it is no archive; the member is named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name, problem in _problems(archive):
                raise SourceError(f"{path.name} could run code when it is read: {problem}.", where=name, hint=_HINT)
    except (zipfile.BadZipFile, ValueError, KeyError, RecursionError) as error:
        raise SourceError(f"The exported program cannot be read: {error}", where=str(path)) from error


def is_size_expression(text: str) -> bool:
    """Whether a text is made of numbers, names, operators and known functions of sizes."""
    position = 0
    while position < len(text.rstrip()):
        match = _TOKENS.match(text, position)
        if match is None or "__" in match[0] or (match["call"] and match["call"] not in _FUNCTIONS):
            return False
        position = match.end()
    return True


def _problems(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    pickled = {name for name in archive.namelist() if name.endswith(".pt")}
    for name in archive.namelist():
        if _OBJECTS.search(name):
            yield name, "it holds an object that is no tensor"
        if name.endswith(".json"):
            content = json.loads(archive.read(name))
            if name.endswith("_config.json"):
                pickled |= {name.rpartition("/")[0] + "/" + member for member in _pickled_members(content)}
            for text in _expressions(content):
                if not is_size_expression(text):
                    yield name, f"{text!r} is not an expression of sizes"
    for name in sorted(pickled):
        data = archive.read(name)
        if data and not _is_plain_pickle(data):
            yield name, "it holds a pickle of more than tensors and plain values"


def _pickled_members(config: dict[str, Any]) -> Iterator[str]:
    for payload in config.get("config", {}).values():
        if payload.get("use_pickle"):
            yield payload["path_name"]


def _expressions(value: Any) -> Iterator[str]:
    """Every text that torch gives to sympy: `expr_str` anywhere, and the names of `range_constraints`."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("expr_str"), str):
                yield item["expr_str"]
            if isinstance(item.get("range_constraints"), dict):
                yield from item["range_constraints"]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _is_plain_pickle(data: bytes) -> bool:
    try:
        torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, AttributeError, KeyError):
        return False
    return True
