"""From a TorchScript method to an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.structure import map_leaves
from transload.convert.torch.script.attributes import Attributes
from transload.convert.torch.script.builder import IR_VERSION, Builder
from transload.convert.torch.script.dtypes import to_onnx
from transload.convert.torch.script.interpreter import Interpreter
from transload.convert.torch.script.literals import from_python
from transload.convert.torch.script.poison import Raised
from transload.convert.torch.script.values import Complex, Dict, List, Storage, Tensor
from transload.serialize.errors import UnsupportedError, UsageError

OPSETS = range(17, 24)
"""The ONNX opsets that translations are written for."""

DEFAULT_OPSET = 20
"""The oldest with all that the translations use: Gelu, and DFT and GridSample in their later forms."""


def translate(
    module: torch.jit.ScriptModule,
    values: Mapping[str, Any],
    *,
    dynamic_axes: Mapping[str, Mapping[int, str]],
    opset: int,
    method: str = "forward",
) -> tuple[ir.Model, tuple[str, ...]]:
    """The graph of a method, and notes for the user.

    Args:
        module: The script module, in eval mode.
        values: Every argument of the method, in order; its tensors, at any depth, become the graph's inputs, under the
            names of their paths.
        dynamic_axes: Input name -> axis -> name of a dynamic dimension. Other sizes are those of the tensors given.
        opset: The ONNX opset to write.
        method: Which method.

    Raises:
        UsageError: this opset is not written, or the method raises an exception for these arguments.
        UnsupportedError: something in the method has no translation; all of it is listed.
    """
    if opset not in OPSETS:
        raise UsageError(
            f"TorchScript is not translated to opset {opset}.", hint=f"Choose one from {OPSETS[0]} to {OPSETS[-1]}."
        )
    b = Builder(opset)
    interpreter = Interpreter(b, Attributes(module))
    arguments = [
        from_python(interpreter, map_leaves(value, lambda path, item: _input(b, path, item, dynamic_axes), name))
        for name, value in values.items()
    ]
    try:
        result = interpreter.call(getattr(module, method).inlined_graph, (module, *arguments))
    except Raised as error:
        raise UsageError(f"The method {method!r} raises an exception for inputs such as these: {error}") from error
    if interpreter.failures:
        raise UnsupportedError(
            f"{len(interpreter.failures)} operations of the TorchScript method {method!r} have no translation to ONNX.",
            operations=tuple(interpreter.failures.values()),
            hint="Change these operations in the source, or convert the module itself instead of a TorchScript file.",
        ) from interpreter.first_failure
    if changed := interpreter.attributes.changed():
        raise UnsupportedError(f"The module changes its own attributes: {', '.join(changed)}.")
    for tensor in _tensors(result):
        b.graph.outputs.append(_output(interpreter, tensor))
    model = ir.Model(b.graph, ir_version=IR_VERSION)
    return model, tuple(b.notes)


def _input(b: Builder, path: str, item: Any, dynamic_axes: Mapping[str, Mapping[int, str]]) -> Any:
    if not isinstance(item, torch.Tensor):
        return item
    axes = dynamic_axes.get(path, {})
    shape = [axes.get(axis, size) for axis, size in enumerate(item.shape)]
    value = ir.Value(name=b.unique(path), type=ir.TensorType(to_onnx(item.dtype)), shape=ir.Shape(shape))
    b.graph.inputs.append(value)
    return Tensor(Storage(value))


def _tensors(result: Any) -> Iterator[Tensor]:
    """The tensors of a result, in the order of the interface's tree."""
    match result:
        case Tensor():
            yield result
        case List(content=list() as items) | (tuple() as items):
            for item in items:
                yield from _tensors(item)
        case Dict(content=items):
            for item in items.values():
                yield from _tensors(item)
        case List():
            raise UnsupportedError("How many tensors are returned depends on the data.")


def _output(interpreter: Interpreter, tensor: Tensor) -> ir.Value:
    content = interpreter.read(tensor)
    if isinstance(content, Complex):
        raise UnsupportedError(
            "A complex tensor is returned, which ONNX does not have.",
            hint="Return real and imaginary parts (torch.view_as_real).",
        )
    value = interpreter.value(tensor)
    interpreter.b.name_sizes(value)
    if any(value is each for each in interpreter.b.graph.outputs):
        copy: ir.Value = interpreter.b.Identity(value)
        return copy
    return value
