"""Statements of TorchScript itself (`prim::`): constants, attributes, containers, calls, branches, loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.torch.script.branches import run_if
from transload.convert.torch.script.dtypes import COMPLEX_OF, SCALAR_TYPES, TO_TORCH, default_float, dtype_of
from transload.convert.torch.script.literals import from_python, is_instance
from transload.convert.torch.script.loops import run_loop
from transload.convert.torch.script.ops.containers import dict_key, reduce_list, tensor_to_list
from transload.convert.torch.script.ops.numbers import apply_to_numbers
from transload.convert.torch.script.poison import POISON, Raised, is_poisoned
from transload.convert.torch.script.values import (
    Complex,
    Dict,
    EnumMember,
    Function,
    Future,
    List,
    Number,
    Object,
    Packed,
    Perhaps,
    Storage,
    Tensor,
    Uninitialized,
    Vector,
)
from transload.serialize.errors import UnsupportedError

Statement = Callable[[Any, Any, dict[str, Any]], list[Any]]

STATEMENTS: dict[str, Statement] = {"prim::If": run_if, "prim::Loop": run_loop}
"""By node kind: run the node in an environment; gives the values of its outputs."""


def statement(*kinds: str) -> Callable[[Statement], Statement]:
    """Register `function(interpreter, node, env)`."""

    def register(function: Statement) -> Statement:
        for kind in kinds:
            STATEMENTS[kind] = function
        return function

    return register


def expression(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register `function(interpreter, node, *inputs)` for nodes with one output."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
            inputs = [env[value.debugName()] for value in node.inputs()]
            if any(is_poisoned(value) for value in inputs):
                return [POISON] * node.outputsSize()
            result = function(interpreter, node, *inputs)
            return [result] if node.outputsSize() == 1 else []

        for kind in kinds:
            STATEMENTS[kind] = run
        return function

    return register


@expression("prim::Constant")
def _constant(interpreter: Any, node: Any) -> Any:
    output = node.output()
    kind = output.type().kind()
    if kind == "FunctionType":
        return Function(node.s("name"))
    if kind == "NoneType" or not node.hasAttribute("value"):
        return None
    return from_python(interpreter, output.toIValue())


@expression("prim::GetAttr")
def _get_attribute(interpreter: Any, node: Any, owner: Any) -> Any:
    name = node.s("name")
    if isinstance(owner, Object):
        return owner.content[name]
    return interpreter.attributes.get(interpreter, owner, name)


@expression("prim::SetAttr")
def _set_attribute(interpreter: Any, node: Any, owner: Any, value: Any) -> None:
    name = node.s("name")
    if isinstance(owner, Object):
        interpreter.journal.write(owner, {**owner.content, name: value})
    else:
        interpreter.attributes.set(interpreter, owner, name, value)


@expression("prim::CreateObject")
def _create_object(interpreter: Any, node: Any) -> Object:
    return Object({})


@statement("prim::CallMethod")
def _call_method(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    # Only calls through a module interface are left after inlining.
    owner, *args = (env[value.debugName()] for value in node.inputs())
    return [interpreter.call(getattr(owner, node.s("name")).inlined_graph, (owner, *args))]


@expression("prim::PythonOp")
def _python_function(interpreter: Any, node: Any, *args: Any) -> Any:
    raise UnsupportedError(f"The trace holds a call of Python code, torch.autograd.Function {node.pyname()}.")


@expression("prim::ListConstruct")
def _list(interpreter: Any, node: Any, *items: Any) -> List:
    return List(list(items))


@expression("prim::TupleConstruct")
def _tuple(interpreter: Any, node: Any, *items: Any) -> Any:
    # Fields of named tuples are taken by index; what class the result has, the interface knows.
    return tuple(items)


@expression("prim::DictConstruct")
def _dict(interpreter: Any, node: Any, *items: Any) -> Dict:
    return Dict(dict(zip(map(dict_key, items[::2]), items[1::2], strict=True)))


@statement("prim::TupleUnpack")
def _unpack_tuple(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    value = env[node.input().debugName()]
    return [POISON] * node.outputsSize() if value is POISON else list(value)


@statement("prim::ListUnpack")
def _unpack_list(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    value = env[node.input().debugName()]
    if value is POISON:
        return [POISON] * node.outputsSize()
    count = node.outputsSize()
    if not isinstance(value.content, list):
        return [interpreter.apply("aten::__getitem__.t", value, index) for index in range(count)]
    if len(value.content) != count:
        raise UnsupportedError(f"A list of {len(value.content)} items is unpacked into {count}.")
    return list(value.content)


@expression("prim::TupleIndex")
def _tuple_index(interpreter: Any, node: Any, value: Any, index: int) -> Any:
    return value[index]


@expression("prim::TupleSlice")
def _tuple_slice(interpreter: Any, node: Any, value: Any) -> Any:
    return tuple(value)[node.i("beg") : node.i("end")]


@expression("prim::NumToTensor")
def _number_to_tensor(interpreter: Any, node: Any, number: Any) -> Tensor:
    if isinstance(number, Number):
        value = number.value
        if number.kind is float:
            value = interpreter.b.cast(value, default_float())
        return Tensor(Storage(value))
    return interpreter.wrap(interpreter.b.constant(torch.tensor(number)))


@expression("prim::unchecked_cast", "prim::unchecked_unwrap_optional", "aten::_unwrap_optional")
def _cast(interpreter: Any, node: Any, value: Any) -> Any:
    # Where it is None, the program does not come here, or raises.
    if isinstance(value, Perhaps) and node.output().type().kind() != "OptionalType":
        return value.value
    return value


@expression("prim::data")
def _data(interpreter: Any, node: Any, tensor: Tensor) -> Tensor:
    return Tensor(tensor.storage, tensor.content)


@expression("prim::Uninitialized")
def _uninitialized(interpreter: Any, node: Any) -> Uninitialized:
    return Uninitialized()


@statement("prim::RaiseException")
def _raise(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    message = env[next(iter(node.inputs())).debugName()]
    raise Raised(message if isinstance(message, str) else "")


@expression("prim::Print", "aten::warn", "prim::Enter", "prim::Exit", "aten::_assert_async", "aten::manual_seed")
def _nothing(interpreter: Any, node: Any, *inputs: Any) -> Any:
    return inputs[0] if inputs and node.kind() == "prim::Enter" else None


@expression("prim::dtype")
def _dtype(interpreter: Any, node: Any, tensor: Tensor) -> int:
    content = interpreter.read(tensor)
    if isinstance(content, Packed):
        content = content.padded
    dtype = COMPLEX_OF[dtype_of(content.real)] if isinstance(content, Complex) else content.dtype
    return SCALAR_TYPES.index(TO_TORCH[dtype])


@expression("prim::device")
def _device(interpreter: Any, node: Any, tensor: Tensor) -> Any:
    return torch.device("cpu")


@expression("prim::layout")
def _layout(interpreter: Any, node: Any, tensor: Tensor) -> int:
    return 0


@expression(
    "prim::is_cuda",
    "prim::is_mkldnn",
    "prim::is_sparse",
    "prim::is_quantized",
    "prim::is_xpu",
    "prim::is_mps",
    "prim::is_vulkan",
    "prim::is_meta",
    "prim::is_xla",
    "prim::is_ipu",
    "prim::is_sparse_csr",
    "prim::is_mtia",
    "prim::is_maia",
    "prim::is_nested",
    "prim::requires_grad",
)
def _never(interpreter: Any, node: Any, tensor: Tensor) -> bool:
    return False


@expression("prim::min", "prim::max", "prim::abs")
def _extreme(interpreter: Any, node: Any, *inputs: Any) -> Any:
    base = node.kind().partition("::")[2]
    if len(inputs) == 1 and isinstance(inputs[0], List):
        return reduce_list(interpreter, base, inputs[0])
    if any(isinstance(value, List) for value in inputs):
        lists = [list(value.content) for value in inputs]
        if any(isinstance(item, Number) for each in lists for item in each):
            raise UnsupportedError("Lists of numbers that depend on the data are compared.")
        return List(min(lists) if base == "min" else max(lists))
    result = apply_to_numbers(interpreter.b, base, *inputs)
    # A number is of the type of both together, in TorchScript.
    return float(result) if type(result) is int and any(type(value) is float for value in inputs) else result


@expression("prim::isinstance")
def _is_instance(interpreter: Any, node: Any, value: Any) -> bool:
    return any(is_instance(value, kind) for kind in node.tys("types"))


@expression("prim::rangelist")
def _range_list(interpreter: Any, node: Any, count: Any) -> List:
    if isinstance(count, Number):
        zero, one = (interpreter.b.constant(number, ir.DataType.INT64) for number in (0, 1))
        return List(Vector(interpreter.b.Range(zero, count.value, one), int))
    return List(list(range(count)))


@expression("prim::EnumName")
def _enum_name(interpreter: Any, node: Any, member: EnumMember) -> str:
    return member.name


@expression("prim::EnumValue")
def _enum_value(interpreter: Any, node: Any, member: EnumMember) -> Any:
    return member.value


@statement("prim::fork")
def _fork(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    args = tuple(env[value.debugName()] for value in node.inputs())
    graph = node.g("Subgraph")
    # Inlining leaves the graphs of forks as they are, and there is no public way to inline these.
    torch._C._jit_pass_inline(graph)
    return [Future(interpreter.call(graph, args))]


@expression("aten::wait")
def _wait(interpreter: Any, node: Any, future: Future) -> Any:
    return future.value


@statement("prim::CallFunction")
def _call_function(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    raise UnsupportedError("A function that is a value is called.")


@expression("prim::tolist")
def _to_list(interpreter: Any, node: Any, tensor: Tensor, dim: int, dtype: int) -> Any:
    # The numbers that TorchScript gives to element types here (jit/frontend/ir_emitter.cpp, emitToList).
    kind = {0: int, 1: float, 2: bool}[dtype]
    return tensor_to_list(interpreter, tensor, dim, kind)
