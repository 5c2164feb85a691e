"""ConstantShapesPass: sizes that a graph computes become constants where they follow from the rest, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from pass_graphs import Array, operators, parse, rewrite, run

from transload.convert.passes.constant_shapes import ConstantShapesPass

WEIGHTS: dict[str, Array] = {
    "zero": np.array([0], np.int64),
    "first": np.array(0, np.int64),
    "front": np.array([0, 1], np.int64),
    "back": np.array([1, 0], np.int64),
    "one": np.array([1], np.int64),
    "two": np.array([2], np.int64),
    "four": np.array([4], np.int64),
    "eight": np.array([8], np.int64),
    "rest": np.array([-1], np.int64),
    "flat": np.array([-1, 8], np.int64),
}
SPLIT = "s = Shape(x) b = Gather(s, front) t = Concat<axis=0>(b, two, four) y = Reshape(x, t)"
FLAT = (
    "s = Shape(x) b = Gather(s, zero) r = Gather(s, one) m = Mul(b, r) t = Concat<axis=0>(m, eight) y = Reshape(x, t)"
)
BACK = """
h = Reshape(x, flat)  s = Shape(x)  c = Cast<to=6>(s)  b = Gather(c, front)
four32 = Cast<to=6>(four)  two32 = Cast<to=6>(two)  u = Concat<axis=0>(b, two32, four32)  t = Cast<to=7>(u)
y = Reshape(h, t)
"""
SLICED = "s = Shape(x) b = Slice(s, zero, two) t = Concat<axis=0>(b, two, four) y = Reshape(x, t)"
PARTS = """
s = Shape<start=0, end=1>(x)  q = Squeeze(s)  u = Unsqueeze(q, zero)  t = Concat<axis=0>(u, rest, four)
y = Reshape(x, t)
"""
SCALAR = """
s = Shape(x)  q = Gather(s, first)  u = Unsqueeze(q, zero)  p = ReduceProd(u)  t = Concat<axis=0>(p, rest, four)
y = Reshape(x, t)
"""


def model(nodes: str, shape: str = "n, 5, 8") -> onnx.ModelProto:
    return parse(f"(float[{shape}] x) => (y)", nodes, WEIGHTS)


def constant(done: onnx.ModelProto) -> list[list[int]]:
    """The constant shapes of the reshapes that have one."""
    made = {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in done.graph.node
        if node.op_type == "Constant"
    }
    return [
        made[node.input[1]].tolist() for node in done.graph.node if node.op_type == "Reshape" and node.input[1] in made
    ]


@pytest.mark.parametrize(
    ("nodes", "shape", "expected"),
    [
        (SPLIT, "n, 5, 8", [[0, 5, 2, 4]]),
        (SPLIT, "n, m, 8", [[0, 0, 2, 4]]),
        (FLAT, "n, 5, 8", [[-1, 8]]),
        (FLAT, "n, m, 8", [[-1, 8]]),
        (BACK, "n, 5, 8", [[-1, 5, 2, 4]]),
        (SLICED, "n, m, 8", [[0, 0, 2, 4]]),
        (PARTS, "n, 5, 8", [[0, -1, 4]]),
        (SCALAR, "n, 5, 8", [[0, -1, 4]]),
    ],
)
def test_a_shape_becomes_a_constant(nodes: str, shape: str, expected: list[list[int]]) -> None:
    before = model(nodes, shape)
    done, modified = rewrite(before, ConstantShapesPass())
    assert modified
    assert constant(done)[-1:] == expected
    assert "Gather" not in operators(done)
    for batch in (1, 3):
        x = np.arange(batch * 40, dtype=np.float32).reshape(batch, 5, 8)
        np.testing.assert_array_equal(run(done, x=x)[0], run(before, x=x)[0])


@pytest.mark.parametrize(
    ("nodes", "shape"),
    [
        (BACK, "n, m, 8"),
        (SPLIT.replace("front", "back"), "n, m, 8"),
        ("s = Shape(x) b = Gather(s, front) t = Concat<axis=0>(b, rest) y = Reshape<allowzero=1>(x, t)", "n, m, 8"),
        ("s = Shape(x) b = Gather(s, back) t = Concat<axis=0>(b, zero) y = Reshape(x, t)", "n, m, 8"),
    ],
    ids=["two-unknown", "swapped", "allowzero", "a-zero-beside"],
)
def test_what_does_not_follow_from_the_rest_stays(nodes: str, shape: str) -> None:
    assert not rewrite(model(nodes, shape), ConstantShapesPass())[1]


def test_an_empty_tensor_keeps_its_shape() -> None:
    for nodes in (SPLIT, BACK):
        done, _ = rewrite(model(nodes), ConstantShapesPass())
        empty: Any = np.zeros((0, 5, 8), np.float32)
        assert run(done, x=empty)[0].shape == (0, 5, 2, 4)


def test_sizes_that_a_graph_claims_for_its_values_are_not_believed() -> None:
    before = model(f"v = Relu(x) {SPLIT.replace('(x', '(v')}", "n, m, 8")
    before.graph.value_info.append(onnx.helper.make_tensor_value_info("v", onnx.TensorProto.FLOAT, [1, 5, 8]))
    done, _ = rewrite(before, ConstantShapesPass())
    assert constant(done) == [[0, 0, 2, 4]]


def test_the_graph_says_of_its_values_what_it_said() -> None:
    done, _ = rewrite(model(SPLIT), ConstantShapesPass())
    assert {value.name for value in done.graph.value_info} <= {"y_shape"}


def test_slices_of_older_opsets_stay() -> None:
    nodes = "s = Shape(x) b = Slice<starts=[0], ends=[2]>(s) t = Concat<axis=0>(b, two, four) y = Reshape(x, t)"
    assert not rewrite(parse("(float[n, 5, 8] x) => (y)", nodes, WEIGHTS, opset=9), ConstantShapesPass())[1]
