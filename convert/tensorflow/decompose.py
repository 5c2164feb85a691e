"""Rewrite operations of a frozen GraphDef in others, by running its graphs anew operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from transload.convert.tensorflow.decompositions import COMPLEX_RULES, LIST_RULES, Complex, Rule, TensorList, find_rule
from transload.convert.tensorflow.decompositions.complex_numbers import TRANSFORMS
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.function_graphs import FunctionGraphs
from transload.convert.tensorflow.graph_nodes import BRANCHES, CALLS, CASES, LOOPS
from transload.convert.tensorflow.loop_lists import find_free_lists
from transload.serialize.errors import UnsupportedError, UnsupportedOperation

Value = Any
"""A tensor of the new graph, a Complex or a TensorList."""

Branch = Callable[[], list[Value]]

LIST_MAKERS = frozenset({"EmptyTensorList", "TensorListReserve"})
"""Their rules look for what is written to the list, in functions too."""

V1_CONTROL_FLOW = frozenset({"Enter", "Exit", "NextIteration", "Merge", "Switch", "RefSwitch", "LoopCond"})

MAX_ROUNDS = 8
"""Rules may lead to operations that have rules themselves."""

COMPLEX_DTYPES = (tf.complex64, tf.complex128)


@dataclass(frozen=True)
class Decomposed:
    """A rewritten GraphDef, and the operations in it that a rule refused, which are there as they were."""

    graph_def: Any
    refused: tuple[UnsupportedOperation, ...] = ()


def decompose(graph_def: Any, outputs: Sequence[str]) -> Decomposed:
    """The GraphDef with every operation rewritten for which there is a rule, in functions too.

    What nothing has to be rewritten in is given back as it is.

    Args:
        graph_def: A frozen graph.
        outputs: TensorFlow's names of the tensors that it gives; the new graph has the same inputs and outputs.

    Raises:
        UnsupportedError: operations on complex numbers or lists for which there is no rule, and all that were refused.
    """
    refused: dict[str, UnsupportedOperation] = {}
    if any(node.op in V1_CONTROL_FLOW for node in graph_def.node):
        return Decomposed(graph_def)
    for _ in range(MAX_ROUNDS):
        decomposed = _decompose_once(graph_def, outputs, refused)
        if decomposed is None:
            return Decomposed(graph_def, tuple(refused.values()))
        graph_def = decomposed
    raise AssertionError(f"rules lead to each other without end: {sorted({node.op for node in graph_def.node})}")


def _decompose_once(graph_def: Any, outputs: Sequence[str], refused: dict[str, UnsupportedOperation]) -> Any:
    """The rewritten GraphDef; None where there is nothing to rewrite."""
    with tf.Graph().as_default() as source:
        tf.import_graph_def(graph_def, name="")
    functions = FunctionGraphs(source, graph_def)
    run = _Decomposition(functions, refused)
    if not run.concerns(source):
        return None
    with tf.Graph().as_default() as target:
        functions.copy_library()
        values = run.interpret(source, {})
    for name in outputs:
        if isinstance(values[name], Complex):
            reason = "ONNX has no complex numbers; give the real and the imaginary part"
            run.refuse(UnsupportedOperation("complex output", f"tensor {name!r}", reason))
    if run.is_broken:
        raise refusal(tuple(refused.values()))
    for name in outputs:
        assert values[name].name == name, (values[name].name, name)
    return target.as_graph_def(add_shapes=True)


def refusal(operations: tuple[UnsupportedOperation, ...]) -> UnsupportedError:
    """The error that lists operations."""
    count = "One operation has" if len(operations) == 1 else f"{len(operations)} operations have"
    return UnsupportedError(f"{count} no translation.", operations=operations)


class _Decomposition:
    """One run over a graph and the functions that it calls."""

    def __init__(self, functions: FunctionGraphs, refused: dict[str, UnsupportedOperation]) -> None:
        self.functions = functions
        self.refused = refused
        self.is_broken = False
        self._concerned: dict[str, bool] = {}
        self._free: dict[int, frozenset[str]] = {}

    def refuse(self, operation: UnsupportedOperation) -> None:
        """Remember an operation without which there is no graph, however the others fare."""
        self.refused.setdefault(operation.location, operation)
        self.is_broken = True

    # What is concerned

    def concerns(self, graph: Any) -> bool:
        """Whether anything in the graph or the functions that it calls has to be rewritten."""
        return any(self._concerns_op(graph, op) for op in graph.get_operations())

    def _concerns_op(self, graph: Any, op: Any) -> bool:
        if self._plain_rule(op) is not None or op.type in CASES or op.type in CALLS:
            return True
        if any(tensor.dtype in COMPLEX_DTYPES for tensor in (*op.inputs, *op.outputs)) and not _is_settled(op):
            return True
        if any(tensor.name in self._free_lists(graph) for tensor in (*op.inputs, *op.outputs)):
            return True
        return any(self._concerns_function(name) for name in self.functions.called(op))

    def _concerns_function(self, name: str) -> bool:
        if name not in self._concerned:
            self._concerned[name] = False
            self._concerned[name] = self.concerns(self.functions.graph(name))
        return self._concerned[name]

    def _free_lists(self, graph: Any) -> frozenset[str]:
        if id(graph) not in self._free:
            self._free[id(graph)] = find_free_lists(graph, self.functions)
        return self._free[id(graph)]

    # Running a graph anew

    def interpret(self, graph: Any, given: dict[str, Value]) -> dict[str, Value]:
        """Run a graph's operations into the graph that is the default now; all values by tensor name."""
        values = dict(given)
        for op in graph.get_operations():
            if all(tensor.name in values for tensor in op.outputs) and op.outputs:
                continue
            inputs = [values[tensor.name] for tensor in op.inputs]
            outputs = self._run(graph, op, inputs)
            values |= {tensor.name: value for tensor, value in zip(op.outputs, outputs, strict=True)}
        return values

    def call(self, name: str, arguments: Sequence[Value]) -> list[Value]:
        """Run a function's graph anew with these arguments."""
        graph = self.functions.graph(name)
        given = {tensor.name: value for tensor, value in zip(graph.inputs, arguments, strict=True)}
        values = self.interpret(graph, given)
        return [values[tensor.name] for tensor in graph.outputs]

    def _run(self, graph: Any, op: Any, inputs: list[Value]) -> Sequence[Value]:
        rule = self._find_rule(graph, op, inputs)
        if rule is None:
            return _copy(op, inputs)
        try:
            with tf.name_scope(f"{op.name}/"):
                outputs = rule(op, *inputs)
        except Exception as error:
            # A rule's refusal, or what TensorFlow raises where values that stand for refused results do not fit it.
            return self._refused(op, inputs, error)
        outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        return [_with_shape(value, tensor) for value, tensor in zip(outputs, op.outputs, strict=True)]

    def _refused(self, op: Any, inputs: list[Value], error: Exception) -> Sequence[Value]:
        if not isinstance(error, UnsupportedError):
            if self.is_broken:
                # What stands for a refused result did not fit.
                raise refusal(tuple(self.refused.values())) from error
            raise error
        operation = UnsupportedOperation(op.type, f"node {op.name!r}", error.what)
        if any(isinstance(value, Complex | TensorList) for value in inputs) or any(
            tensor.dtype in COMPLEX_DTYPES or tensor.dtype == tf.variant for tensor in op.outputs
        ):
            self.refuse(operation)
            return [_stand_in(tensor) for tensor in op.outputs]
        self.refused.setdefault(operation.location, operation)
        return _copy(op, inputs)

    def _find_rule(self, graph: Any, op: Any, inputs: list[Value]) -> Rule | None:
        control_flow = {**dict.fromkeys(LOOPS, self._loop), **dict.fromkeys(BRANCHES, self._branch)}
        control_flow |= {**dict.fromkeys(CASES, self._case), **dict.fromkeys(CALLS, self._call)}
        rewritten = any(isinstance(value, Complex | TensorList) for value in inputs)
        if op.type in control_flow:
            rule: Rule = control_flow[op.type]
            return rule if rewritten or self._concerns_op(graph, op) else None
        if any(isinstance(value, TensorList) for value in inputs) or any(
            tensor.name in self._free_lists(graph) for tensor in op.outputs
        ):
            list_rule: Rule = LIST_RULES.get(op.type, _no_rule)
            return partial(list_rule, functions=self.functions) if op.type in LIST_MAKERS else list_rule
        if any(tensor.dtype in COMPLEX_DTYPES for tensor in (*op.inputs, *op.outputs)):
            complex_rule: Rule = COMPLEX_RULES.get(op.type, _no_rule)
            return complex_rule
        return self._plain_rule(op)

    def _plain_rule(self, op: Any) -> Rule | None:
        return None if f"node {op.name!r}" in self.refused else find_rule(op)

    # Control flow

    def _loop(self, op: Any, *inputs: Value) -> list[Value]:
        condition, body = op.get_attr("cond").name, op.get_attr("body").name
        shapes = [
            shape for value, tensor in zip(inputs, op.outputs, strict=True) for shape in _loop_shapes(value, tensor)
        ]
        results = tf.while_loop(
            lambda *flat: self.call(condition, _unflatten(flat, inputs))[0],
            lambda *flat: _flatten(self.call(body, _unflatten(flat, inputs))),
            _flatten(inputs),
            shape_invariants=shapes,
        )
        return _unflatten(results, inputs)

    def _branch(self, op: Any, predicate: Value, *inputs: Value) -> list[Value]:
        then, other = (partial(self.call, op.get_attr(f"{branch}_branch").name, inputs) for branch in ("then", "else"))
        predicate = predicate if predicate.dtype == tf.bool else tf.not_equal(predicate, tf.zeros_like(predicate))
        return _choose(predicate, then, other)

    def _case(self, op: Any, index: Value, *inputs: Value) -> list[Value]:
        branches = [partial(self.call, function.name, inputs) for function in op.get_attr("branches")]

        # As TensorFlow: an index out of range chooses the last.
        def choose_from(first: int) -> list[Value]:
            if first == len(branches) - 1:
                return branches[first]()
            return _choose(tf.equal(index, first), branches[first], partial(choose_from, first + 1))

        return choose_from(0)

    def _call(self, op: Any, *inputs: Value) -> list[Value]:
        return self.call(op.get_attr("f").name, inputs)


