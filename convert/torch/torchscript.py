"""Capturing a TorchScript file, scripted or traced, with no source code at hand."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments, described_values
from transload.convert.torch.assembly import assemble, prepare_example, run_example
from transload.convert.torch.graph import strip_initializer_prefix
from transload.convert.torch.legacy_exporter import export_script_module
from transload.convert.torch.probing import probe_other_sizes
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import TorchReference
from transload.convert.torch.script_wrapper import flatten_script_module, forward_schema
from transload.serialize.errors import SourceError, UsageError
from transload.serialize.interface import leaves


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """The file's forward as one component. A script module in memory is saved to a scratch file first.

    Raises:
        UsageError: inputs are missing or do not fit the forward.
        UnsupportedError: operators have no translation; all are listed.
        SourceError: the file is damaged.
    """
    scratch = tempfile.TemporaryDirectory(prefix="transload-")
    path = source.path
    if path is None:
        path = Path(scratch.name, "source.pt")
        with quiet():
            torch.jit.save(source.value, str(path))
    module = _load(path)
    arguments, example, dimensions = prepare_example(_find_arguments(module, source, options), options)
    reference = TorchReference(module, arguments, lambda: _load(path).double())
    outputs = run_example(reference, example)
    moving = probe_other_sizes(reference, outputs, example, dimensions)

    # Neutral names for the exporter, which makes names of its own from them; the contract's names come afterwards.
    names = {name: f"input_{index}" for index, name in enumerate(example)}
    model, notes = export_script_module(
        flatten_script_module(module, arguments, outputs),
        tuple(arguments.tensors().values()),
        input_names=tuple(names.values()),
        output_names=tuple(f"output_{index}" for index, _ in enumerate(leaves(outputs))),
        dynamic_axes={names[name]: axes for name, axes in dimensions.items()},
        opset=options.opset,
        path=Path(scratch.name, "model.onnx"),
    )
    strip_initializer_prefix(model, "module.")
    return [
        assemble(
            source,
            model,
            arguments,
            outputs,
            reference,
            example=example,
            dimensions=dimensions,
            moving=moving,
            notes=notes,
            resources=(scratch,),
        )
    ]


def _load(path: Path) -> Any:
    try:
        with quiet():
            module: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise SourceError(f"The TorchScript file cannot be read: {reason}", where=str(path)) from error
    if not hasattr(module, "forward"):
        raise UsageError("The TorchScript module has no forward.", where=str(path))
    module.eval()
    return module


def _find_arguments(module: Any, source: Source, options: ConvertOptions) -> Arguments:
    """Values for every parameter of forward: given, described, or its default.

    Raises:
        UsageError: a parameter is not known, or has neither value nor default; all parameters are listed.
    """
    parameters = forward_schema(module).arguments[1:]
    known = ", ".join(_describe(parameter) for parameter in parameters)
    names = [parameter.name for parameter in parameters]
    if source.args or source.kwargs:
        given = {**dict(zip(names, source.args, strict=False)), **(source.kwargs or {})}
    else:
        given = described_values(options, known)
    if unknown := [name for name in given if name not in names]:
        raise UsageError(f"The forward has no parameter {unknown[0]!r}.", hint=f"Its parameters are: {known}.")
    values: dict[str, Any] = {}
    missing = []
    for parameter in parameters:
        if parameter.name in given:
            values[parameter.name] = _fit(given[parameter.name], parameter.type)
        elif parameter.has_default_value():
            values[parameter.name] = parameter.default_value
        elif parameter.type.kind() == "OptionalType":
            values[parameter.name] = None
        else:
            missing.append(_describe(parameter))
    if missing:
        raise UsageError(
            f"Parameters without a value: {', '.join(missing)}.",
            where=f"parameters: {known}",
            hint="Describe each with --input NAME:DTYPE[DIMS], or give --example FILE.npz.",
        )
    return Arguments(values, {})


def _describe(parameter: Any) -> str:
    text = f"{parameter.name}: {parameter.type.annotation_str}"
    return f"{text} = {parameter.default_value!r}" if parameter.has_default_value() else text


def _fit(value: Any, kind: Any) -> Any:
    """A value given as tensors, in the form that the TorchScript type asks for: tuples, and numbers from tensors."""
    match kind.kind():
        case "OptionalType":
            return None if value is None else _fit(value, kind.getElementType())
        case "TupleType" if isinstance(value, list | tuple):
            items = [_fit(item, child) for item, child in zip(value, kind.elements(), strict=False)]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        case "ListType" if isinstance(value, torch.Tensor):
            return value.tolist()
        case "ListType" if isinstance(value, list | tuple):
            return [_fit(item, kind.getElementType()) for item in value]
        case "DictType" if isinstance(value, dict):
            return {key: _fit(item, kind.getValueType()) for key, item in value.items()}
        case "IntType" | "FloatType" | "BoolType" | "NumberType" if isinstance(value, torch.Tensor):
            return value.item()
        case "FloatType" if isinstance(value, int):
            return float(value)
        case _:
            return value
