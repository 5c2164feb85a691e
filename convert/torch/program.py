"""Capturing an ExportedProgram, in memory or from a .pt2 file. It knows its own inputs."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
import torch
from torch.export.graph_signature import ConstantArgument, InputKind, TensorArgument

from transload.convert.capture import Capture
from transload.convert.error_lines import first_line
from transload.convert.options import DEFAULT_OPSET, ConvertOptions, InputSpec, make_example
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments
from transload.convert.torch.assembly import assemble, prepare_example, run_example
from transload.convert.torch.dynamo_exporter import export_program
from transload.convert.torch.graph import dimension_name, graph_shape
from transload.convert.torch.probing import probe_other_sizes
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import TorchReference
from transload.convert.torch.tensors import to_torch
from transload.convert.torch.trust import check_program_trust
from transload.serialize.dtypes import dtype_from_onnx
from transload.serialize.errors import SourceError, UnsupportedError, UsageError


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """The program as one component. Its dynamic dimensions get the names in `options.inputs`, or made-up ones.

    Raises:
        UsageError: a description fits no input, or the example does not suit the program.
        UnsupportedError: operators have no translation (all are listed), or a named dimension is fixed in the program.
        SourceError: the file is damaged.
    """
    program = _load(source, options.trust_source)
    model, notes = export_program(program, opset=options.opset or DEFAULT_OPSET)
    arguments = _placeholders(program)
    names = tuple(arguments.tensors())
    specs = _complete_specs(options.inputs, dict(zip(names, model.graph.inputs, strict=True)))
    arguments = arguments.replaced(_example_tensors(program, arguments, specs, source, options))
    arguments, example, dimensions = prepare_example(arguments, dataclasses.replace(options, inputs=specs))
    with quiet():
        module = program.module()
    reference = TorchReference(module, arguments, lambda: copy.deepcopy(module).double())
    outputs = run_example(reference, example)
    moving = probe_other_sizes(reference, outputs, example, dimensions)
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
        )
    ]


def _load(source: Source, trusted: bool) -> torch.export.ExportedProgram:
    if source.path is None:
        program: torch.export.ExportedProgram = source.value
        return program
    if not trusted:
        check_program_trust(source.path)
    # Reading a damaged archive fails in as many ways as there are members in it.
    try:
        with quiet():
            return torch.export.load(source.path)
    except Exception as error:
        raise SourceError(f"The program cannot be read: {first_line(error)}", where=str(source.path)) from error


def _placeholders(program: torch.export.ExportedProgram) -> Arguments:
    """The program's arguments in their structure, with an empty tensor for each tensor that it takes.

    Raises:
        UnsupportedError: it takes Python numbers that may change from call to call.
    """
    values: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind != InputKind.USER_INPUT:
            continue
        if isinstance(spec.arg, ConstantArgument):
            values.append(spec.arg.value)
        elif isinstance(spec.arg, TensorArgument):
            values.append(torch.empty(0))
        else:
            raise UnsupportedError(
                f"The program takes a Python number, {spec.arg.name!r}, that may change from call to call.",
                hint="Export it again with a tensor instead, or with a constant.",
            )
    args, kwargs = program.call_spec.in_spec.unflatten(values)
    signature = program.module_call_graph[0].signature
    names = (signature.forward_arg_names if signature else None) or [f"arg_{index}" for index in range(len(args))]
    return Arguments(dict(zip(names, args, strict=False)), dict(kwargs))


def _complete_specs(given: tuple[InputSpec, ...], inputs: Mapping[str, ir.Value]) -> tuple[InputSpec, ...]:
    """A description of every input from the graph; its symbols get the names that the user gave, or made-up ones.

    Raises:
        UsageError: the user described an input that does not exist, or with another rank.
        UnsupportedError: the user named a dimension that the program fixes.
    """
    names: dict[str, str] = {}
    for spec in given:
        if spec.name not in inputs:
            raise UsageError(f"There is no input {spec.name!r}.", hint=f"The inputs are: {', '.join(inputs)}.")
        shape = graph_shape(inputs[spec.name]) or ()
        if spec.shape is not None and len(spec.shape) != len(shape):
            raise UsageError(
                f"Input {spec.name!r} is described with {len(spec.shape)} dimensions; it has {len(shape)}."
            )
        for axis, (name, dim) in enumerate(zip(spec.shape or (), shape, strict=False)):
            if isinstance(name, str) and not isinstance(dim, str):
                raise UnsupportedError(
                    f"The dimension {name!r} ({spec.name}, axis {axis}) is always {dim} in the program.",
                    hint="Export it again with dynamic_shapes, or give that size as a number in --input.",
                )
            if isinstance(name, str) and isinstance(dim, str):
                names.setdefault(dim, name)
    for input_name, value in inputs.items():
        for axis, dim in enumerate(graph_shape(value) or ()):
            if isinstance(dim, str):
                names.setdefault(dim, dimension_name(input_name, axis))
    return tuple(
        InputSpec(
            name,
            dtype_from_onnx(value.dtype.value if value.dtype is not None else 0),
            tuple(dim if isinstance(dim, int) else names.get(dim or "", name) for dim in graph_shape(value) or ()),
        )
        for name, value in inputs.items()
    )


def _example_tensors(
    program: torch.export.ExportedProgram,
    arguments: Arguments,
    specs: tuple[InputSpec, ...],
    source: Source,
    options: ConvertOptions,
) -> dict[str, torch.Tensor]:
    """Tensors by leaf name: the user's, else those that the program was exported with, else made-up ones.

    Raises:
        UsageError: the user's do not have the program's structure.
    """
    stored = (source.args, source.kwargs or {}) if source.args or source.kwargs else program.example_inputs
    if stored is not None:
        positional = dict(zip(arguments.positional, stored[0], strict=False))
        tensors = Arguments(positional, dict(stored[1])).tensors()
    else:
        tensors = {name: to_torch(array) for name, array in make_example(specs, options.seed).items()}
    tensors |= {name: to_torch(array) for name, array in (options.example or {}).items()}
    known = arguments.tensors()
    if set(tensors) != set(known):
        different = ", ".join(sorted(set(tensors) ^ set(known)))
        raise UsageError(
            f"The example does not have the program's inputs; different: {different}.",
            hint=f"The inputs are: {', '.join(known)}.",
        )
    return tensors
