"""TFLite files: float, quantized, with signatures and without; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorflow_models import run_capture

import transload as tl
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.tflite_file import capture
from transload.convert.tensorflow.tflite_schema import ModelFacts, Signature, read_model_facts
from transload.serialize.errors import SourceError, UnsupportedError, UsageError
from transload.serialize.interface import Dict, Tensor

FLOATS = tf.TensorSpec([None, 4], tf.float32, name="x")


def write(path: Path, converter: Any) -> Path:
    with silence():
        path.write_bytes(converter.convert())
    return path


def write_functions(path: Path, flex: bool = False, **functions: Any) -> Path:
    """A file with a signature for each function of `x`."""
    module = tf.Module()
    concrete = {name: tf.function(function).get_concrete_function(FLOATS) for name, function in functions.items()}
    module.functions = concrete
    folder = path.parent / f"{path.name}.saved"
    tf.saved_model.save(module, str(folder), signatures=concrete)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=list(concrete))
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    return write(path, converter)


@pytest.fixture(scope="module")
def float_file(image_model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(
        tmp_path_factory.mktemp("tflite") / "float.tflite", tf.lite.TFLiteConverter.from_keras_model(image_model)
    )


def quantizing(model: keras.Model) -> Any:
    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[rng.standard_normal((1, 9, 7, 3)).astype(np.float32)] for _ in "1234"]
    return converter


def test_names_are_the_signature_s(float_file: Path) -> None:
    (found,) = capture(detect_source(float_file), ConvertOptions())
    assert found.component == "serving_default"
    assert found.inputs == {"image": Tensor("image", "float32", ("batch", 9, 7, 3))}
    assert found.outputs == Dict({"output_0": Tensor("output_0", "float32", (None, 5))})


@pytest.mark.parametrize("batch", [1, 3])
def test_the_graph_gives_what_the_interpreter_and_keras_give(
    float_file: Path, image_model: keras.Model, batch: int
) -> None:
    (found,) = capture(detect_source(float_file), ConvertOptions())
    image = np.random.default_rng(batch).standard_normal((batch, 9, 7, 3)).astype(np.float32)
    expected = image_model(image, training=False).numpy()
    for outputs in (run_capture(found, {"image": image}), found.reference.run({"image": image})):
        np.testing.assert_allclose(outputs["output_0"], expected, rtol=1e-5, atol=1e-6)


def test_a_float_file_goes_the_whole_way(float_file: Path, image_model: keras.Model, tmp_path: Path) -> None:
    package = tl.convert_model(float_file)
    (component,) = package.components
    undefined = [case.note for case in component.interface.proof.cases if case.result == "undefined"]
    assert undefined == ["the source refuses: ValueError: TFLite defines no result for NaN and infinities"]
    path = package.save(tmp_path / "m.tload")
    image = np.random.default_rng(7).standard_normal((7, 9, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(
        tl.load(path)(image=image)["output_0"], image_model(image, training=False), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [None, tf.int8, tf.uint8])
def test_a_quantized_file_is_the_same_to_the_step(image_model: keras.Model, tmp_path: Path, dtype: Any) -> None:
    converter = quantizing(image_model)
    if dtype is not None:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = dtype
    path = write(tmp_path / "quantized.tflite", converter)
    package = tl.convert_model(path)
    (component,) = package.components
    assert component.interface.inputs["image"].dtype == ("float32" if dtype is None else dtype.name)
    assert {case.result for case in component.interface.proof.cases} <= {"equal", "undefined"}
    assert "Floor" in {node.op_type for node in component.model.graph}


def test_who_accepts_an_error_gets_onnx_s_quantized_operators(image_model: keras.Model, tmp_path: Path) -> None:
    path = write(tmp_path / "quantized.tflite", quantizing(image_model))
    # One step of the softmax's output is 1/256; the layers before it are off by a step now and then.
    package = tl.convert_model(path, atol=2 / 256)
    (component,) = package.components
    assert component.interface.user_tolerance
    found = {node.op_type for node in component.model.graph}
    assert {"QuantizeLinear", "DequantizeLinear", "AveragePool"} <= found
    assert "Floor" not in found


def test_another_signature_can_be_asked_for_and_only_the_first_subgraph_converts(tmp_path: Path) -> None:
    path = write_functions(tmp_path / "two.tflite", double=lambda x: {"y": x * 2.0}, negate=lambda x: {"y": -x})
    facts = read_model_facts(path)
    first, second = sorted(facts.signatures, key=lambda signature: signature.subgraph)
    assert (first.subgraph, second.subgraph) == (0, 1)
    (found,) = capture(detect_source(path), ConvertOptions())
    assert found.component == first.key
    x = np.array([[1, -2, 3, -4]], np.float32)
    expected = {"double": x * 2, "negate": -x}[first.key]
    np.testing.assert_array_equal(run_capture(found, {"x": x})["y"], expected)
    with pytest.raises(UnsupportedError, match=f"signature '{second.key}' is subgraph 1"):
        capture(detect_source(path), ConvertOptions(signatures=(second.key,)))
    with pytest.raises(UsageError, match=r"no signature 'other'(.|\n)*(double, negate|negate, double)"):
        capture(detect_source(path), ConvertOptions(signatures=("other",)))


def test_an_input_that_is_an_output_and_one_that_is_there_twice_have_their_names(tmp_path: Path) -> None:
    path = write_functions(tmp_path / "m.tflite", serve=lambda x: {"same": x, "y": x + 1.0, "again": x + 1.0})
    (found,) = capture(detect_source(path), ConvertOptions())
    x = np.array([[1, -2, 3, -4]], np.float32)
    for outputs in (run_capture(found, {"x": x}), found.reference.run({"x": x})):
        np.testing.assert_array_equal(outputs["same"], x)
        np.testing.assert_array_equal(outputs["y"], x + 1)
        np.testing.assert_array_equal(outputs["again"], x + 1)


def test_a_file_without_signatures_goes_by_its_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_functions(tmp_path / "m.tflite", serve=lambda x: {"y": x + 1.0})
    monkeypatch.setattr("transload.convert.tensorflow.tflite_file.read_model_facts", lambda path: ModelFacts((), ()))
    (found,) = capture(detect_source(path), ConvertOptions())
    (name,) = found.inputs
    (output,) = found.reference.run({name: np.zeros((1, 4), np.float32)})
    assert (found.component, "x" in name) == ("graph", True)
    np.testing.assert_array_equal(run_capture(found, {name: np.zeros((2, 4), np.float32)})[output], np.ones((2, 4)))


def test_operations_of_tensorflow_itself_are_refused_all_at_once(tmp_path: Path) -> None:
    path = write_functions(
        tmp_path / "m.tflite",
        flex=True,
        serve=lambda x: {"y": tf.io.decode_base64(tf.strings.as_string(x)), "text": tf.io.read_file("/etc/hostname")},
    )
    with pytest.raises(UnsupportedError, match="3 operations") as caught:
        capture(detect_source(path), ConvertOptions())
    names = {operation.name for operation in caught.value.operations}
    assert names == {"FlexAsString", "FlexDecodeBase64", "FlexReadFile"}


def test_every_operation_without_a_translation_is_listed(tmp_path: Path) -> None:
    path = write_functions(
        tmp_path / "m.tflite",
        serve=lambda x: {"a": tf.bitcast(x, tf.int32), "b": tf.raw_ops.Bucketize(input=x, boundaries=[0.0, 1.0])},
    )
    with pytest.raises(UnsupportedError) as caught:
        capture(detect_source(path), ConvertOptions())
    assert {operation.name for operation in caught.value.operations} == {"TFL_BITCAST", "TFL_BUCKETIZE"}


@pytest.mark.parametrize("content", [b"\x1c\0\0\0TFL3" + bytes(20), b"\xff\xff\xff\x7fTFL3" + bytes(100)])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(SourceError, match=r"TFLite|cannot read"):
        capture(detect_source(tmp_path / "m.tflite"), ConvertOptions())


def test_signatures_are_read_from_the_file(float_file: Path) -> None:
    (signature,) = read_model_facts(float_file).signatures
    assert isinstance(signature, Signature)
    assert (signature.key, list(signature.inputs), list(signature.outputs)) == (
        "serving_default",
        ["image"],
        ["output_0"],
    )


def test_a_batch_can_be_fixed(float_file: Path) -> None:
    options = ConvertOptions(inputs=(parse_input_spec("image[2,9,7,3]"),))
    (found,) = capture(detect_source(float_file), options)
    assert found.inputs["image"] == Tensor("image", "float32", (2, 9, 7, 3))
