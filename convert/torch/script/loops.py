"""prim::Loop: written out while trips and condition are known, else an ONNX Loop."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.aliases import Sharing, mark_sequences
from transload.convert.torch.script.branches import branch, local_copies, set_types, try_in_vain
from transload.convert.torch.script.builder import MAX_INT64, discard
from transload.convert.torch.script.growth import (
    Growth,
    check_beginning,
    find_growth,
    grown_content,
    may_grow,
    scan_type,
    scan_value,
)
from transload.convert.torch.script.plans import Plan, give, join, pass_values, plan_of, unanchored, value_types
from transload.convert.torch.script.poison import POISON, Raised, is_poisoned
from transload.convert.torch.script.trees import (
    Tree,
    give_content,
    note_sharing,
    take,
    take_changes,
    take_content,
    take_result,
)
from transload.convert.torch.script.values import Cell, Growing, GrowingError, List, Number, Stale
from transload.serialize.errors import UnsupportedError

UNROLL_TRIPS = 24
"""Loops of up to so many known trips are written out."""

UNROLL_TRIPS_AT_MOST = 1024
"""Loops of up to so many known trips are written out where ONNX's Loop cannot hold them."""

MAX_ROUNDS = 32
"""A plan has settled after as many rounds as it has parts that can become more general, one after another."""

REASSIGNING = frozenset({"prim::If", "prim::Loop", "prim::Param", "prim::unchecked_cast"})
"""Nodes that may give the very tensor that they were given, apart from operators in place."""


