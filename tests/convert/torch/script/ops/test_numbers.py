"""Python numbers: every operator of TorchScript over numbers, with all numbers known and with all computed."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from transload.convert.torch.script.builder import IR_VERSION, Builder
from transload.convert.torch.script.dtypes import NUMBER_DTYPE
from transload.convert.torch.script.ops.numbers import KINDS, NUMBER_OPERATORS, apply_operator
from transload.convert.torch.script.schemas import find_schema
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

VALUES: dict[type, list[Any]] = {
    int: [0, 1, 2, 3, 5, -1, -2, -7, 10],
    float: [0.0, 1.0, 0.5, 2.5, -1.5, 3.5, -2.5, 0.1, 5.0, 7.3, -0.25],
    bool: [True, False],
}
UNDEFINED_AT_ZERO = frozenset({"floordiv", "remainder", "mod", "fmod", "div", "truediv", "floor_divide", "log"})
"""torch raises for these, or ends the process, or the quotient of logarithms depends on the sign of zero."""

REFUSED = frozenset(
    {
        "Complex", "gamma", "factorial", "gcd", "ldexp", "mathremainder", "__lshift__", "__rshift__", "__range_length",
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cosh", "sinh", "tan", "erf", "erfc",
    }
)  # fmt: skip
"""These are not computed by the graph: ONNX Runtime has no kernels for doubles, or ONNX has no such operator."""


def _operators() -> list[str]:
    found = []
    for schema in torch._C._jit_get_all_schemas():
        base = schema.name.removeprefix("aten::")
        kinds = [str(each.type) for each in schema.arguments]
        if base in NUMBER_OPERATORS and kinds and all(kind in KINDS for kind in kinds) and len(schema.returns) == 1:
            found.append(f"{schema.name}.{schema.overload_name}".removesuffix("."))
    # No program calls it: `**` of integers is aten::pow.int.
    return sorted(set(found) - {"aten::pow.int_to_int"})


def _arguments(name: str) -> list[tuple[Any, ...]]:
    base = name.removeprefix("aten::").partition(".")[0]
    kinds = [KINDS[each.type] for each in find_schema(name).arguments]
    found = list(itertools.product(*(VALUES[kind] for kind in kinds)))
    if base in UNDEFINED_AT_ZERO:
        found = [each for each in found if len(each) < 2 or each[1] != 0]
    if base == "log":
        found = [each for each in found if all(number > 0 for number in each) and (len(each) < 2 or each[1] != 1)]
    if "shift" in base:
        found = [each for each in found if each[1] >= 0]
    if base == "pow":
        found = [each for each in found if each[0] != 0 or each[1] >= 0]
    if base == "__range_length":
        found = [each for each in found if each[2] != 0]
    return [each for each in found if base != "factorial" or each[0] >= 0]


def _expected(name: str, args: tuple[Any, ...]) -> Any:
    return find_schema(name).operator(*args)


def _same(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and (
        ours == theirs or (ours != ours and theirs != theirs) or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
    )


@pytest.mark.parametrize("name", _operators())
def test_known_numbers_give_what_torch_gives(name: str) -> None:
    schema = find_schema(name)
    for args in _arguments(name):
        theirs = _expected(name, args)
        ours = apply_operator(Builder(20), schema, *args)
        assert _same(ours, theirs), (args, ours, theirs)


@pytest.mark.parametrize("name", _operators())
def test_computed_numbers_give_what_torch_gives(name: str) -> None:
    schema = find_schema(name)
    b = Builder(20)
    kinds = [KINDS[each.type] for each in schema.arguments]
    inputs = [ir.val(f"x{index}", NUMBER_DTYPE[kind], []) for index, kind in enumerate(kinds)]
    try:
        result = apply_operator(b, schema, *(Number(value, kind) for value, kind in zip(inputs, kinds, strict=True)))
    except UnsupportedError:
        assert name.removeprefix("aten::").partition(".")[0] in REFUSED
        return
    if not isinstance(result, Number):
        assert all(result == _expected(name, args) for args in _arguments(name))
        return
    assert result.kind is KINDS[schema.result]
    b.graph.inputs.extend(inputs)
    b.graph.outputs.append(b.Identity(result.value))
    model = ir.to_proto(ir.Model(b.graph, ir_version=IR_VERSION))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for args in _arguments(name):
        feed = {value.name: np.array(arg) for value, arg in zip(inputs, args, strict=True)}
        [ours] = session.run(None, feed)
        assert _same(KINDS[schema.result](ours), _expected(name, args)), (args, ours)


def test_one_known_and_one_computed_number_keep_the_type() -> None:
    b = Builder(20)
    whole = Number(ir.val("x", ir.DataType.INT64, []), int)
    truth = Number(ir.val("y", ir.DataType.BOOL, []), bool)
    assert apply_operator(b, find_schema("aten::add.int_float"), whole, 0.0).kind is float
    assert apply_operator(b, find_schema("aten::mul.int"), whole, 1) is whole
    assert apply_operator(b, find_schema("aten::add.int"), truth, 0).kind is int
