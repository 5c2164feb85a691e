"""From a TensorFlow ConcreteFunction, whose inputs and outputs have names, to a capture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Capture, Feed
from transload.convert.options import DEFAULT_OPSET, ConvertOptions, InputSpec, make_example
from transload.convert.tensorflow.conversion import convert_frozen, convert_function
from transload.convert.tensorflow.framework import VERSION, dtype_name, tf
from transload.serialize.dtypes import ONNX_NUMBER
from transload.serialize.errors import UsageError
from transload.serialize.interface import Dimension, Node, SourceRecord, Tensor, leaves


@dataclass(frozen=True)
class NamedFunction:
    """A callable of a TensorFlow source.

    Args:
        component: Its name.
        function: The ConcreteFunction.
        inputs: Our leaf for each of its tensors, by TensorFlow's tensor name (`x:0`), in order.
        tree: The tree of each parameter.
        outputs: The tree of what it returns.
        output_names: TensorFlow's tensor name for each leaf of `outputs`, in order.
        graph_def: The frozen graph where the source already is one; None freezes the function's variables.
    """

    component: str
    function: Any
    inputs: Mapping[str, Tensor]
    tree: Mapping[str, Node]
    outputs: Node
    output_names: Sequence[str]
    graph_def: Any = None


@dataclass(frozen=True)
class FunctionReference:
    """The function itself, in TensorFlow."""

    named: NamedFunction

    def run(self, feed: Feed) -> dict[str, Array]:
        """Call the function; strings come back as text."""
        tensors = [tf.constant(feed[leaf.name], dtype=tf.as_dtype(leaf.dtype)) for leaf in self.named.inputs.values()]
        results = tf.nest.flatten(call_flat(self.named.function, tensors))
        names = [leaf.name for leaf in leaves(self.named.outputs)]
        return {name: _to_array(result) for name, result in zip(names, results, strict=True)}

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """None: the dtypes of a TensorFlow graph are fixed."""
        return None


def call_flat(function: Any, tensors: Sequence[Any]) -> Any:
    """Call a ConcreteFunction with its tensors in the order of `function.inputs`."""
    if function.structured_input_signature is None:
        # A function pruned out of a graph takes its tensors one by one.
        return function(*tensors)
    args, kwargs = function.structured_input_signature
    structure = tf.nest.pack_sequence_as((args, kwargs), list(tensors), expand_composites=True)
    return function(*structure[0], **structure[1])


def graph_tensors(function: Any) -> list[Any]:
    """The inputs that a caller gives, without captured variables."""
    captured = {id(tensor) for tensor in function.graph.internal_captures}
    return [tensor for tensor in function.inputs if id(tensor) not in captured]


def name_dimensions(name: str, shape: Any, dtype: Any, spec: InputSpec | None) -> Tensor:
    """An input's leaf: TensorFlow's unknown first size is `batch`, others have names of their own.

    Raises:
        UsageError: the user's description does not fit TensorFlow's shape.
    """
    if shape.rank is None and (spec is None or spec.shape is None):
        raise UsageError(
            f"TensorFlow does not know the rank of the input {name!r}.",
            hint=f"Describe it: --input '{name}:{dtype_name(dtype)}[batch,…]'.",
        )
    if spec is not None and spec.dtype != dtype_name(dtype):
        raise UsageError(f"The input {name!r} is {dtype_name(dtype)}, not {spec.dtype}.")
    known: list[int | None] = [None] * len(spec.shape or ()) if shape.rank is None and spec else list(shape)
    wanted = known if spec is None or spec.shape is None else list(spec.shape)
    if len(wanted) != len(known):
        raise UsageError(f"The input {name!r} has rank {len(known)}, not {len(wanted)}.")
    dims: list[Dimension] = []
    for axis, (size, dim) in enumerate(zip(known, wanted, strict=True)):
        if isinstance(size, int) and dim != size:
            raise UsageError(f"Axis {axis} of the input {name!r} is always {size}; {dim!r} was asked for.")
        default = "batch" if axis == 0 else f"{name.replace('/', '_')}_dim_{axis}"
        dims.append(default if dim is None else dim)
    return Tensor(name, dtype_name(dtype), tuple(dims))


def output_leaf(name: str, tensor: Any) -> Tensor | None:
    """An output's leaf, unknown sizes staying unknown; None for what is no tensor."""
    if not tf.is_tensor(tensor) and not isinstance(tensor, tf.TensorSpec):
        return None
    shape = None if tensor.shape.rank is None else tuple(tensor.shape)
    return Tensor(name, dtype_name(tensor.dtype), shape)


