"""Graphs as text for the tests of passes, and running them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
from onnx import numpy_helper
from onnx_ir.passes.common import RemoveUnusedNodesPass

Array = np.ndarray[Any, Any]


def parse(signature: str, nodes: str, weights: Mapping[str, Array] | None = None, opset: int = 18) -> onnx.ModelProto:
    """A model in ONNX's textual syntax: `signature` is `(inputs) => (outputs)`."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]> g {signature} {{ {nodes} }}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    return model


def rewrite(model: onnx.ModelProto, one_pass: ir.passes.PassBase) -> tuple[onnx.ModelProto, bool]:
    """What a pass makes of a model, without the nodes that nobody reads then, and whether it says that it did."""
    graph = ir.from_proto(model)
    modified = one_pass(graph).modified
    RemoveUnusedNodesPass()(graph)
    return ir.to_proto(graph), modified


def operators(model: onnx.ModelProto) -> list[str]:
    """The types of the nodes, in order."""
    return [node.op_type for node in model.graph.node]


def optimized_operators(model: onnx.ModelProto, folder: Path) -> list[str]:
    """The types of the nodes of what ONNX Runtime's optimiser makes of a model."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(model.SerializeToString(), options)
    return operators(onnx.load(folder / "optimized.onnx"))


def run(model: onnx.ModelProto, **feed: Array) -> list[Array]:
    """The outputs, with ONNX Runtime's optimisations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    outputs: list[Array] = ort.InferenceSession(model.SerializeToString(), options).run(None, feed)
    return outputs
