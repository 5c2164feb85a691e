"""The steps that every torch front end shares: the example before the export, names and trees after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx_ir as ir
import torch

from transload.convert.capture import Array, Capture
from transload.convert.error_lines import last_line
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments
from transload.convert.torch.dimensions import Dimensions, declared_dimensions, widened_example
from transload.convert.torch.graph import (
    graph_tensor,
    mark_moving_axes,
    name_declared_dimensions,
    name_inputs_and_outputs,
    name_other_dimensions,
    with_graph_shapes,
)
from transload.convert.torch.probing import MovingAxes
from transload.convert.torch.quantized_kernels import find_doubt
from transload.convert.torch.reference import TorchReference
from transload.convert.torch.tensors import to_numpy, to_torch
from transload.serialize.errors import TransloadError, UsageError
from transload.serialize.interface import Node, SourceRecord, State, leaves


def prepare_example(arguments: Arguments, options: ConvertOptions) -> tuple[Arguments, dict[str, Array], Dimensions]:
    """The arguments and their tensors as an example to capture with, and the dimensions that the user declared.

    Raises:
        UsageError: there is no tensor among the arguments, or a description fits none of them.
    """
    example = {name: to_numpy(tensor) for name, tensor in arguments.tensors().items()}
    if not example:
        raise UsageError("There is no tensor among the inputs.", hint="Describe tensors with --input NAME:DTYPE[DIMS].")
    dimensions = declared_dimensions(options.inputs, example)
    example = widened_example(example, dimensions)
    return arguments.replaced({name: to_torch(array) for name, array in example.items()}), example, dimensions


def run_example(reference: TorchReference, example: dict[str, Array]) -> Node:
    """The tree of what the source returns for the example.

    Raises:
        UsageError: the source fails on it.
        UnsupportedError: the source keeps state, or returns what no interface can hold.
    """
    try:
        return reference.observe(example)
    except TransloadError:
        raise
    # The source's own code runs here; whatever it raises says that the example does not suit it.
    except Exception as error:
        raise UsageError(
            f"The source fails on the example inputs: {type(error).__name__}: {last_line(error)}",
            where=", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in example.items()),
            hint="Give inputs that it takes: --example FILE.npz, or other sizes in --input.",
        ) from error


def assemble(
    source: Source,
    model: ir.Model,
    arguments: Arguments,
    outputs: Node,
    reference: TorchReference,
    *,
    component: str = "forward",
    example: dict[str, Array],
    dimensions: Dimensions,
    moving: MovingAxes,
    state: tuple[tuple[str, str, str], ...] = (),
    initial: Mapping[str, Array] | None = None,
    notes: Iterable[str] = (),
    resources: tuple[object, ...] = (),
) -> Capture:
    """The capture, from a graph whose inputs and outputs come in the order of the trees, then of the state.

    Renames in `model`.

    Args:
        state: Attribute, name of its input, name of its output, for each that the callable changes.
        initial: The state before the first call, by input name.

    Raises:
        UnsupportedError: a dimension declared dynamic is fixed in the graph.
    """
    arguments_and_state = (*example, *(given for _, given, _ in state))
    results_and_state = (*(leaf.name for leaf in leaves(outputs)), *(given for _, _, given in state))
    name_inputs_and_outputs(model, arguments_and_state, results_and_state)
    dimension_notes = name_declared_dimensions(model, dimensions)
    mark_moving_axes(model, moving)
    name_other_dimensions(model)
    return Capture(
        component=component,
        model=model,
        inputs={name: with_graph_shapes(tree, model.graph.inputs) for name, tree in arguments.trees().items()},
        outputs=with_graph_shapes(outputs, model.graph.outputs),
        reference=reference,
        example=example | dict(initial or {}),
        state=tuple(
            State(name, graph_tensor(model.graph.inputs, given), graph_tensor(model.graph.outputs, result))
            for name, given, result in state
        ),
        source=SourceRecord(source.kind.value, "torch", str(torch.__version__)),
        notes=(*notes, *dimension_notes),
        doubt=find_doubt(model),
        resources=resources,
    )
