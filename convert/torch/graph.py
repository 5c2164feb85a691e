"""Giving an exported graph the contract's names: inputs, outputs and dimensions; and reading shapes back into trees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from transload.convert.structure import map_tensors
from transload.convert.torch.dimensions import Dimensions
from transload.convert.torch.probing import MovingAxes
from transload.serialize.dtypes import dtype_from_onnx
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import Dimension, Node, Tensor


def name_inputs_and_outputs(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Rename the graph's inputs and outputs, by position. Other values that have one of the names get another.

    An output that is also an input, an initializer or an earlier output gets a value of its own.
    """
    graph = model.graph
    _separate_outputs(graph)
    reserved = {*inputs, *outputs}
    used = {value.name for value in _values(model)} | reserved
    for value in _values(model):
        if value.name in reserved:
            number = 1
            while f"{value.name}_{number}" in used:
                number += 1
            value.name = f"{value.name}_{number}"
            used.add(value.name)
    for value, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
        value.name = name


def rename_dimensions(model: ir.Model, names: Mapping[str, str]) -> None:
    """Replace the symbols of dimensions everywhere, also inside expressions such as `2*s0`."""
    if not names:
        return
    symbol = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)")
    for value in _values(model):
        if value.shape is not None and not value.shape.is_static():
            value.shape = ir.Shape([_renamed(dim, symbol, names) for dim in value.shape])


def name_declared_dimensions(model: ir.Model, dimensions: Dimensions) -> tuple[str, ...]:
    """Give the dimensions of the graph's inputs the names that the user declared; gives notes for the user.

    Raises:
        UnsupportedError: a dimension declared dynamic has a fixed size in the graph.
    """
    names: dict[str, str] = {}
    notes: list[str] = []
    frozen: list[str] = []
    for value in model.graph.inputs:
        for axis, name in dimensions.get(value.name or "", {}).items():
            dim = (graph_shape(value) or ())[axis]
            if not isinstance(dim, str):
                frozen.append(f"{name!r} ({value.name}, axis {axis}) is always {dim}")
            elif (known := names.setdefault(dim, name)) != name:
                notes.append(f"The source takes equal sizes for {known!r} and {name!r}; both are called {known!r}.")
    if frozen:
        raise UnsupportedError(
            f"A dimension declared dynamic is fixed in the source: {'; '.join(frozen)}.",
            hint="Give that size as a number in --input, or change the source so that it takes other sizes.",
        )
    rename_dimensions(model, names)
    return tuple(dict.fromkeys(notes))


def mark_moving_axes(model: ir.Model, moving: MovingAxes) -> None:
    """Correct the shapes of outputs by what was seen when the source ran at other sizes.

    Sizes that the exporter could not follow get the name of the input's dimension that they equal. Sizes that it takes
    for fixed although they change are made dynamic: torch 2.13 does so with the time axis of a bidirectional LSTM.
    Shapes inside the graph are then not to be trusted either and are dropped; ONNX Runtime infers its own.
    """
    known = _input_dimensions(model)
    names: dict[str, str] = {}
    wrong = False
    for value in model.graph.outputs:
        if value.shape is None:
            continue
        shape = list(graph_shape(value) or ())
        for axis, name in moving.get(value.name or "", {}).items():
            dim = shape[axis]
            if isinstance(dim, int):
                shape[axis] = name or dimension_name(value.name or "", axis)
                wrong = True
            elif name is not None and dim is None:
                shape[axis] = name
            elif name is not None and dim is not None and dim.isidentifier() and dim not in known:
                names.setdefault(dim, name)
        value.shape = ir.Shape(shape)
    if wrong:
        kept = {id(value) for value in model.graph.outputs}
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            for value in node.outputs:
                if id(value) not in kept:
                    value.shape = None
    rename_dimensions(model, names)


