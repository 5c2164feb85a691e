"""Capturing an nn.Module: an object, what a factory makes, or a trusted pickle, through torch.export."""

from __future__ import annotations

import contextlib
import copy
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from transload.convert.capture import Capture
from transload.convert.options import DEFAULT_OPSET, ConvertOptions
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments, bind_arguments, describe_signature, described_values
from transload.convert.torch.assembly import assemble, prepare_example, run_example
from transload.convert.torch.dimensions import Dimensions
from transload.convert.torch.dynamo_exporter import export_program
from transload.convert.torch.graph import strip_initializer_prefix
from transload.convert.torch.probing import probe_other_sizes
from transload.convert.torch.reference import TorchReference, evaluating, flatten_outputs
from transload.convert.torch.tensors import to_torch
from transload.convert.torch.weights import load_weights
from transload.serialize.errors import SourceError, UsageError


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """The module's forward as one component.

    The module is in eval mode while it is captured or run, and in its own mode afterwards.

    Raises:
        UsageError: inputs are missing or do not fit, the factory gives no module, or weights do not fit.
        UnsupportedError: torch cannot export the module; all operators without translation are listed.
        SourceError: a pickle that was not declared as trusted.
    """
    module = _load_module(source, options)
    arguments, example, dimensions = prepare_example(_find_arguments(module, source, options), options)
    reference = TorchReference(module, arguments, lambda: copy.deepcopy(module).double(), set_eval=True)
    outputs = run_example(reference, example)
    moving = probe_other_sizes(reference, outputs, example, dimensions)

    flat = _FlatModule(module, arguments)
    with evaluating(flat):
        model, notes = export_program(
            flat,
            tuple(arguments.tensors().values()),
            _dynamic_shapes(example, dimensions),
            opset=options.opset or DEFAULT_OPSET,
            names=tuple(example),
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
        )
    ]


class _FlatModule(torch.nn.Module):
    """The module with tensors only: positional tensors in, a flat tuple of tensors out.

    torch's exporter fails on constants among the outputs and names nested inputs after its own fashion.
    """

    def __init__(self, module: torch.nn.Module, arguments: Arguments) -> None:
        super().__init__()
        self.module = module
        self._arguments = arguments
        self._names = tuple(arguments.tensors())

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        args, kwargs = self._arguments.fill(dict(zip(self._names, tensors, strict=True)))
        return tuple(flatten_outputs(self.module(*args, **kwargs), self._names)[1].values())


def _dynamic_shapes(example: dict[str, Any], dimensions: Dimensions) -> Any:
    """Every declared dimension on its own: torch finds by itself which must be equal."""
    if not dimensions:
        return None
    dynamic = torch.export.Dim.DYNAMIC
    return (tuple(dict.fromkeys(dimensions.get(name, ()), dynamic) for name in example),)


def _find_arguments(module: torch.nn.Module, source: Source, options: ConvertOptions) -> Arguments:
    if not source.args and not source.kwargs:
        values = described_values(options, describe_signature(module.forward))
        return bind_arguments(module.forward, (), values)
    arguments = bind_arguments(module.forward, source.args, source.kwargs or {})
    if options.example is None:
        return arguments
    tensors = arguments.tensors()
    if unknown := set(options.example) - set(tensors):
        raise UsageError(
            f"The example has a tensor {min(unknown)!r}, which is not among the arguments.",
            hint=f"The inputs are: {', '.join(tensors)}.",
        )
    return arguments.replaced(tensors | {name: to_torch(array) for name, array in options.example.items()})


def _load_module(source: Source, options: ConvertOptions) -> torch.nn.Module:
    if source.path is not None:
        module = _unpickle(source.path, options)
    elif isinstance(source.value, str):
        module = _call_factory(source.value)
    else:
        module = source.value
    if options.weights is not None:
        load_weights(module, options.weights)
    return module


def _unpickle(path: Path, options: ConvertOptions) -> torch.nn.Module:
    if not options.trust_source:
        raise SourceError(
            "A pickled module can run any code when it is read.",
            where=str(path),
            hint="Give --trust-source if you trust whoever made the file.",
        )
    # Unpickling runs the file's own code, which raises whatever it likes.
    try:
        module = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise SourceError(
            f"The pickle cannot be read: {error}", where=str(path), hint="Its classes must be importable from here."
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"The file holds a {type(module).__name__}, not a module.",
            where=str(path),
            hint="For weights alone, name a module factory package.module:callable and give --weights.",
        )
    return module


def _call_factory(name: str) -> torch.nn.Module:
    module_name, _, attribute = name.partition(":")
    hint = "Write package.module:callable, as it would be imported from the current folder."
    with _current_folder_importable():
        try:
            factory: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise UsageError(f"Cannot import {module_name!r}: {error}.", hint=hint) from error
        for part in attribute.split("."):
            if not hasattr(factory, part):
                raise UsageError(f"{module_name} has no {attribute!r}.", hint=hint)
            factory = getattr(factory, part)
        try:
            module = factory()
        except TypeError as error:
            raise UsageError(
                f"The factory {name} cannot be called without arguments: {error}.",
                hint="Write a function without parameters that returns the module.",
            ) from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"The factory {name} gave a {type(module).__name__}, not a torch.nn.Module.")
    return module


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
