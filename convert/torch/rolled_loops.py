"""Keeping Python loops over sizes as loops in a trace, which would else hold as many turns as the example takes.

Where a `for` statement, or an assignment, asks a size for its Python number, the function that holds it runs with
other code while it is traced: the statement, with those that make and read the lists that it fills, is compiled by
TorchScript for the types that its variables have at that moment, and the trace holds a call of it. What TorchScript
does not take runs as it stands.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any, Optional

import torch
from torch.overrides import TorchFunctionMode

from transload.convert.torch.data_reads import Line, find_caller
from transload.convert.torch.loop_regions import HELPER, Region, code_with_regions, walk

TENSORS = (torch.Tensor, torch.nn.Parameter)
CONSTANTS = (bool, int, float, str, torch.dtype, torch.device, type(None))
"""The types of what a loop may read from outside of it. A trace hands tensors to a function, and knows constants."""


@dataclass
class SizeReads(TorchFunctionMode):
    """Inside, notes the lines at which Python asks a tensor for its number, as `range` does of a size in a trace, or
    goes through its rows."""

    lines: set[Line] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As torch calls it."""
        frame = sys._getframe(1)
        if getattr(func, "__name__", "") == "__index__" or frame.f_code is torch.Tensor.__iter__.__code__:
            self.lines.add(find_caller(frame))
        return func(*args, **(kwargs or {}))


class _NotScriptError(Exception):
    """A region reads what TorchScript has no type for."""


@contextlib.contextmanager
def rolled_loops(lines: Iterable[Line]) -> Iterator[list[Any]]:
    """Inside, the loops on these lines are loops in a trace, as far as TorchScript takes them.

    Gives the list of what was compiled, which is filled as the loops run. A trace only points to it: it has to be kept
    until the trace has been read.
    """
    wanted: dict[str, set[int]] = {}
    for line in lines:
        wanted.setdefault(line.file, set()).add(line.number)
    compiled: list[Any] = []
    regions: list[Region] = []
    helper = _make_helper(regions, compiled)
    former: list[tuple[FunctionType, CodeType]] = []
    try:
        for function in _functions_on(wanted):
            code = code_with_regions(function, wanted[function.__code__.co_filename], regions)
            if code is not None:
                former.append((function, function.__code__))
                function.__globals__[HELPER] = helper
                function.__code__ = code
        yield compiled
    finally:
        for function, code in former:
            function.__code__ = code
            function.__globals__.pop(HELPER, None)


def _functions_on(wanted: Mapping[str, set[int]]) -> list[FunctionType]:
    """Every function with code on one of the lines; decorators may hide it from its module."""
    functions = [each for each in gc.get_objects() if type(each) is FunctionType]
    return [
        each
        for each in functions
        if (numbers := wanted.get(each.__code__.co_filename))
        and any(number in numbers for _, _, number in each.__code__.co_lines())
    ]


def _make_helper(regions: Sequence[Region], compiled: list[Any]) -> Callable[[int, Mapping[str, Any]], Any]:
    def run(number: int, variables: Mapping[str, Any]) -> Any:
        """The region's results, by TorchScript; None where it does not take the region."""
        region = regions[number]
        # The compiler raises anything over code that is not in its language.
        try:
            unit, arguments = _compile(region, variables)
        except Exception:
            return None
        compiled.append(unit)
        # An error now may leave tensors half written, after which nothing can take the region's place.
        return unit.rolled(*arguments)

    return run


def _compile(region: Region, variables: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """The region as the TorchScript function `rolled`, for the types of these values, and its arguments.

    Raises:
        _NotScriptError: a value has a type that TorchScript lacks.
    """
    known = {name: variables[name] for name in region.reads if name in variables}
    opaque = {name: value for name, value in known.items() if not _is_known(value)}
    statements = [_Attributes(opaque, known).visit(_copy(statement)) for statement in region.statements]
    read = {node.id for node in walk(statements) if isinstance(node, ast.Name)}
    parameters: dict[str, torch.Tensor] = {}
    lines = []
    for name, value in known.items():
        if name not in read:
            continue
        if not _is_known(value):
            raise _NotScriptError(name)
        if type(value) not in TENSORS:
            lines.append(_define(name, value))
        elif value.ndim == 0 and value.dtype == torch.int64:
            # While a trace runs, sizes are tensors without axes.
            lines.append(f"{name} = int({name}_)")
            parameters[f"{name}_"] = value
        else:
            parameters[name] = value
    lines += [line for statement in statements for line in ast.unparse(statement).splitlines()]
    lines.append(f"return ({''.join(f'{name}, ' for name in region.results)})")
    source = "\n    ".join([f"def rolled({', '.join(f'{name}: torch.Tensor' for name in parameters)}):", *lines]) + "\n"
    # TorchScript finds the names that are not variables in the frame of whoever calls it.
    namespace = {**region.module, "torch": torch, "Optional": Optional, "source": source}
    unit: Any = eval("torch.jit.CompilationUnit(source)", namespace)
    return unit, list(parameters.values())


def _is_known(value: Any) -> bool:
    return type(value) in TENSORS or type(value) in CONSTANTS


def _define(name: str, value: Any) -> str:
    if value is None:
        return f"{name}: Optional[torch.Tensor] = None"
    return f"{name} = {f'torch.{value!r}' if isinstance(value, torch.device) else repr(value)}"


def _copy(statement: ast.stmt) -> ast.stmt:
    return ast.parse(ast.unparse(statement)).body[0]


@dataclass
class _Attributes(ast.NodeTransformer):
    """Makes variables of attributes of what TorchScript has no type for: `self.weight` becomes `self__weight`."""

    opaque: Mapping[str, Any]
    known: dict[str, Any]

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """A variable, where the attribute has a type that TorchScript has."""
        path: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            path.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name) or inner.id not in self.opaque or not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        value = self.opaque[inner.id]
        for name in path:
            value = getattr(value, name)
        if not _is_known(value):
            return self.generic_visit(node)
        name = "__".join([inner.id, *path])
        self.known[name] = value
        return ast.copy_location(ast.Name(name, node.ctx), node)