def _choose(predicate: Value, then: Branch, other: Branch) -> list[Value]:
    """What one of two branches gives, as the predicate says; both give values of the same kinds."""
    like: list[Value] = []

    def run(branch: Branch) -> list[Any]:
        like[:] = branch()
        return _flatten(like)

    return _unflatten(_as_list(tf.cond(predicate, partial(run, then), partial(run, other))), like)


def _is_settled(op: Any) -> bool:
    """Whether it is a Fourier transform between a `Complex` and a `Real` and an `Imag`, or one of these."""
    if op.type in TRANSFORMS:
        given = all(tensor.op.type == "Complex" for tensor in op.inputs if tensor.dtype in COMPLEX_DTYPES)
        taken = [use for tensor in op.outputs if tensor.dtype in COMPLEX_DTYPES for use in tensor.consumers()]
        return given and all(use.type in ("Real", "Imag") for use in taken)
    if op.type == "Complex":
        return all(use.type in TRANSFORMS for use in op.outputs[0].consumers())
    return op.type in ("Real", "Imag") and op.inputs[0].op.type in TRANSFORMS


def _no_rule(op: Any, *inputs: Value) -> Any:
    lists = any(isinstance(value, TensorList) for value in inputs) or any(
        tensor.dtype == tf.variant for tensor in op.outputs
    )
    raise UnsupportedError(
        "There is no rule for it on lists." if lists else "There is no rule for it on complex numbers."
    )


