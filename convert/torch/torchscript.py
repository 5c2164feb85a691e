"""Capturing a TorchScript file, scripted or traced, with no source code at hand."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.capture import Array, Capture
from transload.convert.component_options import options_for
from transload.convert.error_lines import first_line
from transload.convert.missing_graph import make_missing_graph
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments, described_values
from transload.convert.torch.assembly import assemble, prepare_example, run_example
from transload.convert.torch.dimensions import Dimensions
from transload.convert.torch.probing import probe_other_sizes
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import StateTensor, TorchReference, attribute_tensor, get_attribute
from transload.convert.torch.script import DEFAULT_OPSET, Translation, may_change_itself, translate
from transload.convert.torch.tensors import to_numpy
from transload.serialize.dtypes import dtype_from_numpy
from transload.serialize.errors import SourceError, UnsupportedError, UsageError
from transload.serialize.interface import Tensor, leaves

FORWARD = "forward"


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Each method that was asked for as one component. A script module in memory is saved to a scratch file first.

    Raises:
        UsageError: inputs are missing or do not fit a method, or there is no such method.
        UnsupportedError: operators have no translation; all are listed.
        SourceError: the file is damaged.
    """
    scratch = tempfile.TemporaryDirectory(prefix="transload-")
    path = source.path
    if path is None:
        path = Path(scratch.name, "source.pt")
        with quiet():
            torch.jit.save(source.value, str(path))
    module, was_training = _load(path)
    methods = _choose_methods(module, options, path)
    parameters = {method: {each.name for each in _parameters(module, method)} for method in methods}
    captures = [
        _capture_method(module, path, method, source, options_for(method, parameters, options)) for method in methods
    ]
    if was_training:
        note = "The file was saved in training mode; the package computes in eval mode."
        captures = [dataclasses.replace(each, notes=(*each.notes, note)) for each in captures]
    return [dataclasses.replace(each, resources=(scratch,)) for each in captures]


def _capture_method(module: Any, path: Path, method: str, source: Source, options: ConvertOptions) -> Capture:
    arguments, example, dimensions = prepare_example(_find_arguments(module, method, source, options), options)
    # Run first: what the source itself refuses is the user's mistake, not a lack of ours.
    first = _load(path)[0] if may_change_itself(module, method) else module
    run_example(TorchReference(first, arguments, lambda: first, method=method, refuses_changes=False), example)
    try:
        translation = translate(
            module,
            arguments.positional,
            dynamic_axes=dimensions,
            opset=options.opset or DEFAULT_OPSET,
            method=method,
        )
    except UnsupportedError:
        if not options.may_lack_graph:
            raise
        plain = TorchReference(module, arguments, lambda: module, method=method)
        translation = Translation(_missing_graph(plain, example, dimensions))
    state = _name_state(translation, example)
    model = translation.model
    reference = TorchReference(module, arguments, lambda: _load(path)[0].double(), method=method, state=state)
    outputs = run_example(reference, example)
    moving = probe_other_sizes(reference, outputs, example, dimensions)
    return assemble(
        source,
        model,
        arguments,
        outputs,
        reference,
        component=method,
        example=example,
        dimensions=dimensions,
        moving=moving,
        state=tuple((each.path, each.input, each.output) for each in state),
        initial={each.input: to_numpy(attribute_tensor(get_attribute(module, each.path))) for each in state},
        notes=translation.notes,
    )


def _missing_graph(reference: TorchReference, example: dict[str, Array], dimensions: Dimensions) -> ir.Model:
    shapes = {name: list[int | str](array.shape) for name, array in example.items()}
    for name, axes in dimensions.items():
        for axis, dim in axes.items():
            shapes[name][axis] = dim
    inputs = [Tensor(name, dtype_from_numpy(array.dtype), tuple(shapes[name])) for name, array in example.items()]
    return make_missing_graph(inputs, list(leaves(run_example(reference, example))))


def _name_state(translation: Translation, example: Mapping[str, Any]) -> tuple[StateTensor, ...]:
    """Names for what the module carries from call to call: the attribute's path, and that with `_next`."""
    found = []
    for slot in translation.state:
        name = slot.path
        while name in example:
            name += "_state"
        found.append(StateTensor(slot.path, name, f"{name}_next"))
    return tuple(found)


def _load(path: Path) -> tuple[Any, bool]:
    """The module in eval mode, and whether it was saved in training mode."""
    try:
        with quiet():
            module: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
            was_training: bool = module.training
            module.eval()
    except MemoryError:
        raise
    except Exception as error:
        # Whatever torch comes upon: most often a RuntimeError, but an IndexError, or a UnicodeDecodeError where it
        # would tell of an error in words from the file.
        raise SourceError(f"The TorchScript file cannot be read: {first_line(error)}", where=str(path)) from error
    return module, was_training


def _choose_methods(module: Any, options: ConvertOptions, path: Path) -> tuple[str, ...]:
    # Public only as attributes, among all others.
    known = [name for name in module._c._method_names() if not name.startswith("__")]
    if options.all_methods:
        return tuple(known)
    chosen = tuple(dict.fromkeys(options.methods)) or (FORWARD,)
    if missing := [name for name in chosen if name not in known]:
        raise UsageError(
            f"The TorchScript module has no method {missing[0]!r}.",
            where=str(path),
            hint=f"Its methods are: {', '.join(known) or 'none'}. Name one with --method.",
        )
    return chosen


def _parameters(module: Any, method: str) -> Any:
    """The method's parameters without the module itself."""
    return getattr(module, method).schema.arguments[1:]


def _find_arguments(module: Any, method: str, source: Source, options: ConvertOptions) -> Arguments:
    """Values for every parameter of the method: given, described, or its default.

    Raises:
        UsageError: a parameter is not known, or has neither value nor default; all parameters are listed.
    """
    parameters = _parameters(module, method)
    known = ", ".join(_describe(parameter) for parameter in parameters)
    names = [parameter.name for parameter in parameters]
    if source.args or source.kwargs:
        if len(source.args) > len(names):
            raise UsageError(f"{len(source.args)} arguments are given.", hint=f"The {method} takes: {known or 'none'}.")
        given = {**dict(zip(names, source.args, strict=False)), **(source.kwargs or {})}
    else:
        given = described_values(options, known)
    if unknown := [name for name in given if name not in names]:
        raise UsageError(f"The {method} has no parameter {unknown[0]!r}.", hint=f"Its parameters are: {known}.")
    return Arguments(fit_parameters(module, method, given), {})


def fit_parameters(module: Any, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every parameter, in order and in the form of its type: given, its default, or None.

    Raises:
        UsageError: a parameter has neither value nor default; all of these are listed.
    """
    parameters = _parameters(module, method)
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
            where=f"parameters of {method}: {', '.join(map(_describe, parameters)) or 'none'}",
            hint="Describe each with --input NAME:DTYPE[DIMS], or give --example FILE.npz.",
        )
    return values


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
