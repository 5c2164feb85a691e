"""Small ONNX files for the tests of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

WEIGHT = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def write_affine(
    path: Path,
    *,
    weight: Any = WEIGHT,
    names: Sequence[str] = ("x", "y"),
    batch: int | str = "batch",
    activation: str = "Relu",
) -> Path:
    """relu(x @ w) over a batch."""
    x, y = names
    nodes = [helper.make_node("MatMul", [x, "w"], ["h"], name="multiply"), helper.make_node(activation, ["h"], [y])]
    return write(
        path,
        nodes,
        [helper.make_tensor_value_info(x, 1, [batch, 3])],
        [helper.make_tensor_value_info(y, 1, [batch, 4])],
        {"w": weight},
    )


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: dict[str, Any],
) -> Path:
    """A model of opset 18."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    made = helper.make_graph(list(nodes), "made", list(inputs), list(outputs), tensors)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path
