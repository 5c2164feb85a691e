"""Operators without a translation of ours, taken apart by torch itself into operators that have one.

torch's own implementations in terms of other operators (its composite kernels, `torch._decomp`) run on tensors without
data, under a tracer that records what they call. This module is the only one that touches these parts of torch, which
are not public; tests/convert/torch/script/test_decompose.py fails where an upgrade moves them.
"""

from __future__ import annotations

import functools
import itertools
import operator
from dataclasses import dataclass
from typing import Any, Literal

import onnx_ir as ir
import torch

from transload.convert.torch.script.cells import reach
from transload.convert.torch.script.dtypes import COMPLEX_OF, TO_TORCH, dtype_of
from transload.convert.torch.script.schemas import Schema, find_schema, full_name
from transload.convert.torch.script.values import Complex, List, Number, Quantized, Sequence, Tensor, Vector
from transload.serialize.errors import UnsupportedError

_HINTS = (7, 11, 17, 23, 29, 37, 41, 47, 53, 59)
"""Sizes that stand for dynamic ones while tracing: none divides another or is half of it, rounded either way."""

_SCALES = (2, 3, 64, 1_000_003)
"""Where relations between sizes that torch relies on are tried."""


def apply(interpreter: Any, schema: Schema, arguments: dict[str, Any]) -> Any:
    """The operator applied to contents, by way of the operators that torch makes it of.

    Raises:
        UnsupportedError: torch knows no other way, or its way depends on the sizes.
    """
    if schema.name in interpreter.unfolding:
        raise UnsupportedError("no translation")
    interpreter.unfolding.append(schema.name)
    try:
        program = _trace(interpreter, schema, arguments)
        return _run(interpreter, program, arguments)
    finally:
        interpreter.unfolding.pop()


def is_translatable(name: str) -> bool:
    """Whether an operator has a translation, as far as its name tells."""
    from transload.convert.torch.script.ops import OPERATORS, RAW, REFUSED
    from transload.convert.torch.script.ops.containers import DICT_METHODS, LIST_METHODS, STRING_METHODS
    from transload.convert.torch.script.ops.numbers import NUMBER_OPERATORS

    base = name.partition("::")[2].partition(".")[0]
    if any(base in table for table in (LIST_METHODS, DICT_METHODS, STRING_METHODS, NUMBER_OPERATORS)):
        return True
    if name in REFUSED:
        return False
    name = _functional(name)
    if name in OPERATORS or name in RAW:
        return True
    try:
        operator = find_schema(name).operator
    except AttributeError:
        return False
    return operator in _decompositions() or operator.has_kernel_for_dispatch_key(
        torch._C.DispatchKey.CompositeImplicitAutograd
    )


def _flatten(value: Any, found: list[Any]) -> None:
    """The computed contents in arguments, in order."""
    match value:
        case ir.Value() | Complex() | Number():
            found.append(value)
        case Quantized() | Sequence() | Vector():
            raise UnsupportedError("no translation for lists whose length depends on the data, or quantized tensors")
        case list() | tuple():
            for item in value:
                _flatten(item, found)


def _fill(value: Any, given: Any) -> Any:
    """Arguments with computed contents replaced by the next ones of an iterator, dtypes as torch's."""
    match value:
        case ir.Value() | Complex() | Number():
            return next(given)
        case ir.DataType():
            return TO_TORCH[value]
        case list() | tuple():
            return [_fill(item, given) for item in value]
        case _:
            return value


class _Sizes:
    """Example sizes for the symbols in shapes: the same for the same symbol."""

    def __init__(self) -> None:
        self._hints = itertools.chain(_HINTS, itertools.count(61, 2))
        self._known: dict[str, int] = {}
        self.dynamic = False

    def of(self, value: ir.Value) -> tuple[int, ...]:
        if value.shape is None:
            raise UnsupportedError("The number of dimensions of a tensor depends on the data.")
        return tuple(self.hint(dim) for dim in value.shape)

    def hint(self, dim: int | ir.SymbolicDim) -> int:
        if isinstance(dim, int):
            return dim
        self.dynamic = True
        if dim.value is None:
            return next(self._hints)
        if dim.value not in self._known:
            self._known[dim.value] = next(self._hints)
        return self._known[dim.value]


