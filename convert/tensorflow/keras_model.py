"""Keras models in memory, of every kind, called as at inference under their inputs' own names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transload.convert.capture import Array, Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.structure import nest
from transload.convert.tensorflow.arguments import describe_arguments, spec_of, spec_of_description
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.function import capture_function
from transload.convert.tensorflow.signature import check_names, name_dimensions, name_function
from transload.serialize.errors import UsageError

with silence():
    import keras

COMPONENT = "call"


def capture_model(model: Any, source: Source, options: ConvertOptions) -> Capture:
    """Capture `model(…, training=False)`.

    A model that knows its inputs takes each as a parameter, by the name that it has in Keras. Others take the
    parameters of their `call`, as the example arguments or the descriptions of inputs show them.

    Raises:
        UsageError: the model does not know its inputs, and neither arguments nor descriptions were given.
        UnsupportedError: operations that cannot be converted.
    """
    # A Sequential model that was never built raises where it should have no inputs.
    knows_inputs = model.built and getattr(model, "inputs", None)
    prepared = _from_known_inputs(model, source, options) if knows_inputs else _from_call(model, source, options)
    function = tf.function(prepared.call, autograph=False).get_concrete_function(*prepared.specs.values())
    options = replace(options, example={**prepared.example, **(options.example or {})})
    named = name_function(COMPONENT, function, options, list(prepared.specs))
    return replace(capture_function(named, options, source.kind.value), resources=(model,))


@dataclass(frozen=True)
class _Prepared:
    """A model ready to be traced.

    Args:
        call: The model as a function of its parameters, in order.
        specs: A structure of TensorSpecs, or a constant, for each parameter by name, in order.
        example: Values by input name.
    """

    call: Callable[..., Any]
    specs: dict[str, Any]
    example: dict[str, Array]


def _from_known_inputs(model: Any, source: Source, options: ConvertOptions) -> _Prepared:
    # A Sequential model has no `input` before it was called, and takes its one tensor bare.
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    flat = tf.nest.flatten(structure)
    names = _names(structure, flat)
    check_names(options, names)
    given = {spec.name: spec for spec in options.inputs}
    leaves = [
        name_dimensions(name, tf.TensorShape(tensor.shape), tf.as_dtype(tensor.dtype), given.get(name))
        for name, tensor in zip(names, flat, strict=True)
    ]
    values = tf.nest.flatten(source.args[0]) if source.args else []
    if values and len(values) != len(names):
        raise UsageError(f"The model takes {len(names)} tensors, {', '.join(names)}; {len(values)} were given.")
    example = {leaf.name: np.asarray(value, dtype=leaf.dtype) for leaf, value in zip(leaves, values, strict=False)}

    def call(*tensors: Any) -> Any:
        return model(tf.nest.pack_sequence_as(structure, tensors), training=False)

    return _Prepared(call, {leaf.name: spec_of(leaf.shape or (), leaf.dtype, leaf.name) for leaf in leaves}, example)


def _from_call(model: Any, source: Source, options: ConvertOptions) -> _Prepared:
    """By the parameters of the model's `call`, as example arguments or descriptions show them."""
    known = [name for name in inspect.signature(model.call).parameters if name != "training"]
    if source.args or source.kwargs:
        given = dict(zip(known, source.args, strict=False)) | (source.kwargs or {})
        return _Prepared(_by_name(model, list(given)), *describe_arguments(given, options, batched=True))
    if not options.inputs:
        raise UsageError(
            "The model does not know its inputs: it is subclassed, or was saved before it was first called.",
            hint="Describe them: --input 'x:float32[batch,10]'; in Python, example arguments show them too.",
        )
    specs = nest({spec.name: spec_of_description(spec) for spec in options.inputs})
    if set(specs) <= set(known):
        return _Prepared(_by_name(model, list(specs)), specs, {})

    def call(*values: Any) -> Any:
        return model(values[0] if len(values) == 1 else list(values), training=False)

    return _Prepared(call, specs, {})


def _by_name(model: Any, names: list[str]) -> Callable[..., Any]:
    """The model as a function of some parameters of its `call`, in this order."""

    def call(*values: Any) -> Any:
        first, *others = values
        # Keras wants the first one by position, whatever its name.
        return model(first, **dict(zip(names[1:], others, strict=True)), training=False)

    return call


def _names(structure: Any, flat: list[Any]) -> list[str]:
    """A dict's keys (sorted, as TensorFlow flattens it), else the names that Keras gave."""
    if isinstance(structure, dict) and all(not isinstance(value, dict | list | tuple) for value in structure.values()):
        return sorted(structure)
    return [str(tensor.name) for tensor in flat]
