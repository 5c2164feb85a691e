"""From a named TensorFlow function to an ONNX graph under our names, with large weights kept outside of protobufs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from transload.convert.tensorflow.decompose import decompose, refusal
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.graph_nodes import all_nodes, node_name
from transload.convert.tensorflow.kept_state import KeptVariable, keeps_state, without_state
from transload.convert.tensorflow.lazy_weights import Weight, attach_weights
from transload.convert.tensorflow.separated_weights import (
    CapturedWeight,
    find_captures,
    separate_captures,
    separate_constants,
)
from transload.convert.tensorflow.table_content import read_tables
from transload.convert.tensorflow.tf2onnx_adapter import Target, convert_graph, freeze, has_cases, inline, simplify
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import Tensor

MAX_GRAPH_BYTES = (1 << 31) - 1
"""A GraphDef is one protobuf message, and protobuf ends at 2 GiB."""

SEPARATE_BYTES = 1 << 20
"""Models with fewer weights are frozen whole: TensorFlow then folds more, which ONNX Runtime does as well, at a cost
that is nothing at this size. For 10 MB of weights it is 480 MB of memory and three times the time."""


def convert_function(
    function: Any, inputs: Mapping[str, Tensor], output_names: Sequence[str], outputs: Sequence[Tensor], target: Target
) -> tuple[ir.Model, tuple[KeptVariable, ...]]:
    """Convert a ConcreteFunction; the graph, and the variables that are its last inputs and outputs as state.

    Args:
        function: The function.
        inputs: Our leaf for each input, by TensorFlow's tensor name.
        output_names: TensorFlow's tensor name for each of `outputs`; one tensor may be there twice.
        outputs: Our leaves.
        target: What to write.

    Raises:
        UnsupportedError: operations that cannot be converted, all of them, or weights that cannot be kept apart and do
            not fit into a GraphDef.
    """
    size_bytes = sum(variable.shape.num_elements() * variable.dtype.size for variable in function.graph.variables)
    refused: UnsupportedError | None = None
    target = replace(target, tables=read_tables(function))
    if keeps_state(function):
        taken = {leaf.name for leaf in (*inputs.values(), *outputs)}
        stateless, state = without_state(function, list(inputs), output_names, taken)
        all_inputs = zip(stateless.inputs, [*inputs.values(), *(each.input for each in state)], strict=False)
        named_inputs = {tensor.name: leaf for tensor, leaf in all_inputs}
        all_outputs = [*outputs, *(each.output for each in state)]
        names = [tensor.name for tensor in stateless.outputs]
        return convert_function(stateless, named_inputs, names, all_outputs, target)[0], state
    # TensorFlow's own freezing turns a choice of many branches into switches and merges.
    if size_bytes >= SEPARATE_BYTES or has_cases(function):
        try:
            separated = _separate_function(function, inputs, output_names)
            if separated is not None:
                return _convert(*separated, inputs, output_names, outputs, target), ()
        except UnsupportedError as error:
            # Some handlers of tf2onnx want weights to be constants.
            refused = error
    if size_bytes > MAX_GRAPH_BYTES:
        raise refused or UnsupportedError(
            f"The model's weights are {size_bytes / 1e9:.1f} GB, and a frozen TensorFlow graph ends at 2 GiB.",
            hint="Larger models convert when no loop, branch or lookup table takes their variables.",
        )
    graph_def = freeze(function, list(inputs), output_names)
    if _fix_input_shapes(graph_def, inputs):
        graph_def = simplify(graph_def, list(inputs), output_names)
    return _convert(graph_def, {}, inputs, output_names, outputs, target), ()


def convert_stored(
    graph_def: Any,
    captures: Mapping[str, CapturedWeight],
    inputs: Mapping[str, Tensor],
    output_names: Sequence[str],
    outputs: Sequence[Tensor],
    target: Target,
) -> ir.Model | None:
    """Convert a function's graph with what it captured; None where only TensorFlow itself can freeze it.

    Args:
        graph_def: The graph; it is changed.
        captures: By the name of the node that stands for it.
        inputs, output_names, outputs, target: As `convert_function`.
    """
    try:
        separated = _separate(graph_def, captures, inputs, output_names)
        return None if separated is None else _convert(*separated, inputs, output_names, outputs, target)
    except UnsupportedError:
        # Some handlers of tf2onnx want weights to be constants. What nothing can convert is refused by the other way.
        return None


def convert_frozen(
    graph_def: Any, inputs: Mapping[str, Tensor], output_names: Sequence[str], outputs: Sequence[Tensor], target: Target
) -> ir.Model:
    """Convert a frozen GraphDef, which is left as it was; arguments and errors as `convert_function`."""
    graph = _copy(graph_def)
    _fix_input_shapes(graph, inputs)
    if graph.ByteSize() >= SEPARATE_BYTES:
        separated = _copy(graph)
        weights = separate_constants(separated)
        try:
            separated = simplify(separated, [*inputs, *weights], output_names)
            return _convert(separated, weights, inputs, output_names, outputs, target)
        except UnsupportedError:
            # Some handlers of tf2onnx want weights to be constants. What nothing can convert is refused below, in full.
            del separated, weights
    return _convert(simplify(graph, list(inputs), output_names), {}, inputs, output_names, outputs, target)


def settle_defaults(graph_def: Any) -> list[str]:
    """Make placeholders with a default value that value for good; their names."""
    names = []
    for node in graph_def.node:
        if node.op == "PlaceholderWithDefault":
            names.append(node.name)
            dtype = node.attr["dtype"].type
            node.op = "Identity"
            node.attr.clear()
            node.attr["T"].type = dtype
    return names


def _separate_function(
    function: Any, inputs: Mapping[str, Tensor], output_names: Sequence[str]
) -> tuple[Any, dict[str, Weight]] | None:
    """The function's graph without its large weights, and these; None where they cannot be kept apart."""
    captures = find_captures(function)
    return None if captures is None else _separate(function.graph.as_graph_def(), captures, inputs, output_names)


