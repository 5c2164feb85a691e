"""LayerNormalizationPass: each form that is written as an operator, against float64, and what must stay as it is."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from pass_graphs import Array, operators, parse, rewrite, run

from transload.convert.passes.layer_normalization import LayerNormalizationPass

RANDOM = np.random.default_rng(0)
WEIGHTS: dict[str, Array] = {
    "last": np.array([2], np.int64),
    "middle": np.array([1], np.int64),
    "epsilon": np.array(1e-3, np.float32),
    "two": np.array(2, np.float32),
    "scale": RANDOM.uniform(0.5, 2, (1, 1, 8)).astype(np.float32),
    "bias": RANDOM.standard_normal((1, 1, 8)).astype(np.float32),
    "row": RANDOM.uniform(0.5, 2, 8).astype(np.float32),
    "cube": np.ones((1, 1, 1, 8), np.float32),
    "epsilon4": np.full((1, 1, 1, 1), 1e-3, np.float32),
    "column": RANDOM.uniform(0.5, 2, (4, 1)).astype(np.float32),
}
SIGNATURE = "(float[n, 4, 8] x) => (y)"
ROOT = """
mean = ReduceMean(x, last)  d = Sub(x, mean)  square = Mul(d, d)  variance = ReduceMean(square, last)
v = Add(variance, epsilon)  s = Sqrt(v)  r = Reciprocal(s)
"""
KERAS = "opposite = Neg(mean) f = Mul(r, scale) a = Mul(opposite, f) b = Add(a, bias) c = Mul(x, f) y = Add(c, b)"
TENSORFLOW = "f = Mul(r, scale) a = Mul(mean, f) b = Sub(bias, a) c = Mul(x, f) y = Add(c, b)"
BARE = "opposite = Neg(mean) a = Mul(opposite, r) c = Mul(x, r) y = Add(a, c)"
DIRECT = "n = Mul(d, r) m = Mul(n, scale) y = Add(m, bias)"
DIRECT_ROW = "n = Mul(r, d) y = Mul(row, n)"


def model(nodes: str, signature: str = SIGNATURE, opset: int = 18) -> onnx.ModelProto:
    read = {name for name in WEIGHTS if name in nodes.replace("(", " ").replace(",", " ").replace(")", " ").split()}
    return parse(signature, nodes, {name: WEIGHTS[name] for name in read}, opset)


def exact(x: Array, scale: Array | float, bias: Array | float) -> Array:
    wide = x.astype(np.float64)
    difference = wide - wide.mean(-1, keepdims=True)
    return difference / np.sqrt((difference**2).mean(-1, keepdims=True) + 1e-3) * scale + bias


@pytest.mark.parametrize(
    ("tail", "scale", "bias"),
    [
        (KERAS, WEIGHTS["scale"], WEIGHTS["bias"]),
        (TENSORFLOW, WEIGHTS["scale"], WEIGHTS["bias"]),
        (BARE, 1, 0),
        (DIRECT, WEIGHTS["scale"], WEIGHTS["bias"]),
        (DIRECT_ROW, WEIGHTS["row"], 0),
    ],
    ids=["keras", "tensorflow", "bare", "direct", "row"],
)
def test_a_normalization_becomes_one_operator(tail: str, scale: Array | float, bias: Array | float) -> None:
    done, modified = rewrite(model(ROOT + tail), LayerNormalizationPass())
    assert modified
    assert [name for name in operators(done) if name != "Constant"] == ["LayerNormalization"]
    for offset in (0, 50):
        x = (RANDOM.standard_normal((3, 4, 8)) + offset).astype(np.float32)
        np.testing.assert_allclose(run(done, x=x)[0], exact(x, scale, bias), rtol=1e-5, atol=3e-5)


def test_a_square_by_power_is_one_too() -> None:
    nodes = ROOT.replace("Mul(d, d)", "Pow(d, two)") + KERAS
    assert "LayerNormalization" in operators(rewrite(model(nodes), LayerNormalizationPass())[0])


@pytest.mark.parametrize(
    "nodes",
    [
        (ROOT + DIRECT).replace("last", "middle"),
        ROOT.replace("ReduceMean(square, last)", "ReduceMean(square, middle)") + DIRECT,
        ROOT.replace("Mul(d, d)", "Mul(d, x)") + DIRECT,
        ROOT + KERAS.replace("Mul(x, f)", "Mul(d, f)"),
        ROOT + KERAS.replace("Mul(opposite, f)", "Mul(opposite, r)"),
        ROOT + KERAS.replace("Neg(mean)", "Neg(variance)"),
        ROOT + TENSORFLOW.replace("Sub(bias, a)", "Sub(a, bias)"),
        ROOT + BARE.replace("Neg(mean)", "Identity(mean)"),
    ],
    ids=["middle-axis", "two-axes", "no-square", "difference", "factors", "variance", "sign", "no-sign"],
)
def test_what_is_no_layer_normalization_stays(nodes: str) -> None:
    assert not rewrite(model(nodes), LayerNormalizationPass())[1]


def test_a_scale_along_another_axis_stays_outside() -> None:
    done, modified = rewrite(model(ROOT + "n = Mul(d, r) y = Mul(n, column)"), LayerNormalizationPass())
    assert modified
    assert operators(done)[-2:] == ["LayerNormalization", "Mul"]
    x = RANDOM.standard_normal((2, 4, 8)).astype(np.float32)
    np.testing.assert_allclose(run(done, x=x)[0], exact(x, WEIGHTS["column"], 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        ROOT + KERAS.replace("scale", "cube"),
        ROOT + KERAS.replace("bias", "cube"),
        ROOT.replace("epsilon", "epsilon4") + KERAS,
    ],
    ids=["scale", "bias", "epsilon"],
)
def test_constants_that_add_an_axis_stay(nodes: str) -> None:
    before = model(nodes)
    done, _ = rewrite(before, LayerNormalizationPass())
    x = RANDOM.standard_normal((2, 4, 8)).astype(np.float32)
    assert run(before, x=x)[0].shape == run(done, x=x)[0].shape == (1, 2, 4, 8)


def test_the_operator_comes_nearer_to_the_exact_value_than_the_nodes() -> None:
    before = model(ROOT + KERAS)
    done, _ = rewrite(before, LayerNormalizationPass())
    x = (RANDOM.standard_normal((3, 4, 8)) + 1000).astype(np.float32)
    truth = exact(x, WEIGHTS["scale"], WEIGHTS["bias"])
    assert np.abs(run(done, x=x)[0] - truth).max() < 0.5 * np.abs(run(before, x=x)[0] - truth).max()


def test_double_precision_stays() -> None:
    nodes = (ROOT + BARE).replace("epsilon", "small")
    graph = parse("(double[n, 4, 8] x) => (y)", nodes, {"last": WEIGHTS["last"], "small": np.array(1e-3)})
    assert not rewrite(graph, LayerNormalizationPass())[1]


def test_an_unknown_size_stays() -> None:
    assert not rewrite(model(ROOT + BARE, "(float[n, 4, m] x) => (y)"), LayerNormalizationPass())[1]


def test_older_opsets_stay() -> None:
    nodes = (ROOT + BARE).replace(", last)", ")").replace("ReduceMean", "ReduceMean<axes=[2]>")
    assert not rewrite(model(nodes, opset=16), LayerNormalizationPass())[1]
    assert rewrite(model(nodes, opset=17), LayerNormalizationPass())[1]


def test_intermediate_results_that_are_outputs_stay_right() -> None:
    done, modified = rewrite(model(ROOT + DIRECT, "(float[n, 4, 8] x) => (n, y)"), LayerNormalizationPass())
    assert modified
    x = RANDOM.standard_normal((2, 4, 8)).astype(np.float32)
    normal, scaled = run(done, x=x)
    np.testing.assert_allclose(normal, exact(x, 1, 0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scaled, exact(x, WEIGHTS["scale"], WEIGHTS["bias"]), rtol=1e-5, atol=1e-5)
