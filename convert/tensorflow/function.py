"""From a TensorFlow ConcreteFunction, whose inputs and outputs have names, to a capture."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Capture, Feed, Reference
from transload.convert.missing_graph import make_missing_graph
from transload.convert.options import ConvertOptions, InputSpec, make_example
from transload.convert.tensorflow.channels_first import choose_target, put_channels_first
from transload.convert.tensorflow.conversion import convert_frozen, convert_function
from transload.convert.tensorflow.framework import KEEPS_NAN, VERSION, tf
from transload.convert.tensorflow.kept_state import KeptVariable
from transload.serialize.dtypes import ONNX_NUMBER
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import Node, SourceRecord, State, Tensor, leaves


@dataclass(frozen=True)
class NamedFunction:
    """A callable of a TensorFlow source.

    Args:
        component: Its name.
        function: The ConcreteFunction; None where it is not loaded.
        inputs: Our leaf for each of its tensors, by TensorFlow's tensor name (`x:0`), in TensorFlow's flat order.
        tree: The tree of each parameter.
        outputs: The tree of what it returns.
        results: TensorFlow's tensor name for each leaf of `outputs`, by the leaf's name, in TensorFlow's flat order.
        graph_def: The frozen graph where the source already is one; None freezes the function's variables.
    """

    component: str
    function: Any
    inputs: Mapping[str, Tensor]
    tree: Mapping[str, Node]
    outputs: Node
    results: Mapping[str, str]
    graph_def: Any = None


@dataclass(frozen=True)
class FunctionReference:
    """The function itself, in TensorFlow; its variables are after a call as they were before."""

    named: NamedFunction
    state: tuple[KeptVariable, ...] = ()

    def run(self, feed: Feed) -> dict[str, Array]:
        """Call the function; strings come back as text.

        Raises:
            ValueError: an input is not finite, and TensorFlow was imported before with kernels that lose NaN.
        """
        if not KEEPS_NAN and not all_finite(feed):
            raise ValueError("oneDNN's kernels, with which TensorFlow was imported, lose NaN and infinities")
        tensors = [tf.constant(feed[leaf.name], dtype=tf.as_dtype(leaf.dtype)) for leaf in self.named.inputs.values()]
        with _at_state(self.state, feed):
            results = [item for item in tf.nest.flatten(call_flat(self.named.function, tensors)) if item is not None]
            kept = {each.output.name: np.array(each.variable.numpy()) for each in self.state}
        arrays = {name: _to_array(result) for name, result in zip(self.named.results, results, strict=True)}
        return {leaf.name: arrays[leaf.name] for leaf in leaves(self.named.outputs)} | kept

    def tap(self, feed: Feed) -> dict[str, Array]:
        """Intermediate values, as `Tappable.tap` says: every tensor of the function's own graph, by its name."""
        if self.state:
            # TensorFlow's freezing leaves out what a function writes to its variables.
            return {}
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        # Lowered loops would show tensors that have a value for each turn.
        frozen = convert_variables_to_constants_v2(self.named.function, lower_control_flow=False)
        wanted = [
            tensor
            for operation in frozen.graph.get_operations()
            for tensor in operation.outputs
            if operation.type not in ("Placeholder", "Const") and tensor.dtype.is_numpy_compatible
        ]
        given = {name: feed[leaf.name] for name, leaf in self.named.inputs.items()}
        with tf.compat.v1.Session(graph=frozen.graph) as session:
            found = session.run(wanted, given)
        return {tensor.name: np.asarray(array) for tensor, array in zip(wanted, found, strict=True)}

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """None: the dtypes of a TensorFlow graph are fixed."""
        return None


@dataclass(frozen=True)
class LaterReference:
    """A reference that is made when it is first asked, since that takes time and memory."""

    make: Callable[[], FunctionReference]

    def run(self, feed: Feed) -> dict[str, Array]:
        """As `FunctionReference`."""
        return self._made.run(feed)

    def tap(self, feed: Feed) -> dict[str, Array]:
        """As `FunctionReference`."""
        return self._made.tap(feed)

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """None, as `FunctionReference`."""
        return None

    @functools.cached_property
    def _made(self) -> FunctionReference:
        return self.make()


@contextlib.contextmanager
def _at_state(state: Sequence[KeptVariable], feed: Feed) -> Iterator[None]:
    for each in state:
        each.variable.assign(feed.get(each.input.name, each.initial))
    try:
        yield
    finally:
        for each in state:
            each.variable.assign(each.initial)


def call_flat(function: Any, tensors: Sequence[Any]) -> Any:
    """Call a ConcreteFunction with its tensors in the order of `function.inputs`; constants are as it was traced."""
    signature = function.structured_input_signature
    if signature is None:
        # A function pruned out of a graph takes its tensors one by one.
        return function(*tensors)
    given = iter(tensors)
    values = [next(given) if isinstance(item, tf.TensorSpec) else item for item in tf.nest.flatten(signature)]
    args, kwargs = tf.nest.pack_sequence_as(signature, values)
    return function(*args, **kwargs)


