"""The faults: each operator finds the nodes of a graph where it can be planted, and changes one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

Array = np.ndarray[Any, Any]
Change = Callable[[ir.Node], None]


@dataclass(frozen=True)
class Operator:
    """A kind of fault.

    Args:
        name: What goes wrong.
        suits: Whether it can be planted at a node.
        change: Plants it there.
    """

    name: str
    suits: Callable[[ir.Node], bool]
    change: Change


OPERATORS: dict[str, Operator] = {}


def _add(name: str, suits: Callable[[ir.Node], bool], change: Change) -> None:
    assert name not in OPERATORS
    OPERATORS[name] = Operator(name, suits, change)


# Asking about nodes


def is_a(*op_types: str) -> Callable[[ir.Node], bool]:
    """Whether a node is of one of these types."""
    return lambda node: node.op_type in op_types and node.domain in ("", "ai.onnx")


def constant(node: ir.Node, place: int) -> Array | None:
    """The constant value of an input; None where it is computed or missing."""
    value = node.inputs[place] if place < len(node.inputs) else None
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def has_constant(op_types: Iterable[str], place: int, dtype: str = "") -> Callable[[ir.Node], bool]:
    """Whether a node of these types has a constant there that holds something; `f` floats, `i` integers."""

    def suits(node: ir.Node) -> bool:
        array = constant(node, place) if is_a(*op_types)(node) else None
        return array is not None and array.size > 0 and (not dtype or array.dtype.kind == dtype)

    return suits


def has_attribute(op_type: str, name: str, default: Any = None) -> Callable[[ir.Node], bool]:
    """Whether a node of this type has that attribute, or a default for it."""
    return lambda node: is_a(op_type)(node) and (name in node.attributes or default is not None)


# Changing nodes


def rename(mapping: Mapping[str, str]) -> Change:
    """Another operator on the same inputs."""

    def change(node: ir.Node) -> None:
        node.op_type = mapping[node.op_type]

    return change


def swap_inputs(first: int, second: int) -> Change:
    """Two inputs in the other order."""

    def change(node: ir.Node) -> None:
        one, other = node.inputs[first], node.inputs[second]
        node.replace_input_with(first, other)
        node.replace_input_with(second, one)

    return change


def set_constant(place: int, make: Callable[[Array], Array]) -> Change:
    """Another constant; nodes that share the old one keep it."""

    def change(node: ir.Node) -> None:
        array = constant(node, place)
        assert array is not None
        node.replace_input_with(place, _constant(node, make(array).astype(array.dtype)))

    return change


def set_attribute(name: str, make: Callable[[Any], Any], default: Any = None) -> Change:
    """Another value of an attribute."""

    def change(node: ir.Node) -> None:
        value = node.attributes[name].value if name in node.attributes else default
        node.attributes[name] = ir.convenience.convert_attribute(name, make(value))

    return change


def bypass(place: int = 0) -> Change:
    """The node does nothing: its first output is its input."""

    def change(node: ir.Node) -> None:
        node.op_type = "Identity"
        node.attributes.clear()
        source = node.inputs[place]
        while len(node.inputs) > 1:
            node.resize_inputs(len(node.inputs) - 1)
        node.replace_input_with(0, source)

    return change


def insert_after(make: Callable[[ir.Node, ir.Value], ir.Value]) -> Change:
    """Something between the node and all that reads its first output."""

    def change(node: ir.Node) -> None:
        output = node.outputs[0]
        uses = list(output.uses())
        graph = node.graph
        assert graph is not None
        made = make(node, output)
        made.dtype, made.shape = output.dtype, output.shape
        for user, index in uses:
            user.replace_input_with(index, made)
        for index, value in enumerate(graph.outputs):
            if value is output:
                made.name, output.name = output.name, f"{output.name}_before_fault"
                graph.outputs[index] = made

    return change


def _insert(node: ir.Node, op_type: str, inputs: list[ir.Value | None], **attributes: Any) -> ir.Value:
    """A new node behind another, or behind what was put there before."""
    made = ir.node(op_type, inputs, attributes)
    graph = node.graph
    assert graph is not None
    place = next((v.producer() for v in inputs if v is not None and v.producer() in set(graph)), None)
    graph.insert_after(place or node, made)
    made.outputs[0].name = f"fault_{op_type}_{id(made)}"
    return made.outputs[0]


def _constant(node: ir.Node, array: Array) -> ir.Value:
    made = ir.node("Constant", [], {"value": ir.tensor(array)})
    graph = node.graph
    assert graph is not None
    graph.insert_before(node, made)
    value = made.outputs[0]
    value.name, value.dtype, value.shape = (
        f"fault_{id(made)}",
        ir.DataType.from_numpy(array.dtype),
        ir.Shape(array.shape),
    )
    return value


def _is_float(node: ir.Node) -> bool:
    return bool(node.outputs) and node.outputs[0].dtype == ir.DataType.FLOAT


def _one_element(array: Array, change: Callable[[Any], Any]) -> Array:
    array = np.array(array)
    place = int(np.abs(array.astype(np.float64)).argmax())
    array.flat[place] = change(array.flat[place])
    return array


def _pad_swapped(pads: Any) -> Any:
    half = len(pads) // 2
    return [*pads[half:], *pads[:half]]


def _pads_shifted(pads: list[int]) -> list[int]:
    """One cell more before and one less behind, on the first axis that has padding behind."""
    half = len(pads) // 2
    axis = next(index for index in range(half) if pads[half + index])
    return [p + (i == axis) - (i == half + axis) for i, p in enumerate(pads)]


def _has_pads(node: ir.Node) -> bool:
    pads = node.attributes.get_ints("pads", ()) if is_a("Conv", "MaxPool", "AveragePool")(node) else ()
    return any(pads[len(pads) // 2 :])


def _swap_perm(perm: Any) -> list[int]:
    return [perm[-1], *perm[1:-1], perm[0]] if len(perm) > 1 else list(perm)


def _swap_arms(node: ir.Node) -> None:
    then, other = node.attributes["then_branch"], node.attributes["else_branch"]
    graphs = then.as_graph(), other.as_graph()
    node.attributes["then_branch"] = ir.AttrGraph("then_branch", graphs[1])
    node.attributes["else_branch"] = ir.AttrGraph("else_branch", graphs[0])


def _freeze_shape(node: ir.Node) -> None:
    """The sizes of the example instead of those of the input."""
    sizes = np.array(node.meta["example_sizes"])
    output = node.outputs[0]
    output.replace_all_uses_with(_constant(node, sizes), replace_graph_outputs=True)


def _one_less(node: ir.Node) -> None:
    one = _constant(node, np.array(1))
    less = ir.node("Sub", [node.inputs[0], one])
    assert node.graph is not None
    node.graph.insert_before(node, less)
    less.outputs[0].name, less.outputs[0].dtype = f"fault_{id(less)}", ir.DataType.INT64
    node.replace_input_with(0, less.outputs[0])


def _stale(node: ir.Node) -> None:
    """A state output gives the state as it was before the call."""
    for index, value in enumerate(node.graph.outputs if node.graph is not None else ()):
        if value in node.outputs and value.name and value.name.endswith("_next"):
            assert isinstance(node.graph, ir.Graph)
            before = next(v for v in node.graph.inputs if v.name == str(value.name).removesuffix("_next"))
            copy = ir.node("Identity", [before])
            node.graph.append(copy)
            copy.outputs[0].name, value.name = value.name, f"{value.name}_fresh"
            copy.outputs[0].dtype, copy.outputs[0].shape = value.dtype, value.shape
            node.graph.outputs[index] = copy.outputs[0]
            return


def _has_state(node: ir.Node) -> bool:
    return any(v.is_graph_output() and str(v.name).endswith("_next") for v in node.outputs)


def _round_trip(dtype: ir.DataType) -> Change:
    def make(node: ir.Node, value: ir.Value) -> ir.Value:
        back = value.dtype
        assert back is not None
        return _insert(node, "Cast", [_insert(node, "Cast", [value], to=dtype)], to=back)

    return insert_after(make)


def _binary_after(op_type: str, number: float) -> Change:
    def make(node: ir.Node, value: ir.Value) -> ir.Value:
        dtype = (value.dtype or ir.DataType.FLOAT).numpy()
        return _insert(node, op_type, [value, _constant(node, np.array(number, dtype))])

    return insert_after(make)


def _no_nan(node: ir.Node, value: ir.Value) -> ir.Value:
    return _insert(node, "Where", [_insert(node, "IsNaN", [value]), _constant(node, np.float32(0)), value])


def _swap_outputs(node: ir.Node) -> None:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    one, other = graph.outputs[0], graph.outputs[1]
    one.name, other.name = "fault_swap", one.name
    one.name = node.meta["second_output"]
    graph.outputs[0], graph.outputs[1] = other, one


# Arithmetic
_add("operands of a subtraction swapped", is_a("Sub"), swap_inputs(0, 1))
_add("operands of a division swapped", lambda n: is_a("Div")(n) and _is_float(n), swap_inputs(0, 1))
_add("subtraction instead of addition", is_a("Add"), rename({"Add": "Sub"}))
_add("addition instead of subtraction", is_a("Sub"), rename({"Sub": "Add"}))
_add("addition instead of multiplication", is_a("Mul"), rename({"Mul": "Add"}))
_add("multiplication instead of division", lambda n: is_a("Div")(n) and _is_float(n), rename({"Div": "Mul"}))
_add("maximum and minimum exchanged", is_a("Max", "Min"), rename({"Max": "Min", "Min": "Max"}))
_add(
    "reduction to maximum and minimum exchanged",
    is_a("ReduceMax", "ReduceMin"),
    rename({"ReduceMax": "ReduceMin", "ReduceMin": "ReduceMax"}),
)
_add("sum instead of mean", is_a("ReduceMean"), rename({"ReduceMean": "ReduceSum"}))
_add("mean instead of sum", is_a("ReduceSum"), rename({"ReduceSum": "ReduceMean"}))
_add("a norm of absolute values instead of squares", is_a("ReduceL2"), rename({"ReduceL2": "ReduceL1"}))
_add("floor division that truncates", lambda n: is_a("Sub")(n) and not _is_float(n), bypass(0))
_add(
    "remainder with the dividend's sign",
    lambda n: is_a("Mod")(n) and not n.attributes.get_int("fmod", 0),
    set_attribute("fmod", lambda v: 1, 0),
)

# Weights and constants
_SCALED = ("Mul", "Div", "Add", "Sub", "Gemm", "MatMul", "Conv", "Max", "Min")
for _place in (0, 1):
    _add(
        f"a constant off by one percent (input {_place})",
        has_constant(_SCALED, _place, "f"),
        set_constant(_place, lambda a: a * 1.01 + (a == 0) * 0.01),
    )
_WEIGHTED = {"MatMul": 1, "Gemm": 1, "Conv": 1, "Gather": 0, "GRU": 1, "LSTM": 1}
for _op_type, _place in _WEIGHTED.items():
    _add(
        f"one weight of {_op_type} off by a thousandth",
        has_constant((_op_type,), _place, "f"),
        set_constant(_place, lambda a: _one_element(a, lambda v: v * 1.001 + 1e-3)),
    )
    _add(
        f"one weight of {_op_type} with the other sign",
        has_constant((_op_type,), _place, "f"),
        set_constant(_place, lambda a: _one_element(a, lambda v: -v)),
    )
_add(
    "transposed weight",
    lambda n: (w := constant(n, 1) if is_a("MatMul", "Gemm")(n) else None) is not None and w.shape[-1] == w.shape[-2],
    set_constant(1, lambda a: np.swapaxes(a, -1, -2)),
)
_add("dropped bias", has_constant(("Gemm", "Conv"), 2, "f"), set_constant(2, np.zeros_like))
_add("dropped bias of a recurrent layer", has_constant(("GRU", "LSTM"), 3, "f"), set_constant(3, np.zeros_like))
_add("kernel flipped", has_constant(("Conv",), 1, "f"), set_constant(1, lambda a: a[..., ::-1].copy()))
for _op_type in ("BatchNormalization", "LayerNormalization", "InstanceNormalization"):
    _add(
        f"wrong epsilon of {_op_type}",
        is_a(_op_type),
        set_attribute("epsilon", lambda v: v * 100, 1e-5),
    )
_add("mean and variance exchanged", is_a("BatchNormalization"), swap_inputs(3, 4))
_add("scale and shift exchanged", is_a("BatchNormalization", "LayerNormalization"), swap_inputs(1, 2))

# Places, orders, sizes
_add("swapped axes", has_attribute("Transpose", "perm"), set_attribute("perm", _swap_perm))
_add("slice begins one later", has_constant(("Slice",), 1, "i"), set_constant(1, lambda a: a + 1))
_add("slice ends one earlier", has_constant(("Slice",), 2, "i"), set_constant(2, lambda a: a - 1))
_add("parts joined in the other order", is_a("Concat"), swap_inputs(0, 1))
_add("indices off by one", has_constant(("Gather",), 1, "i"), set_constant(1, lambda a: np.maximum(a - 1, 0)))
_add("running sum without its own element", is_a("CumSum"), set_attribute("exclusive", lambda v: 1 - v, 0))
_add("running sum from the end", is_a("CumSum"), set_attribute("reverse", lambda v: 1 - v, 0))
_add("frozen dimension", lambda n: is_a("Shape")(n) and "example_sizes" in n.meta, _freeze_shape)
_add("smallest instead of largest", is_a("TopK"), set_attribute("largest", lambda v: 1 - v, 1))
_add("least instead of greatest place", is_a("ArgMax"), rename({"ArgMax": "ArgMin"}))
_add("last of equal places instead of first", is_a("ArgMax"), set_attribute("select_last_index", lambda v: 1 - v, 0))
_add("sums of equal places lost", has_attribute("ScatterND", "reduction"), set_attribute("reduction", lambda v: "none"))
_add("two outputs exchanged", lambda n: "second_output" in n.meta, _swap_outputs)
_add("softmax over another axis", is_a("Softmax", "LogSoftmax"), set_attribute("axis", lambda v: 0, -1))

# Windows and borders
_add("padding on the other side", has_constant(("Pad",), 1, "i"), set_constant(1, lambda a: np.array(_pad_swapped(a))))
_add("padding with another number", has_constant(("Pad",), 2, "f"), set_constant(2, lambda a: a + 0.5))
_add(
    "padding repeats instead of reflecting",
    lambda n: is_a("Pad")(n) and n.attributes.get_string("mode", "") == "reflect",
    set_attribute("mode", lambda v: "edge"),
)
_add("window padded on the other side", _has_pads, set_attribute("pads", lambda v: _pads_shifted(list(v))))
_add("padding counts in means", is_a("AveragePool"), set_attribute("count_include_pad", lambda v: 1 - v, 0))
_add(
    "resized by another rule",
    is_a("Resize"),
    set_attribute(
        "coordinate_transformation_mode", lambda v: "asymmetric" if v != "asymmetric" else "align_corners", ""
    ),
)

# Numbers
_add("rounding down instead of to nearest", is_a("Round"), rename({"Round": "Floor"}))
_add("rounding to nearest instead of down", is_a("Floor"), rename({"Floor": "Round"}))
_add("rounding down instead of up", is_a("Ceil"), rename({"Ceil": "Floor"}))
_add("truncated instead of rounded", is_a("Floor", "Ceil", "Round"), _round_trip(ir.DataType.INT64))
_add("narrowed to float16", _is_float, _round_trip(ir.DataType.FLOAT16))
_add(
    "narrowed to int8",
    lambda n: bool(n.outputs) and n.outputs[0].dtype == ir.DataType.INT64 and is_a("Add", "Mul", "Div", "Sub")(n),
    _round_trip(ir.DataType.INT8),
)
_add("NaN turned to zero", _is_float, insert_after(_no_nan))
_add("cut off at 6", _is_float, _binary_after("Min", 6.0))
_add("cut off at 50", _is_float, _binary_after("Min", 50.0))
_add("a thousandth added", _is_float, _binary_after("Add", 1e-3))

# Activations
_add("activation missing", is_a("Relu", "Tanh", "Sigmoid", "Gelu", "Elu", "LeakyRelu", "Softplus"), bypass())
_add("ReLU that leaks", is_a("Relu"), rename({"Relu": "LeakyRelu"}))
_add("another S-shaped activation", is_a("Tanh", "Sigmoid"), rename({"Tanh": "Sigmoid", "Sigmoid": "Tanh"}))
_add("approximated GELU", is_a("Gelu"), set_attribute("approximate", lambda v: "tanh", "none"))
_add("default slope of ELU", has_attribute("Elu", "alpha"), set_attribute("alpha", lambda v: 1.0))
_add("default slope of leaky ReLU", has_attribute("LeakyRelu", "alpha"), set_attribute("alpha", lambda v: 0.01))
_add("upper bound one percent higher", has_constant(("Clip",), 2, "f"), set_constant(2, lambda a: a * 1.01))

# Conditions, flow, state
_FLIPPED = {"Greater": "Less", "Less": "Greater", "GreaterOrEqual": "LessOrEqual", "LessOrEqual": "GreaterOrEqual"}
_add("flipped comparison", is_a(*_FLIPPED), rename(_FLIPPED))
_STRICT = {"Greater": "GreaterOrEqual", "GreaterOrEqual": "Greater", "Less": "LessOrEqual", "LessOrEqual": "Less"}
_add("comparison with equality, or without", is_a(*_STRICT), rename(_STRICT))
_add("or instead of and, and the reverse", is_a("And", "Or"), rename({"And": "Or", "Or": "And"}))
_add("negation missing", is_a("Not"), bypass())
_add("choices exchanged", is_a("Where"), swap_inputs(1, 2))
_add("arms exchanged", is_a("If"), _swap_arms)
_add("one trip less", lambda n: is_a("Loop")(n) and n.inputs[0] is not None, _one_less)
_add(
    "reset gate before the product",
    has_attribute("GRU", "linear_before_reset"),
    set_attribute("linear_before_reset", lambda v: 1 - v),
)
_add("stale state", _has_state, _stale)