def run_loop(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    """prim::Loop. Written out while trips and condition are known; else an ONNX Loop."""
    trips, condition, *carried = (env[value.debugName()] for value in node.inputs())
    if any(is_poisoned(value) for value in (trips, condition)):
        return try_in_vain(interpreter, node, _Loop(interpreter, node, env, trips, condition, carried).run_once)
    if condition is False or trips == 0:
        return carried
    if isinstance(trips, int) and not isinstance(condition, Number):
        is_counted = trips != MAX_INT64
        if (is_counted and trips <= UNROLL_TRIPS) or (not is_counted and _stays_known(interpreter, node, env, carried)):
            return _write_out(interpreter, node, env, trips, carried)
        try:
            return _Loop(interpreter, node, env, trips, condition, carried).run()
        except UnsupportedError:
            if trips > UNROLL_TRIPS_AT_MOST:
                raise
            return _write_out(interpreter, node, env, trips, carried)
    return _Loop(interpreter, node, env, trips, condition, carried).run()


def _stays_known(interpreter: Any, node: Any, env: dict[str, Any], carried: list[Any]) -> bool:
    """Whether the condition of a while loop is known after the first trip."""
    failures = dict(interpreter.failures)
    with interpreter.b.block() as graph:
        interpreter.journal.begin()
        try:
            condition, *_ = _run_body(interpreter, node, env, 0, carried)
        except Raised:
            return True
        finally:
            interpreter.journal.rollback()
            discard(graph)
            interpreter.failures = failures
    return not isinstance(condition, Number) and condition is not POISON


def _run_body(interpreter: Any, node: Any, env: dict[str, Any], index: Any, carried: list[Any]) -> list[Any]:
    block = next(iter(node.blocks()))
    names = [value.debugName() for value in block.inputs()]
    env.update(zip(names, [index, *carried], strict=True))
    return list(interpreter.run_block(block, env))


def _write_out(interpreter: Any, node: Any, env: dict[str, Any], trips: int, carried: list[Any]) -> list[Any]:
    index = 0
    condition: Any = True
    while index < trips and condition is True:
        if index > UNROLL_TRIPS_AT_MOST:
            raise UnsupportedError(f"A loop runs more than {UNROLL_TRIPS_AT_MOST} times.")
        condition, *carried = _run_body(interpreter, node, env, index, carried)
        index += 1
        if isinstance(condition, Number):
            try:
                return _Loop(interpreter, node, env, trips, condition, carried, first=index).run()
            except UnsupportedError:
                if trips > UNROLL_TRIPS:
                    raise
                return _write_out_guarded(interpreter, node, env, range(index, trips), condition, carried)
        if condition is POISON:
            return [POISON] * len(carried)
    return carried


def _write_out_guarded(
    interpreter: Any, node: Any, env: dict[str, Any], indices: range, condition: Any, carried: list[Any]
) -> list[Any]:
    """Each trip in the branch of an If that is taken while the condition holds."""
    for index in indices:
        if not isinstance(condition, Number):
            if condition is not True:
                return carried if condition is False else [POISON] * len(carried)
            condition, *carried = _run_body(interpreter, node, env, index, carried)
            continue

        def go(index: int = index, carried: list[Any] = carried) -> list[Any]:
            return _run_body(interpreter, node, env, index, carried)

        def stay(carried: list[Any] = carried) -> list[Any]:
            return [False, *carried]

        condition, *carried = branch(interpreter, node, condition, go, stay)
    return carried


class _Loop:
    """An ONNX Loop for what is left of the trips, the first of which has the index `first`.

    The body is interpreted again and again, under plans ever more general, until what it leaves behind fits the plans
    that it began with.
    """

    def __init__(
        self,
        interpreter: Any,
        node: Any,
        env: dict[str, Any],
        trips: Any,
        condition: Any,
        carried: list[Any],
        first: int = 0,
    ) -> None:
        self.interpreter = interpreter
        self.b = interpreter.b
        self.node = node
        self.env = env
        self.trips = trips
        self.condition = condition
        self.carried = carried
        self.first = first
        self.mark = Cell(None).serial
        self.cells: list[Cell] = []
        self.stale: list[Cell] = []
        self.sharing = Sharing(self.mark)
        self.newest = self.b.newest_symbol
        self.growing: dict[Cell, Growth | None] = {}
        self.not_growing: set[Cell] = set()
        self.initial: list[Tree] = []
        self.plans: list[Plan] = []
        self.graph: Any = None
        self.going: Any = None
        self.results: list[Tree] = []

    def run(self) -> list[Any]:
        """What the loop gives.

        Raises:
            UnsupportedError: the body has no translation, or what it carries from trip to trip does not settle.
        """
        if any(is_poisoned(value) for value in self.carried):
            return try_in_vain(self.interpreter, self.node, self.run_once)
        self.initial = [take(self.interpreter, value) for value in self.carried]
        self.plans = [
            plan_of(tree, self.mark) if may_stay else unanchored(plan_of(tree, self.mark))
            for tree, may_stay in zip(self.initial, _may_stay(self.node), strict=True)
        ]
        try:
            for _ in range(MAX_ROUNDS):
                try:
                    if self._try_body():
                        return self._finish()
                except GrowingError as error:
                    if error.cell not in self.growing:
                        raise
                    # The list passes from trip to trip instead.
                    del self.growing[error.cell]
                    self.not_growing.add(error.cell)
                discard(self.graph)
                self.graph = None
        except BaseException:
            if self.graph is not None:
                discard(self.graph)
            raise
        raise UnsupportedError("What a loop carries from trip to trip does not settle.")

    def run_once(self) -> list[Any]:
        """What one trip leaves behind."""
        trip = Number(ir.val("trip", ir.DataType.INT64, []), int)
        return _run_body(self.interpreter, self.node, self.env, trip, self.carried)

    def _try_body(self) -> bool:
        """Interpret the body under the present plans and make them more general; whether they were general enough."""
        for plan, tree in zip(self.plans, self.initial, strict=True):
            mark_sequences(self.interpreter.journal, plan, tree)
        self.sharing.add(self._keys(), self.plans, self.initial, note_sharing(self.initial))
        links = set(self.sharing.pairs)
        held = len(self.interpreter.journal.held)
        failures = dict(self.interpreter.failures)
        kinds = [kind for plan in self.plans for kind in value_types(plan)]
        index, going = ir.val("trip", ir.DataType.INT64, []), ir.val("going", ir.DataType.BOOL, [])
        inputs = [ir.Value(name=f"carried_{number}") for number, _ in enumerate(kinds)]
        for value in (index, going, *inputs):
            value.name = self.b.unique(value.name or "")
        set_types(inputs, kinds)
        with self.b.block(inputs=[index, going, *inputs]) as graph:
            self.graph = graph
            self.interpreter.journal.begin()
            try:
                carried = self._give(inputs)
                before = {cell: cell.content for cell in self.growing}
                for cell in self.growing:
                    self.interpreter.journal.put(cell, Growing(self.interpreter.journal.depth))
                trip = self.b.add_int(Number(index, int), self.first)
                self.going, *outputs = _run_body(self.interpreter, self.node, self.env, trip, carried)
                self._check_failures(failures)
                self._find_growth(before)
                results = [take_result(self.interpreter, value) for value in outputs]
                changes, stale = take_changes(self.interpreter, self.mark)
                sharing = note_sharing([*results, *changes.values()])
            except Raised as error:
                raise UnsupportedError("A loop raises an exception in its first trip.") from error
            finally:
                self.interpreter.journal.rollback()
        settled = self._generalize(results, changes, stale, sharing, links)
        # What a trip puts into a list of unknown length, the trips after it must not change.
        return settled and not any(cell.serial < self.mark for cell in self.interpreter.journal.held[held:])

    def _give(self, inputs: Any) -> list[Any]:
        """Values for one trip, made of ONNX values; cells get theirs."""
        values = iter(inputs)
        journal = self.interpreter.journal
        given = [give(self.b, plan, values) for plan in self.plans]
        count = len(self.carried)
        self.sharing.apply(journal, self._keys(), self.plans, given)
        for cell, value in zip(self.cells, given[count:], strict=True):
            journal.put(cell, give_content(cell, value))
        for cell in self.stale:
            journal.spoil(cell)
        return given[:count]

    def _find_growth(self, before: dict[Cell, Any]) -> None:
        for cell in self.growing:
            assert isinstance(cell, List)
            growth = find_growth(self.interpreter, cell, self.newest)
            check_beginning(self.interpreter, cell, before[cell], growth)
            self.growing[cell] = growth

    def _check_failures(self, former: Any) -> None:
        found = self.interpreter.failures
        if len(found) > len(former):
            self.interpreter.failures = former
            new = tuple(failure for key, failure in found.items() if key not in former)
            raise UnsupportedError("The body of a loop cannot be translated.", operations=new)

    def _generalize(
        self,
        results: list[Tree],
        changes: dict[Cell, Tree],
        stale: list[Cell],
        sharing: dict[Cell, frozenset[Cell]],
        links: set[Any],
    ) -> bool:
        spoiled = [cell for cell in stale if cell not in self.stale]
        self._drop(spoiled)
        trees = [*results, *(changes[cell] for cell in self.cells)]
        plans = [join(plan, plan_of(tree, self.mark)) for plan, tree in zip(self.plans, trees, strict=True)]
        for plan, tree in zip(plans, trees, strict=True):
            mark_sequences(self.interpreter.journal, plan, tree)
        self.sharing.add(self._keys(), plans, trees, {**note_sharing(trees), **sharing})
        added = [cell for cell in changes if cell not in self.cells]
        grown = [cell for cell in added if may_grow(cell) and cell not in self.not_growing]
        self.growing.update(dict.fromkeys(grown))
        spoiled += [cell for cell in added if isinstance(cell.raw, Stale)]
        added = [cell for cell in added if cell not in grown and cell not in spoiled]
        settled = plans == self.plans and not added and not grown and not spoiled and self.sharing.pairs == links
        self.plans, self.results = plans, trees
        self.stale += spoiled
        for cell in added:
            before = take_content(self.interpreter, cell, cell.raw)
            self.initial.append(before)
            self.plans.append(join(plan_of(before, self.mark), plan_of(changes[cell], self.mark)))
            self.cells.append(cell)
        return settled

    def _keys(self) -> list[Any]:
        return [*range(len(self.carried)), *self.cells]

    def _drop(self, spoiled: list[Cell]) -> None:
        """Let go of cells of which nobody knows what they hold."""
        first = len(self.carried)
        for cell in spoiled:
            if cell in self.cells:
                place = self.cells.index(cell)
                del self.cells[place], self.initial[first + place], self.plans[first + place]

    def _finish(self) -> list[Any]:
        b = self.b
        growths = [growth for growth in self.growing.values() if growth is not None]
        with b.block(self.graph):
            outputs = [b.scalar(self.going, ir.DataType.BOOL)]
            for tree, plan in zip(self.results, self.plans, strict=True):
                outputs += pass_values(self.interpreter, tree, plan)
            outputs += [scan_value(b, growth) for growth in growths]
            self.graph.outputs.extend(local_copies(b, outputs))
        pairs = zip(self.initial, self.plans, strict=True)
        start = [value for tree, plan in pairs for value in pass_values(self.interpreter, tree, plan)]
        limit = None
        if self.trips != MAX_INT64:
            limit = b.scalar(b.add_int(self.trips, -self.first), ir.DataType.INT64)
        go = b.scalar(self.condition, ir.DataType.BOOL) if isinstance(self.condition, Number) else None
        # ONNX's Loop needs two inputs.
        if go is None and (limit is None or not start):
            go = b.constant(True, ir.DataType.BOOL)
        kinds = [kind for plan in self.plans for kind in value_types(plan)]
        count = len(kinds)
        kinds += [scan_type(growth) for growth in growths]
        node = ir.Node("", "Loop", [limit, go, *start], [ir.AttrGraph("body", self.graph)], num_outputs=len(kinds))
        set_types(node.outputs, kinds)
        b.append(node)
        results = self._give(node.outputs[:count])
        for cell, growth, scan in zip(self.growing, growths, node.outputs[count:], strict=True):
            self.interpreter.journal.put(cell, grown_content(self.interpreter, cell.content, growth, scan))
        return results


def _may_stay(node: Any) -> list[bool]:
    """For each value that a loop carries, whether a trip may leave the very same tensor or list there."""
    block = next(iter(node.blocks()))
    _, *results = block.outputs()
    kinds = [value.node().kind() for value in results]
    return [kind in REASSIGNING or kind.endswith("_") for kind in kinds]
