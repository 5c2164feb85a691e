"""torch's exporter for modules and exported programs, quiet, with its failures as our errors."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.torch.conversion_report import unsupported_operations
from transload.convert.torch.quiet import quiet
from transload.serialize.errors import UnsupportedError

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parent)


def export_program(
    program: torch.nn.Module | torch.export.ExportedProgram,
    args: tuple[Any, ...] = (),
    dynamic_shapes: Any = None,
    *,
    opset: int,
) -> tuple[ir.Model, torch.export.ExportedProgram, tuple[str, ...]]:
    """The graph of a module or program, the program that was translated, and notes for the user.

    Weights in the graph are the source's own tensors, not copies.

    Raises:
        UnsupportedError: torch cannot export the module, or operators have no translation.
    """
    options: dict[str, Any] = {"dynamo": True, "verbose": False, "opset_version": opset}
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
        raise UnsupportedError(
            f"torch cannot export the module: {_reason(root)}", where=_user_line(root), hint=_hint(root)
        ) from error
    assert exported is not None and exported.exported_program is not None
    written = exported.model.opset_imports.get("")
    if written != opset:
        notes.append(f"torch's exporter wrote opset {written} instead of {opset}.")
    return exported.model, exported.exported_program, tuple(notes)


def _list_unsupported(program: Any, args: tuple[Any, ...], dynamic_shapes: Any, options: dict[str, Any]) -> Any:
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


def _reason(error: BaseException) -> str:
    """The first line of the message that says something, and what a violated constraint says of its dimension."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Constraints violated"):
        lines = lines[1:] or lines
    return lines[0] if lines else type(error).__name__


def _hint(error: BaseException) -> str:
    if "Constraints violated" in str(error):
        return "Give that size as a number in --input, or change the module so that it takes other sizes."
    return "Change that line so that torch.export can trace it, or convert a TorchScript file of the module."


def _user_line(error: BaseException) -> str:
    """The innermost line of the user's own code on the way to the error."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((_TORCH, _OURS, "<")):
            return f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
    return ""
