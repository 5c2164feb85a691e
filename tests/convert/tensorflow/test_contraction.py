"""Einstein sums become products of matrices, whatever the order of their labels; numpy's einsum is the judge."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.pipeline import capture_source
from transload.convert.tensorflow.framework import tf

LAYERS = (
    "abc,cde->abde",
    "abcd,cde->abe",
    "aecd,abcd->acbe",
    "acbe,aecd->abcd",
    "abc,cd->abd",
    "ab,abcd->acd",
    "abcd,ab->acd",
    "ab,cb->ca",
    "ab,b->a",
)
"""Those of dense and attention layers of Keras and of models of TensorFlow."""

PRODUCTS = {"Constant", "Identity", "MatMul", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6, "f": 3}


def random_equation(seed: int) -> str:
    """An equation of two operands with at least one label of each kind but the batch's."""
    chosen = random.Random(seed)
    kinds = {label: chosen.choice("blrs") for label in "abcdef"} | {"a": "l", "b": "r", "c": "s"}
    left, right, output = ([label for label, kind in kinds.items() if kind in those] for those in ("bls", "brs", "blr"))
    for labels in (left, right, output):
        chosen.shuffle(labels)
    return f"{''.join(left)},{''.join(right)}->{''.join(output)}"


EQUATIONS = (*LAYERS, *map(random_equation, range(40)))


def operands(equation: str, free: str = "") -> list[tuple[int | None, ...]]:
    terms = equation.partition("->")[0].split(",")
    return [tuple(None if label in free else SIZES[label] for label in term) for term in terms]


def translate(equation: str, free: str) -> ir.Model:
    """The graph of an einsum whose labels in `free` may have any size."""
    signature = [tf.TensorSpec(shape, tf.float32) for shape in operands(equation, free)]
    function = tf.function(lambda x, y: tf.raw_ops.Einsum(inputs=[x, y], equation=equation), input_signature=signature)
    [capture] = capture_source(detect_source(function), ConvertOptions())
    assert not isinstance(capture, list)
    return capture.model


def check(model: ir.Model, equation: str, shapes: list[tuple[int, ...]]) -> None:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    rng = np.random.default_rng(0)
    arrays: list[np.ndarray[Any, Any]] = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    names = [value.name for value in session.get_inputs()]
    [found] = session.run(None, dict(zip(names, arrays, strict=True)))
    exact = np.einsum(equation, *(array.astype(np.float64) for array in arrays))
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_an_equation_of_fixed_sizes_is_a_product(equation: str) -> None:
    model = translate(equation, "")
    assert {node.op_type for node in model.graph} <= PRODUCTS
    check(model, equation, [tuple(SIZES[label] for label in term) for term in equation.partition("->")[0].split(",")])


@pytest.mark.parametrize("equation", EQUATIONS[:20])
def test_a_size_that_is_not_fixed_may_be_any(equation: str) -> None:
    for label in sorted(set(equation) & set("abcdef")):
        model = translate(equation, label)
        assert "Shape" not in {node.op_type for node in model.graph}
        for size in (1, 7):
            sizes = SIZES | {label: size}
            terms = equation.partition("->")[0].split(",")
            check(model, equation, [tuple(sizes[each] for each in term) for term in terms])


@pytest.mark.parametrize("equation", ["ab,bc->ac", "abc,cde->abde", "aecd,abcd->acbe", "abfc,adec->abfde"])
def test_all_sizes_may_be_free(equation: str) -> None:
    model = translate(equation, "abcdef")
    for sizes in (SIZES, {label: size + 1 for label, size in SIZES.items()}):
        terms = equation.partition("->")[0].split(",")
        check(model, equation, [tuple(sizes[each] for each in term) for term in terms])


def test_attention_of_keras_needs_no_computed_sizes() -> None:
    x = keras.Input((12, 16))
    model = keras.Model(x, keras.layers.MultiHeadAttention(4, 8)(x, x))
    [capture] = capture_source(detect_source(model), ConvertOptions())
    found = {node.op_type for node in capture.model.graph}
    assert not found & {"Einsum", "Shape", "Gather", "Concat"}
