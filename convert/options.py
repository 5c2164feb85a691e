"""What the user asked of a conversion, and how `NAME:DTYPE[DIMS]` is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from transload.convert.capture import Array
from transload.serialize.dimension_steps import find_steps
from transload.serialize.dtypes import ONNX_NUMBER, numpy_dtype
from transload.serialize.errors import UsageError

DEFAULT_OPSET = 18
"""The newest ONNX opset that torch's exporters and tf2onnx all write without a version conversion."""

Proof = Literal["full", "quick", "none"]
Select = Literal["first", "fastest"]

_SPEC = re.compile(r"(?P<name>[^:\[\]]+)(?::(?P<dtype>\w+))?(?:\[(?P<dims>[^\]]*)\])?")


@dataclass(frozen=True)
class InputSpec:
    """One input as the user described it: `tokens:int64[batch,seq]`.

    A dimension is a number, or a name, which means dynamic; `32*name` is a multiple of 32. `shape` is None where no
    dimensions were given.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class ConvertOptions:
    """Everything that steers a conversion; the defaults are those of the command line.

    Args:
        inputs: Descriptions of inputs; needed only where the source does not know its own.
        example: An input set by parameter name, used as the base that the equivalence check varies.
        opset: The ONNX opset to write; None means what suits the source's framework best.
        signatures: TensorFlow: signatures or functions of a SavedModel or module, each a component; none means all.
        inputs_as_nchw: TensorFlow: inputs that the package takes as NCHW where the source takes NHWC. Descriptions and
            examples of them are the source's all the same.
        tags: TensorFlow: which graph of a SavedModel that holds several, by its set of tags.
        outputs: TensorFlow's graphs: names of the output tensors (`node:0`); none means the sinks of a frozen graph.
        methods: TorchScript: which methods, each a component; none means forward.
        all_methods: TorchScript: every method that the file exports.
        task: transformers folder: which task, by the hub's name; None means the architecture's own.
        weights: Module factories: a safetensors file whose tensors are loaded into the module.
        atol, rtol: The user's own tolerance instead of the standard's.
        proof: How much evidence to gather.
        trust_source: Whether files that can execute code may be read.
        license: The model's licence, an SPDX expression; recorded.
        libraries: Shared libraries of operators. With any, a graph may hold operators of domains that are neither
            ONNX's nor ONNX Runtime's own; the package then needs the library wherever it runs.
        second_example: Another input set of a torch module; what differs in size from the first one is dynamic.
        select: Of several ways to capture a torch module: the `first` that is right, or the `fastest` of those.
        may_lack_graph: Whether a TorchScript method or TensorFlow function that has no translation is captured all the
            same, only to be run: `make_missing_graph` stands for its graph.
    """

    inputs: tuple[InputSpec, ...] = ()
    example: Mapping[str, Array] | None = None
    opset: int | None = None
    signatures: tuple[str, ...] = ()
    inputs_as_nchw: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    all_methods: bool = False
    task: str | None = None
    weights: Path | None = None
    atol: float | None = None
    rtol: float | None = None
    proof: Proof = "full"
    trust_source: bool = False
    license: str | None = None
    libraries: tuple[str, ...] = ()
    second_example: Mapping[str, Array] | None = None
    select: Select = "first"
    seed: int = field(default=0)
    may_lack_graph: bool = False


def parse_input_spec(text: str) -> InputSpec:
    """Read `NAME:DTYPE[DIMS]`, such as `tokens:int64[batch,seq]` or `image:float32[1,3,224,224]`.

    DTYPE defaults to float32.

    Raises:
        UsageError: the text has another form.
    """
    form = "Write NAME:DTYPE[DIMS], for instance tokens:int64[batch,seq]; a dimension is a number, a name, or 32*name."
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"Cannot read the input description {text!r}.", hint=form)
    dtype = match["dtype"] or "float32"
    if dtype not in ONNX_NUMBER:
        raise UsageError(f"Unknown dtype {dtype!r} in {text!r}.", hint=f"Known: {', '.join(ONNX_NUMBER)}.")
    if match["dims"] is None:
        return InputSpec(match["name"], dtype, None)
    words = [word.strip() for word in match["dims"].split(",")] if match["dims"].strip() else []
    for word in words:
        if not re.fullmatch(r"\d+|([1-9]\d{0,8}\*)?[A-Za-z_]\w*", word):
            raise UsageError(f"Cannot read the dimension {word!r} in {text!r}.", hint=form)
    shape = tuple(int(word) if word.isdigit() else word for word in words)
    return InputSpec(match["name"], dtype, shape)


EXAMPLE_SIZES = (2, 7, 5, 3, 11, 13)
"""Sizes given to named dimensions, in order of appearance, when an example has to be made up.

None is 1, which exporters like to treat as a constant, and no two are equal, so that no two dimensions are mistaken
for one.
"""


def make_example(specs: tuple[InputSpec, ...], seed: int = 0) -> dict[str, Array]:
    """An input set that fits the descriptions, for capturing: floats from a normal distribution, integers 0 or 1.

    Integers stay at 0 and 1 because any table that they may index has at least two rows.

    Raises:
        UsageError: a description has no dimensions.
    """
    rng = np.random.default_rng(seed)
    sizes: dict[str, int] = {}
    steps = find_steps(dim for spec in specs for dim in spec.shape or ())
    example: dict[str, Array] = {}
    for spec in specs:
        if spec.shape is None:
            raise UsageError(
                f"Input {spec.name!r} needs dimensions.",
                hint=f"Write {spec.name}:{spec.dtype}[DIMS], or give --example FILE.npz.",
            )
        shape = []
        for dim in spec.shape:
            if isinstance(dim, str):
                dim = sizes.setdefault(dim, steps.get(dim, 1) * EXAMPLE_SIZES[len(sizes) % len(EXAMPLE_SIZES)])
            shape.append(dim)
        example[spec.name] = _random_array(rng, spec.dtype, tuple(shape))
    return example


def _random_array(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "string":
        return np.full(shape, "text", dtype=object)
    if dtype == "bool" or "int" in dtype:
        return rng.integers(0, 2, shape).astype(numpy_dtype(dtype))
    return rng.standard_normal(shape).astype(numpy_dtype(dtype))
