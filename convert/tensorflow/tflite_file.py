"""TFLite files: the first subgraph, under the names of its signature, else under those of its tensors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from transload.convert.capture import Array, Capture, Feed
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.structure import build_output_tree
from transload.convert.tensorflow.channels_first import choose_target, put_channels_first
from transload.convert.tensorflow.conversion import rename_ends
from transload.convert.tensorflow.framework import VERSION, dtype_name, silence, tf
from transload.convert.tensorflow.function import (
    all_finite,
    complete_example,
    declare_inputs,
    declare_outputs,
    decode_texts,
)
from transload.convert.tensorflow.signature import check_names, name_dimensions
from transload.convert.tensorflow.tf2onnx_adapter import Target, convert_tflite
from transload.convert.tensorflow.tflite_integers import TfliteIntegersPass
from transload.convert.tensorflow.tflite_schema import Signature, read_model_facts
from transload.serialize.errors import SourceError, UnsupportedError, UnsupportedOperation, UsageError
from transload.serialize.interface import SourceRecord, Tensor, leaves

COMPONENT = "graph"


@dataclass(frozen=True)
class _TensorDetails:
    """A tensor of the file: its name, its index in the interpreter, its `tf.TensorShape` and `tf.DType`."""

    name: str
    index: int
    shape: Any
    dtype: Any


@dataclass(frozen=True)
class TfliteReference:
    """The file in TensorFlow's interpreter, without delegates; tensors by our names."""

    interpreter: Any
    inputs: Mapping[str, _TensorDetails]
    outputs: Mapping[str, _TensorDetails]

    def run(self, feed: Feed) -> dict[str, Array]:
        """Invoke the first subgraph, its variables reset; strings come back as text.

        Raises:
            ValueError: an input is not finite. Kernels of TFLite clamp to the largest finite numbers and convert to
                integers on the way, so what they make of NaN and infinities is an accident of each.
        """
        if not all_finite(feed):
            raise ValueError("TFLite defines no result for NaN and infinities")
        for name, item in self.inputs.items():
            self.interpreter.resize_tensor_input(item.index, feed[name].shape)
        self.interpreter.allocate_tensors()
        self.interpreter.reset_all_variables()
        for name, item in self.inputs.items():
            self.interpreter.set_tensor(item.index, feed[name])
        self.interpreter.invoke()
        return {name: decode_texts(self.interpreter.get_tensor(item.index)) for name, item in self.outputs.items()}

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """None: the file fixes its element types."""
        return None


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture the first subgraph of a TFLite file.

    Raises:
        SourceError: the file is damaged.
        UsageError: there is no such signature, or an input description does not fit.
        UnsupportedError: operations that cannot be converted, or a signature of another subgraph.
    """
    path = source.path
    assert path is not None
    facts = read_model_facts(path)
    _refuse_tensorflow_operations(facts.custom_operations)
    interpreter = _open(path)
    signature = _choose_signature(facts.signatures, options)
    inputs, outputs = _named_tensors(interpreter, signature)
    check_names(options, list(inputs))
    specs = {spec.name: spec for spec in options.inputs}
    tensors = [name_dimensions(name, item.shape, item.dtype, specs.get(name)) for name, item in inputs.items()]
    tree = build_output_tree(outputs, _output_leaf, taken=inputs)
    output_leaves = list(leaves(tree))
    renamed = dict(zip((leaf.name for leaf in output_leaves), outputs.values(), strict=True))
    target = choose_target(options, {name: item.name for name, item in inputs.items()})
    # Who accepts an error gets operators that ONNX Runtime has kernels for, which are many times faster.
    to_the_step = options.atol is None and options.rtol is None
    model = _convert(path, inputs, renamed, target, to_the_step)
    declare_inputs(model, tensors)
    declare_outputs(model, output_leaves)
    if to_the_step and any(node.op_type == "QuantizeLinear" for node in model.graph):
        # The others round quantized numbers by one step otherwise now and then, each in its own way.
        interpreter = _open(path, "BUILTIN_REF")
    captured = Capture(
        component=signature.key if signature else COMPONENT,
        model=model,
        inputs={tensor.name: tensor for tensor in tensors},
        outputs=tree,
        reference=TfliteReference(interpreter, inputs, renamed),
        example=complete_example(tensors, options),
        source=SourceRecord(source.kind.value, "tensorflow", VERSION),
    )
    return [put_channels_first(captured, options.inputs_as_nchw)]


def _refuse_tensorflow_operations(names: Sequence[str]) -> None:
    """TensorFlow 2.21 ships no interpreter for Python that runs them, and so nothing can be proven of a file."""
    if found := [name for name in names if name.startswith("Flex")]:
        operations = tuple(UnsupportedOperation(name, reason="an operation of TensorFlow itself") for name in found)
        raise UnsupportedError(
            f"{len(found)} operations of the TFLite file are none of TFLite's own.",
            operations=operations,
            hint="Convert the model that the file was made from.",
        )


def _open(path: Path, kernels: str = "BUILTIN_WITHOUT_DEFAULT_DELEGATES") -> Any:
    try:
        with silence(), warnings.catch_warnings():
            # It announces that it moves to a package of its own.
            warnings.simplefilter("ignore")
            resolver = tf.lite.experimental.OpResolverType[kernels]
            interpreter = tf.lite.Interpreter(str(path), experimental_op_resolver_type=resolver)
            interpreter.allocate_tensors()
    except ValueError as error:
        raise SourceError(f"TensorFlow cannot read the TFLite file {path.name}: {str(error).strip()}") from error
    except RuntimeError as error:
        raise UnsupportedError(
            f"TensorFlow's interpreter cannot run {path.name}: {str(error).strip().splitlines()[0]}",
            hint="Custom operations exist only in the program that registers them.",
        ) from error
    return interpreter


def _choose_signature(signatures: tuple[Signature, ...], options: ConvertOptions) -> Signature | None:
    """The one that was asked for, else the one of the first subgraph; None where the file has none."""
    known = ", ".join(signature.key for signature in signatures) or "none"
    if len(options.signatures) > 1:
        raise UsageError("A TFLite file is converted one signature at a time.", hint=f"It has: {known}.")
    for wanted in options.signatures:
        found = next((signature for signature in signatures if signature.key == wanted), None)
        if found is None:
            raise UsageError(f"The TFLite file has no signature {wanted!r}.", hint=f"Its signatures: {known}.")
        if found.subgraph:
            raise UnsupportedError(
                f"The signature {wanted!r} is subgraph {found.subgraph} of the TFLite file; only the first converts.",
                hint="Convert the model that the file was made from.",
            )
        return found
    return next((signature for signature in signatures if not signature.subgraph), None)


def _named_tensors(
    interpreter: Any, signature: Signature | None
) -> tuple[dict[str, _TensorDetails], dict[str, _TensorDetails]]:
    """Inputs and outputs by our names."""
    inputs = [_details(item) for item in interpreter.get_input_details()]
    outputs = [_details(item) for item in interpreter.get_output_details()]
    if signature is None:
        return {item.name: item for item in inputs}, {item.name: item for item in outputs}
    by_index = {item.index: item for item in (*inputs, *outputs)}
    return (
        {name: by_index[index] for name, index in signature.inputs.items()},
        {name: by_index[index] for name, index in signature.outputs.items()},
    )


def _details(item: dict[str, Any]) -> _TensorDetails:
    shape = tf.TensorShape([None if size < 0 else int(size) for size in item["shape_signature"]])
    return _TensorDetails(item["name"], int(item["index"]), shape, tf.as_dtype(item["dtype"]))


def _output_leaf(name: str, item: Any) -> Tensor | None:
    return Tensor(name, dtype_name(item.dtype), tuple(item.shape)) if isinstance(item, _TensorDetails) else None


def _convert(
    path: Path,
    inputs: Mapping[str, _TensorDetails],
    outputs: Mapping[str, _TensorDetails],
    target: Target,
    to_the_step: bool,
) -> ir.Model:
    """The ONNX graph under our names; each output has a tensor of its own, as one may be an input, or there twice."""
    model = convert_tflite(
        path,
        [item.name for item in inputs.values()],
        list(dict.fromkeys(item.name for item in outputs.values())),
        target,
    )
    if to_the_step:
        TfliteIntegersPass()(model)
    graph = model.graph
    made = {value.name: value for value in (*graph.inputs, *graph.outputs)}
    graph.outputs.clear()
    names = {item.name: name for name, item in inputs.items()}
    for index, (name, item) in enumerate(outputs.items()):
        node = ir.node("Identity", [made[item.name]])
        node.outputs[0].name = f"{item.name}__output_{index}"
        names[node.outputs[0].name] = name
        graph.append(node)
        graph.outputs.append(node.outputs[0])
    rename_ends(model, names)
    return model
