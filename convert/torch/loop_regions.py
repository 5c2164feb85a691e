"""Finding the statements of a function that ask sizes for Python numbers, and code that hands them to another."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

HELPER = "__transload_loop__"
"""The global name under which the code calls what runs a region: with its number and the local variables."""

_RESULT = "__transload_result__"
_RETURNED = "transload_returned"

Block = list[ast.stmt]


@dataclass(frozen=True)
class Region:
    """Statements that become one TorchScript function.

    Args:
        statements: The loop, and what makes and reads its lists; what that returns is assigned.
        reads: Variables that they read before they set them, if ever.
        results: Variables that they set and the function reads later.
        module: The global names of the function's module.
    """

    statements: tuple[ast.stmt, ...]
    reads: tuple[str, ...]
    results: tuple[str, ...]
    module: Mapping[str, Any]


def code_with_regions(function: FunctionType, numbers: set[int], regions: list[Region]) -> CodeType | None:
    """The function's code with its loops on these lines made regions; None where it has none, or its source is lost."""
    definition = _find_definition(function.__code__)
    if definition is None or function.__code__.co_freevars:
        return None
    count = len(regions)
    _RegionMaker(definition, numbers, function.__globals__, regions).visit(definition)
    if len(regions) == count:
        return None
    # Only the code is wanted: decorators, defaults and annotations would be evaluated.
    arguments = definition.args
    definition.decorator_list, definition.returns, arguments.defaults = [], None, []
    arguments.kw_defaults = [None for _ in arguments.kw_defaults]
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    namespace: dict[str, Any] = {}
    module = ast.fix_missing_locations(ast.Module([definition], []))
    exec(compile(module, function.__code__.co_filename, "exec"), namespace)
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
    regions: list[Region]
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
            if id(statement) not in self.seen and not self.numbers.isdisjoint(_own_lines(statement)):
                first, last = _extend(block, place)
                self.seen.update(id(node) for node in walk(block[first : last + 1]))
                made = self._call(block[first : last + 1])
                if made is not None:
                    return [*block[:first], *made, *self._with_regions(block[last + 1 :])]
        return block

    def _make_region(self, statements: Block) -> Region | None:
        inside = {id(node) for statement in statements for node in ast.walk(statement)}
        if any(isinstance(node, ast.Return | ast.Yield | ast.YieldFrom | ast.Await) for node in walk(statements)):
            return None
        names = [node for node in walk(statements) if isinstance(node, ast.Name)]
        stored = dict.fromkeys(node.id for node in names if isinstance(node.ctx, ast.Store))
        end = statements[-1].end_lineno or statements[-1].lineno
        nodes = list(ast.walk(self.definition))
        outer = (node for node in nodes if isinstance(node, ast.For | ast.While) and id(node) not in inside)
        if any(statements[0] in ast.walk(node) for node in outer):
            # The next turn of an outer loop reads further up.
            end = 0
        later = {
            node.id
            for node in nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in inside
            if node.lineno > end
        }
        reads = dict.fromkeys(node.id for node in names)
        results = tuple(name for name in stored if name in later or name == _RETURNED)
        return Region(tuple(statements), tuple(reads), results, self.module)

    def _call(self, statements: Block) -> Block | None:
        """The call of a region, the statements for where it gives nothing; None where they cannot be one."""
        region = self._make_region(_without_return(statements))
        if region is None:
            return None
        self.regions.append(region)
        call = ast.parse(f"{_RESULT} = {HELPER}({len(self.regions) - 1}, locals())").body
        taken = [f"{name} = {_RESULT}[{place}]" for place, name in enumerate(region.results)]
        if _RETURNED in region.results:
            taken.append(f"return {_RETURNED}")
        take = ast.parse("; ".join(taken) or "pass").body
        test = ast.parse(f"{_RESULT} is None", mode="eval").body
        made: Block = [*call, ast.If(test, statements, take)]
        for statement in (*call, *take):
            for node in ast.walk(statement):
                ast.copy_location(node, statements[0])
        ast.copy_location(made[-1], statements[0])
        self.seen.update(id(node) for node in walk(made))
        return made


def _without_return(statements: Block) -> Block:
    """The same, where a `return` at the end is an assignment."""
    last = statements[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return statements
    assigned = ast.Assign([ast.Name(_RETURNED, ast.Store())], last.value)
    return [*statements[:-1], ast.fix_missing_locations(ast.copy_location(assigned, last))]


def walk(statements: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """Every node in the statements."""
    for statement in statements:
        yield from ast.walk(statement)


def _own_lines(statement: ast.stmt) -> range:
    """The lines on which a loop says over what it runs, or on which all of a plain statement stands; else none."""
    match statement:
        case ast.For(iter=expression):
            return range(expression.lineno, (expression.end_lineno or expression.lineno) + 1)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            return range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    return range(0)


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