def _copy(op: Any, inputs: list[Value]) -> Sequence[Any]:
    node = op.node_def
    attrs = {name: value for name, value in node.attr.items() if not name.startswith("_")}
    graph = tf.compat.v1.get_default_graph()
    created = graph.create_op(op.type, inputs, [tensor.dtype for tensor in op.outputs], name=op.name, attrs=attrs)
    for new, old in zip(created.outputs, op.outputs, strict=True):
        if new.dtype != tf.variant:
            new.set_shape(old.shape)
    return list(created.outputs)


def _with_shape(value: Value, tensor: Any) -> Value:
    for part in _flatten([value]):
        if not isinstance(value, TensorList) and tensor.dtype != tf.variant:
            part.set_shape(tensor.shape)
    return value


def _stand_in(tensor: Any) -> Value:
    """What stands for a result that could not be computed, so that the other refusals are found as well."""
    shape = [size or 1 for size in (tensor.shape.as_list() if tensor.shape.rank is not None else [])]
    if tensor.dtype in COMPLEX_DTYPES:
        return Complex(*[tf.zeros(shape, tensor.dtype.real_dtype)] * 2)
    if tensor.dtype == tf.variant:
        return TensorList(tf.zeros([0]))
    return tf.compat.v1.placeholder_with_default(tf.zeros(shape, tensor.dtype), tensor.shape)


def _flatten(values: Sequence[Value]) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        if isinstance(value, Complex):
            flat += [value.real, value.imag]
        else:
            flat.append(value.items if isinstance(value, TensorList) else value)
    return flat


def _unflatten(flat: Sequence[Any], like: Sequence[Value]) -> list[Value]:
    given = iter(flat)
    values: list[Value] = []
    for value in like:
        if isinstance(value, Complex):
            values.append(Complex(next(given), next(given)))
        else:
            values.append(TensorList(next(given)) if isinstance(value, TensorList) else next(given))
    return values


def _loop_shapes(value: Value, tensor: Any) -> list[Any]:
    if isinstance(value, TensorList):
        return [tf.TensorShape([None] * value.items.shape.rank)]
    if isinstance(value, Complex):
        return [tensor.shape, tensor.shape]
    return [tensor.shape if tensor.dtype != tf.variant else tf.TensorShape(None)]


def _as_list(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple | list) else [results]
