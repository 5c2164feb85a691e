"""torch's exporter for modules and exported programs, quiet, with its failures as our errors."""

from __future__ import annotations

import re
import tempfile
import traceback
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.error_lines import first_line
from transload.convert.torch.conversion_report import unsupported_operations
from transload.convert.torch.map_operator import TRANSLATIONS
from transload.convert.torch.quiet import quiet
from transload.serialize.errors import UnsupportedError, UnsupportedOperation

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parent)


def export_program(
    program: torch.nn.Module | torch.export.ExportedProgram,
    args: tuple[Any, ...] = (),
    dynamic_shapes: Any = None,
    *,
    opset: int,
    names: tuple[str, ...] = (),
) -> tuple[ir.Model, tuple[str, ...]]:
    """The graph of a module or program, and notes for the user.

    Weights in the graph are the source's own tensors, not copies.

    Args:
        program: What to export.
        args, dynamic_shapes: For a module, whose forward is `forward(*tensors)`; as torch.export takes them.
        opset: The ONNX opset to write.
        names: What the user calls the tensors of `args`, for messages.

    Raises:
        UnsupportedError: torch cannot export the module, fixes a dynamic dimension, or has no translation for some
            operators; all of these are listed.
    """
    options: dict[str, Any] = {"dynamo": True, "verbose": False, "opset_version": opset}
    options["custom_translation_table"] = TRANSLATIONS
    try:
        with quiet() as notes:
            exported = torch.onnx.export(program, args, dynamic_shapes=dynamic_shapes, **options)
    # Export runs the user's code and torch's; both raise whatever they like.
    except Exception as error:
        operations = _list_unsupported(program, args, dynamic_shapes, options)
        if operations:
            raise UnsupportedError(
                f"{len(operations)} operations of the module have no translation to ONNX.", operations=operations
            ) from error
        root = _root_cause(error)
        if frozen := _frozen_dimensions(str(root), names):
            raise UnsupportedError(
                f"A dimension declared dynamic is fixed by the module's code: {'; '.join(frozen)}.",
                hint="Give that size as a number in --input, or change the module so that it takes other sizes.",
            ) from error
        raise UnsupportedError(
            f"torch cannot export the module: {first_line(root)}",
            where=find_user_line(root),
            hint="Change that line so that torch.export can trace it, or convert a TorchScript file of the module.",
        ) from error
    assert exported is not None
    written = exported.model.opset_imports.get("")
    if written != opset:
        notes.append(f"torch's exporter wrote opset {written} instead of {opset}.")
    return exported.model, tuple(notes)


def _list_unsupported(
    program: Any, args: tuple[Any, ...], dynamic_shapes: Any, options: dict[str, Any]
) -> tuple[UnsupportedOperation, ...]:
    """Export once more, now with the report that lists every failure and not only the first."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with quiet():
                torch.onnx.export(
                    program, args, dynamic_shapes=dynamic_shapes, report=True, artifacts_dir=folder, **options
                )
        # It fails as it did before; what counts is the report.
        except Exception:
            reports = sorted(Path(folder).glob("*.md"))
        else:
            return ()
        return unsupported_operations(reports[0].read_text()) if reports else ()


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _frozen_dimensions(message: str, names: tuple[str, ...]) -> list[str]:
    """What torch.export says of dimensions that it was told to keep dynamic and could not, in our words."""
    found = re.findall(r"inferred a static shape of (\d+) for dimension .*?\[(\d+)\]\.shape\[(\d+)\]", message)
    return [f"{names[int(index)]!r} has size {size} on axis {axis}" for size, index, axis in found]


def find_user_line(error: BaseException) -> str:
    """The innermost line of the user's own code on the way to the error."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((_TORCH, _OURS, "<")):
            return f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
    return ""
