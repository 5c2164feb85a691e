"""GeluPass: every way to write GELU becomes what ONNX Runtime has a kernel for; what is none stays."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from pass_graphs import Array, operators, optimized_operators, parse, rewrite, run

from transload.convert.passes.gelu import GeluPass

WEIGHTS: dict[str, Array] = {
    "root": np.array(math.sqrt(2), np.float32),
    "scale": np.array(math.sqrt(0.5), np.float32),
    "below": np.array(-math.sqrt(0.5), np.float32),
    "one": np.array(1, np.float32),
    "half": np.array(0.5, np.float32),
    "third": np.array(1 / 3, np.float32),
}
COMPLEMENT = "o = Neg(x) a = Mul(o, scale) e = Erf(a) t = Sub(one, e) h = Mul(half, x) y = Mul(h, t)"
FACTOR = "a = Mul(x, scale) e = Erf(a) t = Add(e, one) p = Mul(x, t) y = Mul(p, half)"
HALF_FIRST = "a = Mul(scale, x) e = Erf(a) t = Add(one, e) p = Mul(half, t) y = Mul(p, x)"
NEGATIVE_FACTOR = "a = Mul(x, below) e = Erf(a) t = Sub(one, e) p = Mul(t, x) y = Mul(half, p)"
DIVISION = "a = Div(x, root) e = Erf(a) t = Add(e, one) p = Mul(x, t) y = Mul(p, half)"
FORMS = {"complement": COMPLEMENT, "factor": FACTOR, "half-first": HALF_FIRST, "negative": NEGATIVE_FACTOR}


def model(nodes: str, opset: int = 18, signature: str = "(float[n, 8] x) => (float[n, 8] y)") -> onnx.ModelProto:
    return parse(signature, nodes, WEIGHTS, opset)


def exact(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x.astype(np.float64) / math.sqrt(2)))


@pytest.mark.parametrize("nodes", FORMS.values(), ids=FORMS)
def test_the_runtime_makes_one_operator_of_every_form(nodes: str, tmp_path: Path) -> None:
    done, modified = rewrite(model(nodes), GeluPass())
    assert modified
    assert optimized_operators(done, tmp_path) == ["Gelu"]
    x = np.linspace(-6, 6, 80, dtype=np.float32).reshape(10, 8)
    np.testing.assert_allclose(run(done, x=x)[0], exact(x), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("nodes", [*FORMS.values(), DIVISION], ids=[*FORMS, "division"])
def test_from_opset_20_on_it_is_the_standard_operator(nodes: str) -> None:
    done, _ = rewrite(model(nodes, opset=20), GeluPass())
    assert operators(done) == ["Gelu"]
    x = np.linspace(-6, 6, 80, dtype=np.float32).reshape(10, 8)
    np.testing.assert_allclose(run(done, x=x)[0], exact(x), rtol=2e-6, atol=2e-6)


def test_the_runtime_does_not_know_the_complement_by_itself(tmp_path: Path) -> None:
    assert "Gelu" not in optimized_operators(model(COMPLEMENT), tmp_path)


@pytest.mark.parametrize(
    "nodes",
    [
        DIVISION,
        COMPLEMENT.replace("Neg(x)", "Abs(x)"),
        COMPLEMENT.replace("Mul(half, x)", "Mul(third, x)"),
        COMPLEMENT.replace("Mul(half, x)", "Mul(half, o)"),
        COMPLEMENT.replace("Sub(one, e)", "Sub(e, one)"),
        COMPLEMENT.replace("Sub(one, e)", "Add(one, e)"),
        FACTOR.replace("Add(e, one)", "Sub(one, e)"),
        FACTOR.replace("Mul(x, scale)", "Mul(x, half)"),
        FACTOR.replace("Mul(p, half)", "Mul(p, third)"),
    ],
    ids=["known", "abs", "third", "opposite", "difference", "sum", "other-sign", "scale", "last"],
)
def test_what_is_no_gelu_stays(nodes: str) -> None:
    assert not rewrite(model(nodes), GeluPass())[1]


def test_double_precision_stays() -> None:
    wide = {name: array.astype(np.float64) for name, array in WEIGHTS.items()}
    for nodes in (COMPLEMENT, f"z = Identity(x) {COMPLEMENT.replace('x)', 'z)')}"):
        assert not rewrite(parse("(double[n, 8] x) => (double[n, 8] y)", nodes, wide), GeluPass())[1]


def test_a_result_between_that_is_an_output_stays_right() -> None:
    done, modified = rewrite(
        model(COMPLEMENT, signature="(float[n, 8] x) => (float[n, 8] e, float[n, 8] y)"), GeluPass()
    )
    assert modified
    x = np.linspace(-6, 6, 80, dtype=np.float32).reshape(10, 8)
    error, y = run(done, x=x)
    np.testing.assert_allclose(error, np.vectorize(math.erf)(-x / math.sqrt(2)), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(y, exact(x), rtol=2e-6, atol=2e-6)
