"""One conversion by the exporter that a user would call without transload, alone in its process.

python raw_exporter.py KIND SOURCE TARGET.onnx [INPUT ...]
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from transload.convert.options import make_example, parse_input_spec


def export_torch_module(source: str, target: str, inputs: list[str]) -> None:
    """torch.onnx.export with torch.export, weights beside the graph."""
    import torch

    module_name, _, function = source.partition(":")
    module = getattr(importlib.import_module(module_name), function)()
    args, dimensions = arguments(inputs)
    program = torch.onnx.export(
        module, args, dynamo=True, dynamic_shapes=tuple(dimensions), opset_version=18, verbose=False
    )
    assert program is not None
    program.save(target, external_data=True)


def export_torchscript(source: str, target: str, inputs: list[str]) -> None:
    """torch's TorchScript exporter."""
    import torch

    module = torch.jit.load(source)
    args, dimensions = arguments(inputs)
    names = [parse_input_spec(text).name for text in inputs]
    torch.onnx.export(
        module,
        args,
        target,
        dynamo=False,
        input_names=names,
        output_names=["output"],
        dynamic_axes=dict(zip(names, dimensions, strict=True)),
        opset_version=18,
    )


def export_saved_model(source: str, target: str, inputs: list[str]) -> None:
    """The command `python -m tf2onnx.convert --saved-model`."""
    from tf2onnx import convert

    sys.argv = ["tf2onnx", "--saved-model", source, "--output", target, "--opset", "18"]
    convert.main()


def arguments(inputs: list[str]) -> tuple[tuple[Any, ...], list[dict[int, str]]]:
    """Example tensors, and the names of each one's dynamic axes."""
    import torch

    specs = tuple(parse_input_spec(text) for text in inputs)
    example = make_example(specs)
    dimensions = [{axis: dim for axis, dim in enumerate(spec.shape or ()) if isinstance(dim, str)} for spec in specs]
    return tuple(torch.from_numpy(example[spec.name]) for spec in specs), dimensions


EXPORTERS = {
    "torch-module": export_torch_module,
    "torchscript": export_torchscript,
    "saved-model": export_saved_model,
}

if __name__ == "__main__":
    kind, source, target, *inputs = sys.argv[1:]
    EXPORTERS[kind](source, target, inputs)
