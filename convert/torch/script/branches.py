"""prim::If: followed where the way is known, an ONNX If where it is not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.aliases import Sharing, mark_sequences
from transload.convert.torch.script.builder import discard
from transload.convert.torch.script.plans import Plan, give, join, pass_values, plan_of, value_types
from transload.convert.torch.script.poison import POISON, Raised
from transload.convert.torch.script.trees import (
    Tree,
    give_content,
    note_sharing,
    take_changes,
    take_content,
    take_result,
)
from transload.convert.torch.script.values import Cell, Number, Stale


@dataclass(frozen=True, eq=False)
class _Way:
    """One arm, interpreted: its graph, results, changes to cells, and what may be the same as what."""

    graph: ir.Graph
    results: list[Tree]
    changes: dict[Cell, Tree]
    stale: list[Cell]
    contents: dict[Cell, Any]
    sharing: dict[Cell, frozenset[Cell]]


def run_if(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    """prim::If. The condition known, its arm is followed; else an ONNX If holds both."""
    condition = env[node.input().debugName()]
    then, otherwise = (functools.partial(interpreter.run_block, block, env) for block in node.blocks())
    if condition is POISON:
        return try_in_vain(interpreter, node, then, otherwise)
    if not isinstance(condition, Number):
        return list(then() if condition else otherwise())
    return branch(interpreter, node, condition, then, otherwise)


def try_in_vain(interpreter: Any, node: Any, *runs: Callable[[], Any]) -> list[Any]:
    """Interpret blocks for what cannot be translated in them, where their results are of no use; gives poison."""
    for run in runs:
        with interpreter.b.block() as graph:
            interpreter.journal.begin()
            try:
                run()
            except Raised:
                pass
            finally:
                interpreter.journal.rollback()
                discard(graph)
    return [POISON] * node.outputsSize()


def branch(
    interpreter: Any,
    node: Any,
    condition: Number,
    then: Callable[[], list[Any]],
    otherwise: Callable[[], list[Any]],
) -> list[Any]:
    """What one of two functions gives, as the data says; where one raises, the other is followed.

    Raises:
        Raised: both raise.
        UnsupportedError: what they give cannot be one value.
    """
    mark = Cell(None).serial
    ways: list[_Way] = []
    try:
        for run, other in ((then, otherwise), (otherwise, then)):
            way = _try_arm(interpreter, run, mark)
            if way is None:
                for each in ways:
                    discard(each.graph)
                # Where the other raises too, so does this.
                results = list(other())
                interpreter.note_assertion(node)
                return results
            ways.append(way)
        return _emit_if(interpreter, condition, ways[0], ways[1], mark)
    except BaseException:
        for way in ways:
            discard(way.graph)
        raise


def _try_arm(interpreter: Any, run: Callable[[], list[Any]], mark: int) -> _Way | None:
    failures = dict(interpreter.failures)
    with interpreter.b.block() as graph:
        interpreter.journal.begin()
        try:
            results = [take_result(interpreter, value) for value in run()]
            changes, stale = take_changes(interpreter, mark)
            contents = interpreter.journal.peek()
            sharing = note_sharing([*results, *changes.values()])
        except Raised:
            discard(graph)
            # What cannot be translated on the way to an exception is not missed.
            interpreter.failures = failures
            return None
        except BaseException:
            discard(graph)
            raise
        finally:
            interpreter.journal.rollback()
    return _Way(graph, results, changes, stale, contents, sharing)


def _emit_if(interpreter: Any, condition: Number, one: _Way, other: _Way, mark: int) -> list[Any]:
    b, journal = interpreter.b, interpreter.journal
    stale = [cell for cell in [*one.stale, *other.stale] if cell.serial < mark]
    cells = [cell for cell in dict.fromkeys([*one.changes, *other.changes]) if cell not in stale]
    # A cell that is stale before the branch stays so: a write to it does not say what the whole of it holds.
    stale += [cell for cell in cells if isinstance(cell.raw, Stale)]
    cells = [cell for cell in cells if cell not in stale]
    ways = [
        [*way.results, *(way.changes.get(cell) or _take_unchanged(interpreter, way, cell) for cell in cells)]
        for way in (one, other)
    ]
    plans = [join(plan_of(left, mark), plan_of(right, mark)) for left, right in zip(*ways, strict=True)]
    for trees in ways:
        for plan, tree in zip(plans, trees, strict=True):
            mark_sequences(journal, plan, tree)
    sharing = Sharing(mark)
    keys = list(range(len(plans)))
    for way, trees in zip((one, other), ways, strict=True):
        sharing.add(keys, plans, trees, {**note_sharing(trees), **way.sharing})
        with b.block(way.graph):
            outputs = [v for tree, plan in zip(trees, plans, strict=True) for v in pass_values(interpreter, tree, plan)]
            way.graph.outputs.extend(local_copies(b, outputs))
    values = _append_if(b, condition, one.graph, other.graph, plans)
    remaining = iter(values)
    merged = [give(b, plan, remaining) for plan in plans]
    sharing.apply(journal, keys, plans, merged)
    for cell, value in zip(cells, merged[len(one.results) :], strict=True):
        journal.put(cell, give_content(cell, value))
    for cell in stale:
        journal.spoil(cell)
    return merged[: len(one.results)]


def _take_unchanged(interpreter: Any, way: _Way, cell: Cell) -> Tree:
    """The tree at the end of an arm of a cell that it did not change; what is in the cell may have changed."""
    with interpreter.b.block(way.graph):
        interpreter.journal.begin()
        try:
            for each, content in way.contents.items():
                interpreter.journal.put(each, content)
            return take_content(interpreter, cell, cell.raw)
        finally:
            interpreter.journal.rollback()


def _append_if(b: Any, condition: Number, one: ir.Graph, other: ir.Graph, plans: list[Plan]) -> tuple[ir.Value, ...]:
    kinds = [kind for plan in plans for kind in value_types(plan)]
    # ONNX's If needs an output.
    if not kinds:
        discard(one)
        discard(other)
        return ()
    blocks = [ir.AttrGraph("then_branch", one), ir.AttrGraph("else_branch", other)]
    node = ir.Node("", "If", [condition.value], blocks, num_outputs=len(kinds))
    set_types(node.outputs, kinds)
    b.append(node)
    return tuple(node.outputs)


def local_copies(b: Any, values: list[ir.Value]) -> list[ir.Value]:
    """A block's outputs have to be computed in the block, and each only once."""
    found: list[ir.Value] = []
    for value in values:
        if not b.is_local(value) or any(value is each for each in found):
            copy = b.Identity(value)
            copy.type, copy.shape = value.type, value.shape
            value = copy
        found.append(value)
    return found


def set_types(values: Any, kinds: list[tuple[ir.TypeProtocol, ir.Shape | None]]) -> None:
    """Give values the types and shapes that plans describe."""
    for value, (type_, shape) in zip(values, kinds, strict=True):
        value.type = type_
        value.shape = None if shape is None else ir.Shape(list(shape))