@dataclass(frozen=True)
class _Example:
    """What stands for a content while torch takes the operator apart: a tensor without data, or a size."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None
    dynamic: tuple[bool, ...] = ()


def _trace(interpreter: Any, schema: Schema, arguments: dict[str, Any]) -> torch.fx.GraphModule:
    found: list[Any] = []
    _flatten(list(arguments.values()), found)
    sizes = _Sizes()
    examples = tuple(_example(interpreter, content, sizes) for content in found)
    key = schema.name, repr([_skeleton(value) for value in arguments.items()]), examples
    if key not in interpreter.programs:
        interpreter.programs[key] = _make(schema, arguments, examples, sizes.dynamic)
    program = interpreter.programs[key]
    if isinstance(program, Exception):
        raise program if isinstance(program, UnsupportedError) else UnsupportedError("no translation") from program
    assert isinstance(program, torch.fx.GraphModule)
    return program


def _skeleton(value: Any) -> Any:
    match value:
        case ir.Value() | Complex() | Number():
            return "·"
        case list() | tuple():
            return [_skeleton(item) for item in value]
        case _:
            return repr(value)


def _example(interpreter: Any, content: Any, sizes: _Sizes) -> _Example:
    match content:
        case Number():
            if content.kind is int and interpreter.b.symbol(content) is not None:
                return _Example((sizes.hint(ir.SymbolicDim(interpreter.b.symbol(content))),), None)
            raise UnsupportedError("no translation for an argument that depends on the data")
        case Complex(real=real):
            value, dtype = real, COMPLEX_OF[dtype_of(real)]
        case _:
            value, dtype = content, dtype_of(content)
    shape = sizes.of(value)
    dims = value.shape or ()
    return _Example(shape, TO_TORCH[dtype], tuple(not isinstance(dim, int) for dim in dims))


def _make(schema: Schema, arguments: dict[str, Any], examples: tuple[_Example, ...], dynamic: bool) -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    def call(*contents: Any) -> Any:
        given = iter(contents)
        return schema.operator(**{name: _fill(value, given) for name, value in arguments.items()})

    environment = ShapeEnv()
    mode = FakeTensorMode(shape_env=environment, static_shapes=False)

    def fake(example: _Example) -> Any:
        if example.dtype is None:
            return example.shape[0]
        # Equal hints are equal symbols; sizes known now stay numbers.
        axes = [DimDynamic.DUCK if each else DimDynamic.STATIC for each in example.dynamic]
        tensor = torch.empty(example.shape, dtype=example.dtype)
        return mode.from_tensor(tensor, symbolic_context=StatelessSymbolicContext(dynamic_sizes=axes))

    tracing: Literal["symbolic", "fake"] = "symbolic" if dynamic else "fake"
    try:
        with torch.no_grad():
            tracer = make_fx(call, tracing_mode=tracing, decomposition_table=_table(schema))
            program = tracer(*map(fake, examples))
    # torch raises anything where it cannot trace.
    except Exception as error:
        return error
    for guard in environment.guards:
        if not _holds_at_other_sizes(guard.expr):
            return UnsupportedError(f"torch's own implementation depends on the sizes ({guard.expr}).")
    return program


def _holds_at_other_sizes(condition: Any) -> bool:
    """Whether what torch found of the example's sizes, a relation in sympy, is so at small and large sizes too.

    0 and 1 are sizes apart for torch, which asks of every size whether it is one of them; what it does there is left to
    the check of the whole model.
    """
    is_about_one = condition.args[-1] in (0, 1) or (condition.rel_op == ">=" and condition.args[-1] == 2)
    symbols = sorted(condition.free_symbols, key=str)
    tries = [
        {symbol: scale + 3 * place for place, symbol in enumerate(order)}
        for scale in (_SCALES[-1:] if is_about_one else _SCALES)
        for order in (symbols, symbols[::-1])
    ]
    return all(bool(condition.subs(sizes)) for sizes in tries)


def _table(schema: Schema) -> dict[Any, Any]:
    """The decompositions for taking an operator apart, its own among them."""
    own = _all_decompositions().get(schema.operator)
    return _decompositions() | ({schema.operator: own} if own is not None else {})


@functools.cache
def _all_decompositions() -> dict[Any, Any]:
    from torch._decomp import core_aten_decompositions, decomposition_table

    return {**decomposition_table, **core_aten_decompositions()}


@functools.cache
def _decompositions() -> dict[Any, Any]:
    """torch's decompositions, without those of operators that are translated as they are, in place or not."""
    from torch._decomp import core_aten_decompositions, decomposition_table

    from transload.convert.torch.script.ops import OPERATORS

    table = {**decomposition_table, **core_aten_decompositions()}
    return {
        op: function
        for op, function in table.items()
        if isinstance(op, torch._ops.OpOverload)
        and op.namespace == "aten"
        and _functional(full_name(op)) not in OPERATORS
    }


