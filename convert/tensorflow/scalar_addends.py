"""Scalar constants that are added, as vectors of one element: tf2onnx's optimiser of transposes fails at a scalar.

It asks for the largest size of what is added to a convolution, which a scalar does not have (MobileNetV3's activations
add 3), and with it all transposes stay where they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx import utils


def widen_scalar_addends(graph: Any) -> None:
    """Give such constants of a tf2onnx graph, and of graphs inside of it, one axis. Changes it in place.

    Left alone: where the other side may be a scalar too, as the sum would then have an axis more.
    """
    for node in graph.get_nodes():
        for inner in (node.get_body_graphs() or {}).values():
            widen_scalar_addends(inner)
        if node.type != "Add" or not node.inputs[1].is_const() or not graph.get_shape(node.input[0]):
            continue
        value = np.asarray(node.inputs[1].get_tensor_value(as_list=False))
        if not value.shape:
            constant = graph.make_const(utils.make_name("addend"), value.reshape(1))
            graph.replace_input(node, node.input[1], constant.output[0], 1)
