"""Keeping Python loops over sizes as loops in a trace, which would else hold as many turns as the example takes.

Where a `for` statement asks a size for its Python number, the function that holds the statement runs with other code
while it is traced: the loop, with the statements that make and read the lists that it fills, is compiled by TorchScript
for the types that its variables have at that moment, and the trace holds a call of it. What TorchScript does not take
runs as it stands.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any, Optional

import torch
from torch.overrides import TorchFunctionMode

from transload.convert.torch.data_reads import Line, find_caller

_HELPER = "__transload_loop__"
_RESULT = "__transload_result__"

TENSORS = (torch.Tensor, torch.nn.Parameter)
CONSTANTS = (bool, int, float, str, torch.dtype, torch.device, type(None))
"""The types of what a loop may read from outside of it. A trace hands tensors to a function, and knows constants."""


@dataclass
class SizeReads(TorchFunctionMode):
    """Inside, notes the lines at which Python asks a tensor for its number, as `range` does of a size in a trace."""

    lines: set[Line] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As torch calls it."""
        if getattr(func, "__name__", "") == "__index__":
            self.lines.add(find_caller(sys._getframe(1)))
        return func(*args, **(kwargs or {}))


Block = list[ast.stmt]


@dataclass(frozen=True)
class _Region:
    """Statements that become one TorchScript function.

    Args:
        statements: The loop, and what makes and reads its lists.
        reads: Variables that they read before they set them, if ever.
        results: Variables that they set and the function reads later.
        module: The global names of the function's module.
    """

    statements: tuple[ast.stmt, ...]
    reads: tuple[str, ...]
    results: tuple[str, ...]
    module: Mapping[str, Any]


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
    regions: list[_Region] = []
    helper = _make_helper(regions, compiled)
    former: list[tuple[FunctionType, CodeType]] = []
    try:
        for function in _functions_on(wanted):
            code = _code_with_regions(function, wanted[function.__code__.co_filename], regions)
            if code is not None:
                former.append((function, function.__code__))
                function.__globals__[_HELPER] = helper
                function.__code__ = code
        yield compiled
    finally:
        for function, code in former:
            function.__code__ = code
            function.__globals__.pop(_HELPER, None)


def _functions_on(wanted: Mapping[str, set[int]]) -> list[FunctionType]:
    """Every function with code on one of the lines; decorators may hide it from its module."""
    functions = [each for each in gc.get_objects() if type(each) is FunctionType]
    return [
        each
        for each in functions
        if (numbers := wanted.get(each.__code__.co_filename))
        and any(number in numbers for _, _, number in each.__code__.co_lines())
    ]


def _code_with_regions(function: FunctionType, numbers: set[int], regions: list[_Region]) -> CodeType | None:
    """The function's code with its loops on these lines made regions; None where it has none, or its source is lost."""
    definition = _find_definition(function.__code__)
    if definition is None or function.__code__.co_freevars:
        return None
    count = len(regions)
    _RegionMaker(definition, numbers, function.__globals__, regions).visit(definition)
    if len(regions) == count:
        return None
    definition.decorator_list = []
    namespace: dict[str, Any] = {}
    module = ast.fix_missing_locations(ast.Module([definition], []))
    # Annotations and defaults are evaluated, but only the code is kept.
    exec(compile(module, function.__code__.co_filename, "exec"), dict(function.__globals__), namespace)
    made: FunctionType = namespace[definition.name]
    return made.__code__


def _find_definition(code: CodeType) -> ast.FunctionDef | None:
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


@dataclass
class _RegionMaker(ast.NodeTransformer):
    """Replaces loops on some lines by calls of the helper, with the loop itself for where that gives nothing."""

    definition: ast.FunctionDef
    numbers: set[int]
    module: Mapping[str, Any]
    regions: list[_Region]
    seen: set[int] = field(default_factory=set)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Look at every list of statements, the outer ones first."""
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                setattr(node, name, self._with_regions(block))
        return super().generic_visit(node)

    def _with_regions(self, block: Block) -> Block:
        for place, statement in enumerate(block):
            is_loop = isinstance(statement, ast.For) and statement.iter.lineno in self.numbers
            if is_loop and id(statement) not in self.seen:
                first, last = _extend(block, place)
                self.seen.update(id(node) for node in _walk(block[first : last + 1]))
                region = self._make_region(block[first : last + 1])
                if region is not None:
                    self.regions.append(region)
                    return [*block[:first], *self._call(region), *self._with_regions(block[last + 1 :])]
        return block

    def _make_region(self, statements: Block) -> _Region | None:
        inside = {id(node) for statement in statements for node in ast.walk(statement)}
        if any(isinstance(node, ast.Return | ast.Yield | ast.YieldFrom | ast.Await) for node in _walk(statements)):
            return None
        names = [node for node in _walk(statements) if isinstance(node, ast.Name)]
        stored = dict.fromkeys(node.id for node in names if isinstance(node.ctx, ast.Store))
        end = statements[-1].end_lineno or statements[-1].lineno
        later = {
            node.id
            for node in ast.walk(self.definition)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in inside
            if node.lineno > end
        }
        reads = dict.fromkeys(node.id for node in names)
        return _Region(tuple(statements), tuple(reads), tuple(name for name in stored if name in later), self.module)

    def _call(self, region: _Region) -> Block:
        number = len(self.regions) - 1
        call = ast.parse(f"{_RESULT} = {_HELPER}({number}, locals())").body
        take = ast.parse("; ".join(f"{name} = {_RESULT}[{i}]" for i, name in enumerate(region.results)) or "pass").body
        test = ast.parse(f"{_RESULT} is None", mode="eval").body
        made: Block = [*call, ast.If(test, list(region.statements), take)]
        for statement in (*call, *take):
            for node in ast.walk(statement):
                ast.copy_location(node, region.statements[0])
        ast.copy_location(made[-1], region.statements[0])
        return made


def _walk(statements: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    for statement in statements:
        yield from ast.walk(statement)


def _extend(block: Sequence[ast.stmt], place: int) -> tuple[int, int]:
    """The statements from where lists are made that the loop fills to where they are last read."""
    loaded = {node.id for node in ast.walk(block[place]) if isinstance(node, ast.Name)}
    lists = {
        target.id: number
        for number, statement in enumerate(block[:place])
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.List) and not statement.value.elts
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in loaded
    }
    readers = [
        number
        for number, statement in enumerate(block[place:], place)
        if any(isinstance(node, ast.Name) and node.id in lists for node in ast.walk(statement))
    ]
    return min(lists.values(), default=place), max(readers, default=place)


def _make_helper(regions: Sequence[_Region], compiled: list[Any]) -> Callable[[int, Mapping[str, Any]], Any]:
    def run(number: int, variables: Mapping[str, Any]) -> Any:
        """The region's results, by TorchScript; None where it does not take the region."""
        region = regions[number]
        # The compiler raises anything over code that is not in its language.
        try:
            unit, arguments = _compile(region, variables)
            results = unit.rolled(*arguments)
        except Exception:
            return None
        compiled.append(unit)
        return results

    return run


def _compile(region: _Region, variables: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """The region as the TorchScript function `rolled`, for the types of these values, and its arguments.

    Raises:
        _NotScriptError: a value has a type that TorchScript lacks.
    """
    known = {name: variables[name] for name in region.reads if name in variables}
    opaque = {name: value for name, value in known.items() if not _is_known(value)}
    statements = [_Attributes(opaque, known).visit(_copy(statement)) for statement in region.statements]
    read = {node.id for node in _walk(statements) if isinstance(node, ast.Name)}
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
