"""The front-door function: a source in, a proven package out, in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transload.convert.options import InputSpec
    from transload.serialize import Package


def convert_model(
    source: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    inputs: Sequence[str | InputSpec] = (),
    example: Mapping[str, Any] | str | Path | None = None,
    second_example: Mapping[str, Any] | str | Path | None = None,
    opset: int | None = None,
    signature: str | Sequence[str] = (),
    inputs_as_nchw: Sequence[str] = (),
    tags: Sequence[str] = (),
    outputs: Sequence[str] = (),
    methods: Sequence[str] = (),
    all_methods: bool = False,
    task: str | None = None,
    weights: str | Path | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    proof: Literal["full", "quick", "none"] = "full",
    select: Literal["first", "fastest"] = "first",
    trust_source: bool = False,
    license: str | None = None,
    libraries: Sequence[str | Path] = (),
) -> Package:
    """Convert a model, prove that the result is the same model, and return the package; nothing is written.

    Args:
        source: A path; the name of a module factory, `package.module:callable`; or an object: a `torch.nn.Module`,
            `ExportedProgram`, `ScriptModule`, Keras model, `tf.function`, concrete function or `tf.Module`.
        args, kwargs: Example arguments of a torch module, Keras model or `tf.function`, as it takes them.
        inputs: Descriptions of inputs, `tokens:int64[batch,seq]`; a dimension with a name is dynamic, and
            `32*height` is any multiple of 32.
        example: Example inputs by parameter name, or a .npz file of them.
        second_example: Torch modules: another one; what differs in size between the two is dynamic.
        opset: The ONNX opset to write; None means 20 for TorchScript, otherwise 18.
        signature: TensorFlow: signatures or functions of a SavedModel or `tf.Module`, each a component; none means all.
            An input of one only is described as `signature.input`.
        inputs_as_nchw: TensorFlow: inputs that the package takes as NCHW where the source takes NHWC. Descriptions and
            examples of them are the source's all the same.
        tags: TensorFlow: which graph of a SavedModel that holds several, by its set of tags.
        outputs: TensorFlow's graphs: names of the output tensors.
        methods: TorchScript: which methods, each a component; none means `forward`. An input of one method only is
            described as `method.parameter`.
        all_methods: TorchScript: every method that the file exports.
        task: transformers folder: which task, by the hub's name; None means the architecture's own.
        weights: Module factories: a safetensors file.
        atol, rtol: A tolerance of the caller's own; recorded in the package.
        proof: How much evidence to gather: `full`, `quick` or `none`.
        select: Torch modules: of the ways to capture one, the `first` that is proven, or the `fastest` of all that are.
        trust_source: Whether files that can run code when they are read may be read.
        license: The model's licence, an SPDX expression such as `Apache-2.0`; recorded in the package.
        libraries: Shared libraries of operators, for a source that has some of neither ONNX's nor ONNX Runtime's own.
            Their code runs in this process; the package needs them wherever it runs.

    Raises:
        UsageError: the source or an option makes no sense.
        SourceError: the source is damaged or not trusted.
        UnsupportedError: the source uses something that cannot be converted.
        MismatchError: source and package do not give the same outputs.
    """
    # Imported here, because `import transload` must not pay for what only conversions need.
    from transload.convert.detect import detect_source
    from transload.convert.options import ConvertOptions, parse_input_spec
    from transload.convert.pipeline import convert_source, name_source
    from transload.convert.source import SourceKind

    options = ConvertOptions(
        inputs=tuple(parse_input_spec(spec) if isinstance(spec, str) else spec for spec in inputs),
        example=_read_example(example),
        second_example=_read_example(second_example),
        opset=opset,
        signatures=(signature,) if isinstance(signature, str) else tuple(signature),
        inputs_as_nchw=tuple(inputs_as_nchw),
        tags=tuple(tags),
        outputs=tuple(outputs),
        methods=tuple(methods),
        all_methods=all_methods,
        task=task,
        weights=None if weights is None else Path(weights),
        atol=atol,
        rtol=rtol,
        proof=proof,
        select=select,
        trust_source=trust_source,
        license=license,
        libraries=tuple(str(library) for library in libraries),
    )
    found = detect_source(source, args, kwargs, trust_source=trust_source)
    if found.kind is not SourceKind.TORCHSCRIPT or found.path is not None:
        return convert_source(found, options)
    with tempfile.TemporaryDirectory(prefix="transload-") as scratch:
        # A ScriptModule in memory goes the way of a TorchScript file, which is the same thing on disk.
        path = Path(scratch) / f"{name_source(found)}.pt"
        found.value.save(str(path))
        return convert_source(replace(found, path=path, value=None), options)


def _read_example(example: Mapping[str, Any] | str | Path | None) -> dict[str, Any] | None:
    import numpy as np

    from transload.convert.npz import read_npz

    if example is None:
        return None
    if isinstance(example, str | Path):
        return read_npz(example)
    return {name: np.asarray(value) for name, value in example.items()}