def name_found_symbols(model: ir.Model, prefix: str) -> None:
    """Make identifiers of the symbols that begin with a prefix: `?7` becomes `size_7`."""
    known = {dim.value for value in _values(model) for dim in value.shape or () if not isinstance(dim, int)}
    found = {word for dim in known if dim for word in re.findall(rf"{re.escape(prefix)}\d+", dim)}
    rename_dimensions(model, {symbol: f"size_{symbol.removeprefix(prefix)}" for symbol in found})


def name_other_dimensions(model: ir.Model) -> None:
    """Name the remaining symbols of inputs and outputs after the first tensor and axis that has them (`scores_dim0`).

    Expressions such as `2*batch` stay; names that the inputs have stay too.
    """
    known = _input_dimensions(model)
    names: dict[str, str] = {}
    for value in model.graph.outputs:
        for axis, dim in enumerate(graph_shape(value) or ()):
            if isinstance(dim, str) and dim.isidentifier() and dim not in known:
                names.setdefault(dim, dimension_name(value.name or "", axis))
    rename_dimensions(model, names)


def dimension_name(tensor: str, axis: int) -> str:
    """The name of a dimension that nobody has named."""
    return f"{re.sub(r'[^0-9A-Za-z_]', '_', tensor)}_dim{axis}"


def graph_shape(value: ir.Value) -> tuple[Dimension, ...] | None:
    """The shape of a graph's input or output: sizes, symbols, None for an unknown dimension; None without a shape."""
    if value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)


def with_graph_shapes(tree: Node, values: Sequence[ir.Value]) -> Node:
    """The tree with the shapes that the graph's inputs or outputs of the same names have."""
    shapes = {value.name: graph_shape(value) for value in values}
    return map_tensors(tree, lambda tensor: Tensor(tensor.name, tensor.dtype, shapes[tensor.name]))


def graph_tensor(values: Sequence[ir.Value], name: str) -> Tensor:
    """The leaf for the graph's input or output of that name."""
    value = next(value for value in values if value.name == name)
    assert value.dtype is not None
    return Tensor(name, dtype_from_onnx(int(value.dtype)), graph_shape(value))


def strip_initializer_prefix(model: ir.Model, prefix: str) -> None:
    """Take a prefix off the names of initializers, where the shorter name is free."""
    used = {value.name for value in _values(model)}
    for name, value in tuple(model.graph.initializers.items()):
        short = name.removeprefix(prefix)
        if short not in used:
            value.name = short


def _input_dimensions(model: ir.Model) -> set[str]:
    return {dim for value in model.graph.inputs for dim in graph_shape(value) or () if isinstance(dim, str)}


def _renamed(dim: int | ir.SymbolicDim, symbol: re.Pattern[str], names: Mapping[str, str]) -> int | str | None:
    if isinstance(dim, int) or dim.value is None:
        return dim if isinstance(dim, int) else None
    return symbol.sub(lambda match: names[match[0]], dim.value)


def _separate_outputs(graph: ir.Graph) -> None:
    taken = {id(value) for value in (*graph.inputs, *graph.initializers.values())}
    for index, value in enumerate(graph.outputs):
        if id(value) in taken:
            identity = ir.node("Identity", [value])
            identity.outputs[0].type, identity.outputs[0].shape = value.type, value.shape
            identity.outputs[0].name = f"{value.name}_output_{index}"
            graph.append(identity)
            graph.outputs[index] = identity.outputs[0]
        taken.add(id(value))


def _values(model: ir.Model) -> Iterator[ir.Value]:
    """Every value of the model once: of the graph, its subgraphs and its functions."""
    graphs: tuple[ir.Graph | ir.Function, ...] = (model.graph, *model.functions.values())
    for graph in graphs:
        yield from graph.inputs
        if isinstance(graph, ir.Graph):
            yield from tuple(graph.initializers.values())
        for node in ir.traversal.RecursiveGraphIterator(graph):
            yield from node.outputs
            for attribute in node.attributes.values():
                if isinstance(attribute, ir.Attr) and attribute.type == ir.AttributeType.GRAPH:
                    yield from attribute.as_graph().inputs
                    yield from tuple(attribute.as_graph().initializers.values())