def _functional(name: str) -> str:
    """The name of the operator that does not change its tensor."""
    base, dot, overload = name.partition(".")
    return (base if base.endswith("__") else base.removesuffix("_")) + dot + overload


def _run(interpreter: Any, program: torch.fx.GraphModule, arguments: dict[str, Any]) -> Any:
    """Interpret a traced program on contents."""
    found: list[Any] = []
    _flatten(list(arguments.values()), found)
    given = iter(found)
    placed: list[Any] = []
    env: dict[Any, Any] = {}

    def look(value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            return env[value]
        if isinstance(value, tuple | list):
            looked = [look(item) for item in value]
            return List(looked)
        return value

    for node in program.graph.nodes:
        if node.op == "placeholder":
            env[node] = interpreter.wrap(next(given))
            placed.append(env[node])
        elif node.op == "get_attr":
            constant = getattr(program, node.target)
            env[node] = interpreter.wrap(interpreter.b.constant(constant))
        elif node.op == "call_function":
            args = tuple(look(arg) for arg in node.args)
            kwargs = {key: look(value) for key, value in node.kwargs.items()}
            env[node] = _call(interpreter, node.target, args, kwargs)
        elif node.op == "output":
            result = torch.fx.node.map_arg(node.args[0], lambda each: env[each])
            interpreter.shares = _share(result, placed)
            return _contents(interpreter, result)
    raise AssertionError("a traced program ends with its output")


def _share(result: Any, placed: list[Any]) -> bool:
    """Whether a tensor of a result may be the memory of one that was given."""
    memory = {each.storage for each in placed if isinstance(each, Tensor)}
    results = result if isinstance(result, list | tuple) else [result]
    return any(isinstance(each, Tensor) and not memory.isdisjoint(reach(each.storage)) for each in results)


def _contents(interpreter: Any, result: Any) -> Any:
    if isinstance(result, list):
        return [_contents(interpreter, item) for item in result]
    if isinstance(result, tuple):
        return tuple(_contents(interpreter, item) for item in result)
    return interpreter.read(result) if isinstance(result, Tensor) else result


_PYTHON = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.truediv: "truediv",
    operator.floordiv: "floordiv",
    operator.mod: "mod",
    operator.neg: "neg",
    operator.pow: "pow",
    operator.eq: "eq",
    operator.ne: "ne",
    operator.lt: "lt",
    operator.le: "le",
    operator.gt: "gt",
    operator.ge: "ge",
    torch.sym_float: "Float",
    torch.sym_int: "Int",
    torch.sym_max: "max",
    torch.sym_min: "min",
    torch.sym_not: "__not__",
}


def _call(interpreter: Any, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from transload.convert.torch.script.ops.numbers import apply_to_numbers

    if target is operator.getitem:
        holder, index = args
        items = holder.content if isinstance(holder, List) else holder
        assert isinstance(items, list | tuple)
        return items[index]
    if target in _PYTHON:
        return apply_to_numbers(interpreter.b, _PYTHON[target], *args)
    if not isinstance(target, torch._ops.OpOverload):
        raise UnsupportedError(f"torch's own implementation calls {target}.")
    name = full_name(target)
    try:
        return interpreter.apply(name, *args, **kwargs)
    except UnsupportedError as error:
        if str(error.what) == "no translation":
            raise UnsupportedError(f"It is made of {name}, which has no translation.") from error
        raise