def check_specs(options: ConvertOptions, names: Sequence[str]) -> dict[str, InputSpec]:
    """The user's descriptions by input name.

    Raises:
        UsageError: one is for an input that is not there.
    """
    given = {spec.name: spec for spec in options.inputs}
    for name in (*given, *(options.example or ())):
        if name not in names:
            raise UsageError(f"The source has no input {name!r}.", hint=f"Inputs: {', '.join(names) or 'none'}.")
    return given


def capture_function(named: NamedFunction, options: ConvertOptions, kind: str) -> Capture:
    """Convert a function with tf2onnx and put it together as a capture.

    Raises:
        UnsupportedError: operations that tf2onnx cannot convert, all of them.
        UsageError: the example lacks an input.
    """
    output_leaves = list(leaves(named.outputs))
    opset = options.opset or DEFAULT_OPSET
    if named.graph_def is None:
        model = convert_function(named.function, named.inputs, named.output_names, output_leaves, opset)
    else:
        model = convert_frozen(named.graph_def, named.inputs, named.output_names, output_leaves, opset)
    _declare_inputs(model, list(named.inputs.values()))
    _declare_outputs(model, output_leaves)
    return Capture(
        component=named.component,
        model=model,
        inputs=dict(named.tree),
        outputs=named.outputs,
        reference=FunctionReference(named),
        example=_make_example(named, options),
        source=SourceRecord(kind, "tensorflow", VERSION),
    )


def _make_example(named: NamedFunction, options: ConvertOptions) -> dict[str, Array]:
    tensors = list(named.inputs.values())
    specs = tuple(InputSpec(leaf.name, leaf.dtype, tuple(dim or 1 for dim in leaf.shape or ())) for leaf in tensors)
    example = make_example(specs, options.seed)
    for name, array in (options.example or {}).items():
        example[name] = np.asarray(array)
    return example


def _declare_inputs(model: ir.Model, tensors: Sequence[Tensor]) -> None:
    """Give the graph's inputs our order, dtypes and dimension names; add those that no operation uses."""
    present = {value.name: value for value in model.graph.inputs}
    model.graph.inputs.clear()
    for leaf in tensors:
        value = present.get(leaf.name) or ir.Value(name=leaf.name)
        value.type = ir.TensorType(ir.DataType(ONNX_NUMBER[leaf.dtype]))
        value.shape = ir.Shape(leaf.shape or ())
        model.graph.inputs.append(value)


def _declare_outputs(model: ir.Model, tensors: Sequence[Tensor]) -> None:
    for value, leaf in zip(model.graph.outputs, tensors, strict=True):
        value.type = ir.TensorType(ir.DataType(ONNX_NUMBER[leaf.dtype]))
        value.shape = None if leaf.shape is None else ir.Shape(leaf.shape)


def _to_array(result: Any) -> Array:
    array: Array = result.numpy() if hasattr(result, "numpy") else np.asarray(result)
    if result.dtype == tf.string:
        array = np.asarray(array, dtype=object)
        texts = [item.decode() if isinstance(item, bytes) else item for item in array.ravel()]
        return np.array(texts, dtype=object).reshape(array.shape)
    return np.asarray(array)
