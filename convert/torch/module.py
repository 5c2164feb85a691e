"""Capturing an nn.Module: an object, what a factory makes, or a trusted pickle."""

from __future__ import annotations

import contextlib
import copy
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from transload.convert.capture import Alternatives, Feed
from transload.convert.error_lines import first_line
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments, bind_arguments, describe_signature, described_values
from transload.convert.torch.assembly import prepare_example, run_example
from transload.convert.torch.dimensions import independent_dimensions
from transload.convert.torch.dynamo_exporter import find_user_line
from transload.convert.torch.found_dimensions import FoundDimensions, compare_examples, find_dimensions
from transload.convert.torch.module_state import find_state
from transload.convert.torch.probing import probe_other_sizes
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import TorchReference
from transload.convert.torch.tensors import to_torch
from transload.convert.torch.ways import Callee, ways_to_capture
from transload.convert.torch.weights import load_weights, refuse_missing_memory
from transload.serialize.errors import SourceError, UsageError


def capture(source: Source, options: ConvertOptions) -> list[Alternatives]:
    """The module's forward as one component, with the ways to capture it.

    The module is in eval mode while it is captured or run, and in its own mode afterwards.

    Raises:
        UsageError: inputs are missing or do not fit, the factory gives no module, or weights do not fit.
        UnsupportedError: the module's results or state fit no interface.
        SourceError: a pickle that was not declared as trusted.
    """
    callee = prepare_module(_load_module(source, options), source, options)
    names = independent_dimensions(callee.dimensions)
    return [Alternatives(callee.component, ways_to_capture(callee), names)]


def prepare_module(module: torch.nn.Module, source: Source, options: ConvertOptions) -> Callee:
    """Run a module until enough is known of it to capture it.

    Raises:
        UsageError: inputs are missing or do not fit.
        UnsupportedError: its results or state fit no interface.
    """
    arguments, example, dimensions = prepare_example(_find_arguments(module, source, options), options)
    first = TorchReference(module, arguments, lambda: module, set_eval=True, refuses_changes=False)
    state = find_state(module, lambda: run_example(first, example), example)
    reference = TorchReference(
        module, arguments, lambda: copy.deepcopy(module).double(), set_eval=True, state=state, refuses_changes=False
    )
    found = FoundDimensions(dimensions, example)
    if options.second_example is not None:
        if any(spec.shape is not None for spec in options.inputs):
            raise UsageError(
                "Dimensions are described in --input, and a second example is given.",
                hint="Give one of the two; with a second example, what differs is dynamic.",
            )
        found = FoundDimensions(compare_examples(example, options.second_example), example)
    elif all(spec.shape is None for spec in options.inputs):
        found = find_dimensions(example, lambda feed: _find_refusal(reference, feed))
    outputs = run_example(reference, found.example)
    return Callee(
        source,
        module,
        arguments.replaced({name: to_torch(array) for name, array in found.example.items()}),
        found.example,
        found.dimensions,
        outputs,
        reference,
        probe_other_sizes(reference, outputs, found.example, found.dimensions, found.accepted),
        state=state,
        notes=found.fixed,
        opset=options.opset,
    )


def _find_refusal(reference: TorchReference, feed: Feed) -> str | None:
    """The line of the module's code that refuses a feed; None where it takes it."""
    # A module refuses sizes in any way that Python code can fail.
    try:
        with quiet():
            reference.run(feed)
    except Exception as error:
        return find_user_line(error) or first_line(error)
    return None


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
    refuse_missing_memory(module)
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