def _separate(
    graph_def: Any, captures: Mapping[str, CapturedWeight], inputs: Mapping[str, Tensor], output_names: Sequence[str]
) -> tuple[Any, dict[str, Weight]] | None:
    _fix_input_shapes(graph_def, inputs)
    graph_def = inline(graph_def, [*inputs, *(f"{name}:0" for name in captures)], output_names)
    weights = separate_captures(graph_def, captures)
    if weights is None:
        return None
    weights |= separate_constants(graph_def)
    return simplify(graph_def, [*inputs, *weights], output_names), weights


def _convert(
    graph_def: Any,
    weights: Mapping[str, Weight],
    inputs: Mapping[str, Tensor],
    output_names: Sequence[str],
    outputs: Sequence[Tensor],
    target: Target,
) -> ir.Model:
    settle_defaults(graph_def)
    own_names = _add_output_nodes(graph_def, output_names, outputs)
    present = {f"{node.name}:0" for node in graph_def.node if node.op == "Placeholder"}
    names = [*(name for name in weights if name in present), *(name for name in inputs if name in present)]
    model = _convert_decomposed(graph_def, names, list(own_names), target)
    attach_weights(model, weights)
    rename_ends(model, {name: leaf.name for name, leaf in inputs.items()} | own_names)
    return model


def _convert_decomposed(graph_def: Any, names: Sequence[str], output_names: Sequence[str], target: Target) -> ir.Model:
    decomposed = decompose(graph_def, output_names)
    if decomposed.graph_def is not graph_def:
        graph_def = inline(decomposed.graph_def, names, output_names)
    try:
        model = convert_graph(graph_def, names, output_names, target)
    except UnsupportedError as error:
        # What a rule refused comes with the rule's reason, once.
        known = {operation.location for operation in decomposed.refused}
        others = tuple(each for each in error.operations if each.location not in known)
        if not decomposed.refused:
            raise
        raise refusal((*decomposed.refused, *others)) from error
    if decomposed.refused:
        raise refusal(decomposed.refused)
    return model


def _add_output_nodes(graph_def: Any, output_names: Sequence[str], outputs: Sequence[Tensor]) -> dict[str, str]:
    """Give each output a tensor of its own, as one may be there twice, or be an input; our names by theirs."""
    taken = {node.name for node in graph_def.node}
    own_names: dict[str, str] = {}
    for index, (name, leaf) in enumerate(zip(output_names, outputs, strict=True)):
        node = graph_def.node.add(name=f"output_{index}", op="Identity", input=[name])
        while node.name in taken:
            node.name += "_"
        node.attr["T"].type = tf.as_dtype(leaf.dtype).as_datatype_enum
        own_names[f"{node.name}:0"] = leaf.name
    return own_names


def rename_ends(model: ir.Model, names: Mapping[str, str]) -> None:
    """Give the graph's inputs and outputs our names; whatever else had one of these gets another."""
    graph = model.graph
    ends = {id(value) for value in (*graph.inputs, *graph.outputs)}
    inner = [value for part in model.graphs() for value in (*part.inputs, *part.initializers.values())]
    inner += [value for node in graph.all_nodes() for value in node.outputs]
    reserved = set(names.values())
    for value in inner:
        if value.name in reserved and id(value) not in ends:
            value.name = f"{value.name}__inner"
    for value in (*graph.inputs, *graph.outputs):
        value.name = names[value.name or ""]


def _fix_input_shapes(graph_def: Any, inputs: Mapping[str, Tensor]) -> bool:
    """Write the sizes that the user fixed into the placeholders; whether that changed any."""
    changed = False
    leaves = {node_name(source): leaf for source, leaf in inputs.items()}
    for node in graph_def.node:
        leaf = leaves.get(node.name)
        if leaf is None or leaf.shape is None:
            continue
        wanted = tf.TensorShape([dim if isinstance(dim, int) else None for dim in leaf.shape])
        known = tf.TensorShape(node.attr["shape"].shape) if "shape" in node.attr else tf.TensorShape(None)
        if known.rank is None or known.as_list() != wanted.as_list():
            node.attr["shape"].shape.CopyFrom(wanted.as_proto())
            changed = True
    if changed:
        # What was inferred from the former shapes.
        for node in all_nodes(graph_def):
            if "_output_shapes" in node.attr:
                del node.attr["_output_shapes"]
    return changed


def _copy(graph_def: Any) -> Any:
    copy = type(graph_def)()
    copy.CopyFrom(graph_def)
    return copy
