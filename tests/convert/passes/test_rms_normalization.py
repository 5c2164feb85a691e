"""DivideByRootPass: the fusion that it is for fires with it and not without it; values stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from pass_graphs import Array, optimized_operators, parse, rewrite, run

from transload.convert.passes.rms_normalization import DivideByRootPass

WEIGHTS: dict[str, Array] = {
    "last": np.array([-1], np.int64),
    "epsilon": np.array(1e-6, np.float32),
    "scale": np.linspace(0.5, 2, 8, dtype=np.float32),
    "two": np.array(2, np.float32),
    "three": np.array(3, np.float32),
}
NODES = """
square = Mul(x, x)  m = ReduceMean(square, last)  v = Add(m, epsilon)  s = Sqrt(v)  r = Reciprocal(s)
n = Mul(x, r)  y = Mul(scale, n)
"""
SCALED_ROOT = NODES.replace("n = Mul(x, r)  y = Mul(scale, n)", "n = Mul(r, scale)  y = Mul(x, n)")


def model(nodes: str) -> onnx.ModelProto:
    return parse("(float[n, 4, 8] x, float[n, 4, 8] z) => (float[n, 4, 8] y)", nodes, WEIGHTS)


@pytest.mark.parametrize("nodes", [NODES, SCALED_ROOT], ids=["torch", "keras"])
def test_the_runtime_makes_one_operator_of_it_and_not_without(nodes: str, tmp_path: Path) -> None:
    done, modified = rewrite(model(nodes), DivideByRootPass())
    assert modified
    assert optimized_operators(done, tmp_path) == ["SimplifiedLayerNormalization"]
    assert "SimplifiedLayerNormalization" not in optimized_operators(model(nodes), tmp_path)


@pytest.mark.parametrize(
    "nodes",
    [NODES, NODES.replace("Mul(x, x)", "Pow(x, two)"), SCALED_ROOT],
    ids=["product", "power", "scaled-root"],
)
def test_the_values_stay(nodes: str) -> None:
    done, modified = rewrite(model(nodes), DivideByRootPass())
    assert modified
    x = np.random.default_rng(0).standard_normal((3, 4, 8)).astype(np.float32)
    wide = x.astype(np.float64)
    exact = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-6) * WEIGHTS["scale"]
    np.testing.assert_allclose(run(done, x=x, z=x)[0], exact, rtol=1e-6)


@pytest.mark.parametrize(
    "nodes",
    [
        NODES.replace("Mul(x, r)", "Mul(z, r)"),
        NODES.replace("Mul(x, x)", "Mul(x, z)"),
        NODES.replace("Mul(x, x)", "Pow(x, three)"),
        NODES.replace("Sqrt(v)", "Exp(v)"),
        NODES.replace("Add(m, epsilon)", "Add(m, z)"),
        SCALED_ROOT.replace("Mul(r, scale)", "Mul(r, z)"),
    ],
    ids=["another", "no-square", "cube", "no-root", "no-epsilon", "no-scale"],
)
def test_what_is_no_such_normalization_stays(nodes: str) -> None:
    assert not rewrite(model(nodes), DivideByRootPass())[1]
