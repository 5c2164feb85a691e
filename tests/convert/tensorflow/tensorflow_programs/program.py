"""What a program is, the list of all, and how one is saved as a SavedModel."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.tensorflow.framework import tf

FAMILIES = (
    "control_flow",
    "recurrent",
    "elementwise",
    "complex_numbers",
    "signals",
    "reductions",
    "sorting",
    "segments",
    "indexing",
    "shaping",
    "convolution",
    "pooling",
    "normalization",
    "images",
    "resizing",
    "linear_algebra",
    "strings",
    "quantization",
    "randomness",
)
"""The modules that hold programs."""

Build = Callable[[], Any]


@dataclass(frozen=True)
class Program:
    """A function with the inputs that it takes.

    Args:
        name: The family and the function, `signals.rfft`.
        specs: The `tf.TensorSpec` of each input, named as the function's parameters.
        build: Makes the function; layers and variables that it closes over are tracked by it.
        example: Values for inputs that cannot be made up.
        refused: Part of the reason for which it must be refused; None where it must be proven.
        sizes: The dimensions of inputs whose first is not the batch's.
    """

    name: str
    specs: tuple[Any, ...]
    build: Build
    example: Mapping[str, Any] = field(default_factory=dict)
    refused: str | None = None
    sizes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def options(self) -> ConvertOptions:
        """The options with which it is converted."""
        dtypes = {spec.name: object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype for spec in self.specs}
        specs = {spec.name: spec for spec in self.specs}
        inputs = tuple(InputSpec(name, specs[name].dtype.name, shape) for name, shape in self.sizes.items())
        return ConvertOptions(
            inputs=inputs, example={name: np.asarray(value, dtypes[name]) for name, value in self.example.items()}
        )


PROGRAMS: dict[str, Program] = {}


def program(
    *specs: Any,
    example: Mapping[str, Any] | None = None,
    refused: str | None = None,
    sizes: Mapping[str, tuple[Any, ...]] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function of tensors to the list."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        _add(function, specs, lambda: function, example or {}, refused, sizes or {})
        return function

    return add


def built(
    *specs: Any, example: Mapping[str, Any] | None = None, refused: str | None = None
) -> Callable[[Build], Build]:
    """Add a function that makes the function (out of layers, variables or tables) to the list."""

    def add(build: Build) -> Build:
        _add(build, specs, build, example or {}, refused, {})
        return build

    return add


def _add(
    function: Callable[..., Any],
    specs: tuple[Any, ...],
    build: Build,
    example: Mapping[str, Any],
    refused: str | None,
    sizes: Mapping[str, tuple[Any, ...]],
) -> None:
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    if name in PROGRAMS:
        raise ValueError(f"two programs are called {name}")
    PROGRAMS[name] = Program(name, specs, build, example, refused, sizes)


def load_programs() -> dict[str, Program]:
    """All programs by name."""
    for family in FAMILIES:
        importlib.import_module(f"tensorflow_programs.{family}")
    return PROGRAMS


def sample_programs(per_family: int) -> list[Program]:
    """At most so many programs of each family, evenly spread."""
    families: dict[str, list[Program]] = defaultdict(list)
    for each in load_programs().values():
        families[each.name.partition(".")[0]].append(each)
    chosen = []
    for programs in families.values():
        step = max(len(programs) / per_family, 1)
        chosen += [programs[int(index * step)] for index in range(min(per_family, len(programs)))]
    return chosen


def floats(name: str, *shape: int | None) -> Any:
    """The description of a float32 input."""
    return tf.TensorSpec(list(shape), tf.float32, name=name)


def integers(name: str, *shape: int | None) -> Any:
    """The description of an int32 input."""
    return tf.TensorSpec(list(shape), tf.int32, name=name)


def texts(name: str, *shape: int | None) -> Any:
    """The description of a string input."""
    return tf.TensorSpec(list(shape), tf.string, name=name)


def make_module(each: Program) -> Any:
    """A `tf.Module` whose method `serve` is the program."""
    tf.keras.utils.set_random_seed(7)
    function = each.build()
    module = tf.Module()
    module.owned = [cell.cell_contents for cell in function.__closure__ or () if _is_tracked(cell.cell_contents)]

    def serve(*args: Any) -> dict[str, Any]:
        result = function(*args)
        if isinstance(result, dict):
            return result
        results = result if isinstance(result, tuple | list) else (result,)
        return {f"y{index}": tensor for index, tensor in enumerate(results)}

    module.serve = tf.function(serve, input_signature=list(each.specs))
    return module


def save_program(each: Program, folder: Path) -> Path:
    """Save the program as the only signature of a SavedModel."""
    module = make_module(each)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


def _is_tracked(value: Any) -> bool:
    return isinstance(value, tf.Variable | tf.Module | tf.__internal__.tracking.Trackable)