def capture_function(named: NamedFunction, options: ConvertOptions, kind: str) -> Capture:
    """Convert a function with tf2onnx and put it together as a capture.

    Raises:
        UnsupportedError: operations that tf2onnx cannot convert, all of them.
        UsageError: the example lacks an input.
    """
    output_leaves = list(leaves(named.outputs))
    output_names = [named.results[leaf.name] for leaf in output_leaves]
    target = choose_target(options, {leaf.name: tensor for tensor, leaf in named.inputs.items()})
    state: tuple[KeptVariable, ...] = ()
    try:
        if named.graph_def is None:
            model, state = convert_function(named.function, named.inputs, output_names, output_leaves, target)
        else:
            model = convert_frozen(named.graph_def, named.inputs, output_names, output_leaves, target)
    except UnsupportedError:
        if not options.may_lack_graph:
            raise
        model = make_missing_graph(list(named.inputs.values()), output_leaves)
    return put_together(named, model, FunctionReference(named, state), options, kind, state)


def put_together(
    named: NamedFunction,
    model: ir.Model,
    reference: Reference,
    options: ConvertOptions,
    kind: str,
    state: Sequence[KeptVariable] = (),
) -> Capture:
    """A function and the graph that was made from it, whose last inputs and outputs are the state, as a capture.

    Raises:
        UsageError: the example lacks an input.
    """
    parameters = [leaf for node in named.tree.values() for leaf in leaves(node)]
    declare_inputs(model, [*parameters, *(each.input for each in state)])
    declare_outputs(model, [*leaves(named.outputs), *(each.output for each in state)])
    _declare_initial(model, state)
    captured = Capture(
        component=named.component,
        model=model,
        inputs=dict(named.tree),
        outputs=named.outputs,
        reference=reference,
        example=complete_example(list(named.inputs.values()), options)
        | {each.input.name: each.initial for each in state},
        state=tuple(State(each.input.name, each.input, each.output) for each in state),
        source=SourceRecord(kind, "tensorflow", VERSION),
    )
    return put_channels_first(captured, options.inputs_as_nchw)


def complete_example(tensors: Sequence[Tensor], options: ConvertOptions) -> dict[str, Array]:
    """A value for each input: the user's, else one made up."""
    specs = tuple(InputSpec(leaf.name, leaf.dtype, tuple(dim or 1 for dim in leaf.shape or ())) for leaf in tensors)
    example = make_example(specs, options.seed)
    for name, array in (options.example or {}).items():
        example[name] = np.asarray(array)
    return example


def declare_inputs(model: ir.Model, tensors: Sequence[Tensor]) -> None:
    """Give the graph's inputs our order, dtypes and dimension names; add those that no operation uses."""
    present = {value.name: value for value in model.graph.inputs}
    model.graph.inputs.clear()
    for leaf in tensors:
        value = present.get(leaf.name) or ir.Value(name=leaf.name)
        value.type = ir.TensorType(ir.DataType(ONNX_NUMBER[leaf.dtype]))
        value.shape = ir.Shape(leaf.shape or ())
        model.graph.inputs.append(value)


def _declare_initial(model: ir.Model, state: Sequence[KeptVariable]) -> None:
    """Give the inputs that are state the values before the first call."""
    values = {value.name: value for value in model.graph.inputs}
    for each in state:
        value = values[each.input.name]
        value.const_value = ir.tensor(each.initial, name=each.input.name)
        model.graph.register_initializer(value)


def declare_outputs(model: ir.Model, tensors: Sequence[Tensor]) -> None:
    """Give the graph's outputs our dtypes and dimensions."""
    for value, leaf in zip(model.graph.outputs, tensors, strict=True):
        value.type = ir.TensorType(ir.DataType(ONNX_NUMBER[leaf.dtype]))
        value.shape = None if leaf.shape is None else ir.Shape(leaf.shape)


def all_finite(feed: Feed) -> bool:
    """Whether no float among the inputs is NaN or infinite."""
    return all(np.isfinite(np.asarray(array, np.float64)).all() for array in feed.values() if _is_float(array))


def _is_float(array: Array) -> bool:
    # Those that numpy does not have itself, bfloat16 for one, have the kind V.
    return array.dtype.kind in "fV"


def decode_texts(array: Array) -> Array:
    """An array of Python objects with its bytes decoded; others as they are."""
    if array.dtype != object:
        return array
    texts = [item.decode() if isinstance(item, bytes) else item for item in array.ravel()]
    return np.array(texts, dtype=object).reshape(array.shape)


def _to_array(result: Any) -> Array:
    array = result.numpy() if hasattr(result, "numpy") else result
    return decode_texts(np.asarray(array, dtype=object if result.dtype == tf.string else None))
