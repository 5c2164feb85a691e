"""Keras files, `.keras` and `.h5`: the model called as at inference, under its inputs' own names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.source import Source
from transload.convert.structure import build_output_tree
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.function import (
    NamedFunction,
    capture_function,
    check_specs,
    graph_tensors,
    name_dimensions,
    output_leaf,
)
from transload.serialize.errors import SourceError, UsageError
from transload.serialize.interface import Tensor

with silence():
    import keras

COMPONENT = "call"
_UNSAFE = ("lambda", "unsafe", "safe_mode", "arbitrary code")


@dataclass(frozen=True)
class _Input:
    """One input of a Keras model: its name, and what TensorFlow knows of it."""

    name: str
    shape: Any
    dtype: Any


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture `model(inputs, training=False)`.

    Raises:
        SourceError: the file is damaged, needs classes that are not there, or could run code.
        UsageError: the model was never built and no input was described.
        UnsupportedError: operations that cannot be converted.
    """
    assert source.path is not None
    model = load_model(source.path, options.trust_source)
    inputs, structure = _describe_inputs(model, options)
    given = check_specs(options, [item.name for item in inputs])
    tensors = [name_dimensions(item.name, item.shape, item.dtype, given.get(item.name)) for item in inputs]

    def call(*arrays: Any) -> Any:
        return model(tf.nest.pack_sequence_as(structure, arrays), training=False)

    specs = [_tensor_spec(tensor) for tensor in tensors]
    function = tf.function(call, autograph=False).get_concrete_function(*specs)
    names = [tensor.name for tensor in tensors]
    named = NamedFunction(
        COMPONENT,
        function,
        {graph.name: tensor for graph, tensor in zip(graph_tensors(function), tensors, strict=True)},
        dict(zip(names, tensors, strict=True)),
        build_output_tree(function.structured_outputs, output_leaf, taken=names),
        [tensor.name for tensor in function.outputs],
    )
    return [replace(capture_function(named, options, source.kind.value), resources=(model,))]


def load_model(path: Path, trusted: bool) -> Any:
    """Load a Keras file; without trust, in Keras' safe mode.

    Raises:
        SourceError: it cannot be loaded, or only by running code from it.
    """
    try:
        with silence():
            return keras.saving.load_model(str(path), compile=False, safe_mode=not trusted)
    except (ValueError, TypeError, OSError, KeyError) as error:
        message = str(error).strip()
        if not trusted and any(word in message.lower() for word in _UNSAFE):
            raise SourceError(
                f"{path.name} holds Python code (a Lambda layer): {message.splitlines()[0]}",
                hint="If you trust where it comes from, convert it with --trust-source.",
            ) from error
        raise SourceError(f"Keras cannot load {path.name}: {message}") from error


def _describe_inputs(model: Any, options: ConvertOptions) -> tuple[list[_Input], Any]:
    """Each input, and the structure in which the model takes them."""
    # A Sequential model that was never built raises where it should have no inputs.
    if model.built and getattr(model, "inputs", None):
        # A Sequential model has no `input` before it was called, and takes its one tensor bare.
        structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        flat = tf.nest.flatten(structure)
        names = _names(structure, flat)
        return [
            _Input(name, tf.TensorShape(tensor.shape), tf.as_dtype(tensor.dtype))
            for name, tensor in zip(names, flat, strict=True)
        ], structure
    if not options.inputs:
        raise UsageError(
            "The model does not know its inputs: it was saved before it was first called.",
            hint="Describe them: --input 'x:float32[batch,10]'.",
        )
    described = [_from_spec(spec) for spec in options.inputs]
    return described, described[0].name if len(described) == 1 else [item.name for item in described]


def _names(structure: Any, flat: list[Any]) -> list[str]:
    """A dict's keys (sorted, as TensorFlow flattens it), else the names that Keras gave."""
    if isinstance(structure, dict) and all(not isinstance(value, dict | list | tuple) for value in structure.values()):
        return sorted(structure)
    return [str(tensor.name) for tensor in flat]


def _from_spec(spec: InputSpec) -> _Input:
    if spec.shape is None:
        raise UsageError(f"Input {spec.name!r} needs dimensions.", hint=f"Write {spec.name}:{spec.dtype}[DIMS].")
    shape = tf.TensorShape([dim if isinstance(dim, int) else None for dim in spec.shape])
    return _Input(spec.name, shape, tf.as_dtype(spec.dtype))


def _tensor_spec(tensor: Tensor) -> Any:
    shape = [dim if isinstance(dim, int) else None for dim in tensor.shape or ()]
    return tf.TensorSpec(shape, tf.as_dtype(tensor.dtype), name=tensor.name.replace("/", "_"))
