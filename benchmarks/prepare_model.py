"""One model of the zoo as the files that each contestant opens; every step that fails leaves its file out.

    python prepare_model.py NAME FOLDER STEP

STEP: `source` (TorchScript file or SavedModel), `torchscript` or `dynamo` (torch's exporters), `tf2onnx`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import zoo


def torch_arguments(found: zoo.Entry) -> tuple[Any, ...]:
    """Example tensors of batch 2."""
    import torch

    return tuple(torch.from_numpy(array) for array in found.inputs(2).values())


def make_source(found: zoo.Entry, folder: Path) -> None:
    """A traced TorchScript file, or a SavedModel."""
    if found.framework == "tensorflow":
        found.make().export(str(folder / "saved_model"), verbose=False)
        return
    import torch

    with torch.no_grad():
        torch.jit.trace(found.make(), torch_arguments(found), check_trace=False).save(str(folder / "source.pt"))


def export_torchscript(found: zoo.Entry, folder: Path) -> None:
    """torch's TorchScript exporter."""
    import torch

    names = list(found.inputs(1))
    torch.onnx.export(
        torch.jit.load(str(folder / "source.pt")),
        torch_arguments(found),
        str(folder / "torchscript.onnx"),
        dynamo=False,
        input_names=names,
        output_names=["output"],
        dynamic_axes={name: {0: "batch"} for name in names},
        opset_version=18,
    )


def export_dynamo(found: zoo.Entry, folder: Path) -> None:
    """torch's newer exporter."""
    import torch

    batch = torch.export.Dim("batch", min=1, max=64)
    arguments = torch_arguments(found)
    program = torch.onnx.export(
        found.make(),
        arguments,
        dynamo=True,
        dynamic_shapes=tuple({0: batch} for _ in arguments),
        input_names=list(found.inputs(1)),
        opset_version=18,
        verbose=False,
    )
    assert program is not None
    program.save(str(folder / "dynamo.onnx"), external_data=False)


def export_tf2onnx(found: zoo.Entry, folder: Path) -> None:
    """The command `python -m tf2onnx.convert --saved-model`."""
    from tf2onnx import convert

    sys.argv = ["tf2onnx", "--saved-model", str(folder / "saved_model"), "--output", str(folder / "tf2onnx.onnx")]
    sys.argv += ["--opset", "18"]
    convert.main()


STEPS = {
    "source": make_source,
    "torchscript": export_torchscript,
    "dynamo": export_dynamo,
    "tf2onnx": export_tf2onnx,
}

if __name__ == "__main__":
    name, target, step = sys.argv[1:]
    STEPS[step](zoo.entry(name), Path(target))
