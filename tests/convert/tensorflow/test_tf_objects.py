"""`tf.function`, concrete functions and modules in memory."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from tensorflow_models import TwoSignatures, run_capture

import transload as tl
from transload.convert.capture import Capture
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.pipeline import FRONT_ENDS
from transload.convert.source import SourceKind
from transload.convert.tensorflow import tf_function, tf_module
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict, Tensor, Tuple

Pair = namedtuple("Pair", ["z", "a"])
X = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
WEIGHT = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))


@tf.function
def project(batch: Any, scale: Any, negate: bool = False) -> Pair:
    product = tf.matmul(batch["x"], WEIGHT) * scale
    return Pair(-product if negate else product, product + 1.0)


def capture_one(value: Any, *args: Any, inputs: tuple[str, ...] = (), **kwargs: Any) -> Capture:
    source = detect_source(value, args, kwargs)
    assert source.kind is SourceKind.TF_FUNCTION
    (found,) = tf_function.capture(source, ConvertOptions(inputs=tuple(map(parse_input_spec, inputs))))
    return found


def test_a_function_is_traced_with_its_arguments() -> None:
    found = capture_one(project, {"x": X}, scale=np.float32(2), negate=True, inputs=("batch/x[rows,4]",))
    assert found.inputs == {
        "batch": Dict({"x": Tensor("batch/x", "float32", ("rows", 4))}),
        "scale": Tensor("scale", "float32", ()),
        "negate": Constant(True),
    }
    leaves = Tensor("z", "float32", (None, 3)), Tensor("a", "float32", (None, 3))
    assert found.outputs == Tuple(leaves, fields=("z", "a"), name="Pair")
    np.testing.assert_array_equal(found.example["batch/x"], X)
    product = X[:2] @ WEIGHT.numpy() * 3
    feed = {"batch/x": X[:2], "scale": np.array(3, np.float32)}
    for outputs in (run_capture(found, feed), found.reference.run(feed)):
        np.testing.assert_allclose(outputs["z"], -product, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(outputs["a"], product + 1, rtol=1e-5, atol=1e-5)


def test_sizes_of_arguments_are_fixed_unless_a_description_names_them() -> None:
    found = capture_one(project, {"x": X}, 2.0)
    assert found.inputs["batch"] == Dict({"x": Tensor("batch/x", "float32", (3, 4))})
    assert found.inputs["scale"] == Constant(2.0)


def test_a_function_can_be_described_instead() -> None:
    found = capture_one(project, inputs=("batch/x[rows,4]", "scale[]"))
    assert found.inputs["batch"] == Dict({"x": Tensor("batch/x", "float32", ("rows", 4))})


def test_a_function_that_nothing_describes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot be traced(.|\n)*batch(.|\n)*example arguments"):
        capture_one(project)


def test_a_function_with_an_input_signature_needs_nothing(two_signatures: TwoSignatures) -> None:
    found = capture_one(two_signatures.lookup)
    ids = np.array([2, 2, 0], np.int32)
    np.testing.assert_array_equal(run_capture(found, {"ids": ids})["rows"], two_signatures.lookup(ids)["rows"])


def test_a_concrete_function_is_taken_as_it_was_traced() -> None:
    concrete = project.get_concrete_function({"x": tf.TensorSpec([None, 4])}, tf.TensorSpec([]))
    package = tl.convert_model(concrete)
    (component,) = package.components
    assert component.interface.source.kind == "tf-function"
    assert component.interface.inputs["batch"] == Dict({"x": Tensor("batch/x", "float32", ("batch", 4))})


def test_ragged_arguments_are_refused_by_name() -> None:
    ragged = tf.function(lambda rows: rows.to_tensor(), input_signature=[tf.RaggedTensorSpec([None, None], tf.float32)])
    with pytest.raises(UnsupportedError, match=r"RaggedTensorSpec(.|\n)*rows"):
        capture_one(ragged)


def test_each_function_of_a_module_is_a_component(two_signatures: TwoSignatures) -> None:
    source = detect_source(two_signatures)
    assert source.kind is SourceKind.TF_MODULE
    assert FRONT_ENDS[source.kind] == tf_module.__name__
    lookup, serve = tf_module.capture(source, ConvertOptions(signatures=("lookup", "serve")))
    assert (lookup.component, serve.component) == ("lookup", "serve")
    feed = {"x": X, "scale": np.array(2, np.float32)}
    expected = two_signatures.serve(**feed)
    ours = run_capture(serve, feed)
    for name in ("sum", "product"):
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, atol=1e-5)


def test_integers_are_divided_exactly_at_the_edges_of_their_range() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="n")])
    def divide(n: Any) -> Any:
        return tf.math.floordiv(n, 3), tf.math.floordiv(n, -4), tf.truncatemod(n, 3)

    source = detect_source(divide)
    (found,) = tf_function.capture(source, ConvertOptions())
    edges = [-(1 << 63), -(1 << 63) + 1, -7, -6, -1, 0, 5, (1 << 53) + 1, (1 << 63) - 2]
    by_three, by_minus_four, rest = run_capture(found, {"n": np.array(edges)}).values()
    assert by_three.tolist() == [number // 3 for number in edges]
    assert by_minus_four.tolist() == [number // -4 for number in edges]
    assert rest.tolist() == [int(math.copysign(abs(number) % 3, number)) for number in edges]
