"""Functions of TensorFlow in memory: `tf.function` and concrete functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transload.convert.capture import Array, Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.structure import nest
from transload.convert.tensorflow.arguments import describe_arguments, spec_of_description
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.function import capture_function
from transload.convert.tensorflow.signature import name_function
from transload.serialize.errors import UsageError

COMPONENT = "call"


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture a function as it was traced, or as arguments, its own signature or descriptions of inputs trace it.

    Raises:
        UsageError: nothing says what a `tf.function` takes, or it does not take that.
        UnsupportedError: operations that cannot be converted.
    """
    function, example = _trace(source, options)
    options = replace(options, example={**example, **(options.example or {})})
    captured = capture_function(name_function(COMPONENT, function, options), options, source.kind.value)
    return [replace(captured, resources=(source.value,))]


def _trace(source: Source, options: ConvertOptions) -> tuple[Any, dict[str, Array]]:
    """The concrete function, and values by input name."""
    function = source.value
    if isinstance(function, tf.types.experimental.ConcreteFunction):
        return function, {}
    try:
        if source.args or source.kwargs:
            return _trace_with_arguments(function, source, options)
        if function.input_signature is None and options.inputs:
            described = nest({spec.name: spec_of_description(spec) for spec in options.inputs})
            return function.get_concrete_function(**described), {}
        return function.get_concrete_function(), {}
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The function cannot be traced: {error}",
            hint="Pass example arguments, or give it an input_signature.",
        ) from error


def _trace_with_arguments(function: Any, source: Source, options: ConvertOptions) -> tuple[Any, dict[str, Array]]:
    traced = function.get_concrete_function(*source.args, **(source.kwargs or {}))
    bound = traced.function_type.bind_partial(*source.args, **(source.kwargs or {}))
    specs, example = describe_arguments(bound.arguments, options)
    if function.input_signature is None and any(dim for spec in options.inputs for dim in spec.shape or ()):
        bound.arguments.update(specs)
        traced = function.get_concrete_function(*bound.args, **bound.kwargs)
    return traced, example
