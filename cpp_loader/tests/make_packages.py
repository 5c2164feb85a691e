"""Write the packages that the loader's tests open, into the folder given.

python make_packages.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "serialize"))

from packages import linear_component, table_component  # noqa: E402

from transload.serialize import Component, Package, VectorSet  # noqa: E402
from transload.serialize.dtypes import DTYPES, ONNX_NUMBER  # noqa: E402
from transload.serialize.interface import (  # noqa: E402
    Constant,
    Dict,
    Interface,
    List,
    Node,
    Nothing,
    Proof,
    SourceRecord,
    State,
    Tensor,
    Tuple,
)

SOURCE = SourceRecord("onnx", "onnx", onnx.__version__)


def component(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Node],
    outputs: Node,
    graph_inputs: list[Tensor],
    graph_outputs: list[Tensor],
    *,
    initializers: tuple[onnx.TensorProto, ...] = (),
    state: tuple[State, ...] = (),
    vectors: tuple[VectorSet, ...] = (),
    domains: tuple[str, ...] = (),
) -> Component:
    """One component `forward` of these nodes."""
    values = [
        [helper.make_tensor_value_info(tensor.name, ONNX_NUMBER[tensor.dtype], tensor.shape) for tensor in tensors]
        for tensors in (graph_inputs, graph_outputs)
    ]
    graph = helper.make_graph(nodes, "graph", *values, list(initializers))
    imports = [helper.make_opsetid("", 21), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    interface = Interface("forward", inputs, outputs, {}, SOURCE, Proof("none"), state=state, operator_domains=domains)
    return Component("forward", interface, ir.from_proto(model), vectors)


# ONNX Runtime's CPU provider has no Identity for these; going to a wider type and back loses nothing.
WIDER = {name: "float32" for name in DTYPES if name.startswith("float8")} | {"int4": "int8", "uint4": "uint8"}


def same(dtype: str) -> Component:
    """`y = x` over one axis."""
    x, y = Tensor("x", dtype, ("n",)), Tensor("y", dtype, ("n",))
    if dtype in WIDER:
        nodes = [
            helper.make_node("Cast", ["x"], ["wide"], to=ONNX_NUMBER[WIDER[dtype]]),
            helper.make_node("Cast", ["wide"], ["y"], to=ONNX_NUMBER[dtype]),
        ]
    else:
        nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return component(nodes, {"x": x}, y, [x], [y])


def double() -> Component:
    """`y = x + x`."""
    x, y = Tensor("x", "float32", ("batch", 3)), Tensor("y", "float32", ("batch", 3))
    return component([helper.make_node("Add", ["x", "x"], ["y"])], {"x": x}, y, [x], [y])


def nested() -> Component:
    """A structure with every kind of node: `boxes: [{scores: 2x}, x], pair: (None, second=x), mode: 'm'`."""
    x, twice, copy = (Tensor(name, "float32", ("batch", 3)) for name in ("x", "twice", "same"))
    nodes = [helper.make_node("Add", ["x", "x"], ["twice"]), helper.make_node("Identity", ["x"], ["same"])]
    pair = Tuple((Nothing(), copy), fields=("first", "second"), name="Pair")
    outputs = Dict({"boxes": List((Dict({"scores": twice}), copy)), "pair": pair, "mode": Constant("m")})
    return component(nodes, {"batch": List((Dict({"pixels": x}),))}, outputs, [x], [twice, copy])


def add() -> Component:
    """`y = a + b` over one dynamic axis that both share."""
    a, b, y = (Tensor(name, "float32", ("n",)) for name in ("a", "b", "y"))
    return component([helper.make_node("Add", ["a", "b"], ["y"])], {"a": a, "b": b}, y, [a, b], [y])


def double_of_steps() -> Component:
    """`y = x + x` over an axis that takes multiples of 4, and one whose name says no step, as another shares it."""
    x, y = (Tensor(name, "float32", ("4*rows", "2*n", "n")) for name in "xy")
    return component([helper.make_node("Add", ["x", "x"], ["y"])], {"x": x}, y, [x], [y])


def running_sum() -> Component:
    """`y = total + x`, and `y` is the next `total`, which begins at 10."""
    x, y, total, after = (Tensor(name, "float32", (1,)) for name in ("x", "y", "total", "total_after"))
    nodes = [helper.make_node("Add", ["total", "x"], ["y"]), helper.make_node("Identity", ["y"], ["total_after"])]
    initial = numpy_helper.from_array(np.array([10.0], np.float32), "total")
    state = (State("total", total, after),)
    return component(nodes, {"x": x}, y, [x, total], [y, after], initializers=(initial,), state=state)


def twice() -> Component:
    """`y = 2 * x` by an operator of tests/library_of_operators.cpp."""
    x, y = Tensor("x", "float32", ("n",)), Tensor("y", "float32", ("n",))
    node = helper.make_node("Twice", ["x"], ["y"], domain="transload.test")
    return component([node], {"x": x}, y, [x], [y], domains=("transload.test",))


def nonzero() -> Component:
    """The places of what is not zero: a size that hangs on the values."""
    x, places = Tensor("x", "float32", ("n",)), Tensor("places", "int64", (1, "found"))
    return component([helper.make_node("NonZero", ["x"], ["places"])], {"x": x}, places, [x], [places])


def bytes_product() -> Component:
    """The product of bytes by weights 127."""
    x, y = Tensor("x", "uint8", ("n", 64)), Tensor("y", "int32", ("n", 1))
    weight = numpy_helper.from_array(np.full((64, 1), 127, np.int8), "w")
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    return component([node], {"x": x}, y, [x], [y], initializers=(weight,))


def quantized_products() -> Component:
    """Two products by quantized weights, 127 and 1, with one zero point, behind a quantized input."""
    x, y = Tensor("x", "float32", ("n", 64)), Tensor("y", "float32", ("n", 1))
    tensors = {
        "v": np.full((64, 64), 127, np.int8),
        "w": np.ones((64, 1), np.int8),
        "zero": np.int8(0),
        "one": np.float32(1),
        "step": np.float32(64 * 127),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["v", "one", "zero"], ["e"]),
        helper.make_node("DequantizeLinear", ["w", "one", "zero"], ["f"]),
        helper.make_node("MatMul", ["d", "e"], ["g"]),
        helper.make_node("QuantizeLinear", ["g", "step", "zero"], ["h"]),
        helper.make_node("DequantizeLinear", ["h", "step", "zero"], ["i"]),
        helper.make_node("MatMul", ["i", "f"], ["y"]),
    ]
    initializers = tuple(numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items())
    return component(nodes, {"x": x}, y, [x], [y], initializers=initializers)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weight = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    packages = {
        "linear": (linear_component("forward", weight),),
        "pair": (linear_component("encode", weight), linear_component("decode", weight, weight[0])),
        "lookup": (table_component(np.zeros((5, 3), np.float32)),),
        "double": (double(),),
        "nested": (nested(),),
        "sum": (add(),),
        "steps": (double_of_steps(),),
        "sums": (running_sum(),),
        "nonzero": (nonzero(),),
        "twice": (twice(),),
        "bytes_product": (bytes_product(),),
        "quantized_products": (quantized_products(),),
        **{f"same_{dtype}": (same(dtype),) for dtype in DTYPES},
    }
    for name, components in packages.items():
        Package(name, components).save(folder / f"{name}.tload")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
