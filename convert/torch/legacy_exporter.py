"""torch's own TorchScript exporter behind one function, to be replaced by a translator of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.torch.quiet import quiet
from transload.convert.torch.tensors import dtype_name
from transload.serialize.dtypes import ONNX_NUMBER
from transload.serialize.errors import UnsupportedError, UnsupportedOperation, UsageError

_OPSETS = range(9, 21)
"""What the exporter can write; above 20 it has no symbolic functions."""


def export_script_module(
    module: torch.jit.ScriptModule,
    args: Sequence[torch.Tensor],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]],
    opset: int,
    path: Path,
) -> tuple[ir.Model, tuple[str, ...]]:
    """The graph of a script module that takes and returns plain tensors, and notes for the user.

    Args:
        module: Its forward takes the tensors `args` and returns a tensor or a tuple of tensors.
        args: An example; sizes not in `dynamic_axes` are fixed at its sizes.
        input_names, output_names: Names for the graph's inputs and outputs.
        dynamic_axes: Input or output name -> axis -> the dimension's name.
        opset: The ONNX opset to write.
        path: Where to write the model, in a folder of its own, which must outlive the returned model: weights of models
            over 2 GiB stay there.

    Raises:
        UsageError: the exporter does not write this opset.
        UnsupportedError: the exporter fails; every operator that it does not know is listed.
    """
    if opset not in _OPSETS:
        raise UsageError(
            f"torch's TorchScript exporter does not write opset {opset}.",
            hint=f"Choose one from {_OPSETS[0]} to {_OPSETS[-1]}.",
        )
    try:
        with quiet() as notes:
            torch.onnx.export(
                module,
                tuple(args),
                str(path),
                dynamo=False,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_axes={name: dict(axes) for name, axes in dynamic_axes.items()},
                opset_version=opset,
            )
    # The exporter's passes raise whatever they like.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnsupportedError(
            f"torch cannot export the TorchScript module: {reason}",
            operations=_unsupported_operations(module, args, opset),
            hint="Change these operations in the source, or convert the module itself instead of a TorchScript file.",
        ) from error
    model = ir.load(path)
    if list(path.parent.iterdir()) == [path]:
        # All is in memory then. A sync of the package would otherwise wait for this file to reach the disk too.
        path.unlink()
    _restore_unused_inputs(model, dict(zip(input_names, args, strict=True)), dynamic_axes)
    return model, tuple(notes)


def _restore_unused_inputs(
    model: ir.Model, inputs: Mapping[str, torch.Tensor], dynamic_axes: Mapping[str, Mapping[int, str]]
) -> None:
    """Put back the inputs that the exporter dropped because nothing reads them."""
    kept = {value.name: value for value in model.graph.inputs}
    values = []
    for name, tensor in inputs.items():
        axes = dynamic_axes.get(name, {})
        shape = [axes.get(axis, size) for axis, size in enumerate(tensor.shape)]
        dtype = ir.DataType(ONNX_NUMBER[dtype_name(tensor.dtype)])
        values.append(kept.get(name) or ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype)))
    model.graph.inputs[:] = values


def _unsupported_operations(
    module: torch.jit.ScriptModule, args: Sequence[torch.Tensor], opset: int
) -> tuple[UnsupportedOperation, ...]:
    """Every node of the graph for which the exporter has no symbolic function, in nested blocks too."""
    # Private, and used only to explain a failure: the public unconvertible_ops leaves nested blocks out.
    from torch.onnx._internal.torchscript_exporter import registration

    try:
        with quiet():
            graph: Any = torch.onnx.utils.unconvertible_ops(module, tuple(args), opset_version=opset)[0]
    # Listing runs the same passes that may just have failed; then there is nothing to list.
    except Exception:
        return ()
    found = {
        UnsupportedOperation(node.kind(), _location(node.sourceRange()))
        for node in _nodes(graph)
        if not node.kind().startswith(("onnx::", "prim::"))
        and not registration.registry.is_registered_op(node.kind().rstrip("_"), opset)
    }
    return tuple(sorted(found, key=lambda operation: (operation.name, operation.location)))


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _location(source_range: str) -> str:
    """`file:line: code` from a source range, whose lines are the code with a marker below, and where it comes from."""
    lines = source_range.splitlines()
    marked = next((index for index, line in enumerate(lines) if "<--- HERE" in line), 0)
    code = lines[marked - 1].strip() if marked else ""
    place = re.search(r'File "(?P<file>[^"]+)", line (?P<line>\d+)', source_range)
    where = f"{place['file']}:{place['line']}" if place else ""
    return ": ".join(part for part in (where, code) if part)
