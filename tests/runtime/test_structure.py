"""The source's structure, in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transload.runtime.structure import describe, flatten_arguments, unflatten
from transload.serialize.errors import UsageError
from transload.serialize.interface import (
    Constant,
    Dict,
    Interface,
    List,
    Node,
    Nothing,
    Proof,
    SourceRecord,
    Tensor,
    Tuple,
)


def leaf(name: str) -> Tensor:
    return Tensor(name, "float32", ("n",))


def interface(**inputs: Node) -> Interface:
    return Interface("forward", inputs, leaf("y"), {}, SourceRecord("onnx", "onnx", "1"), Proof("none"))


NESTED = interface(
    x=leaf("x"),
    cache=List((Tuple((leaf("cache/0/0"), leaf("cache/0/1"))), Dict({"key": leaf("cache/1/key")}))),
    mask=Nothing(),
    scale=Constant(2.0),
)
A, B, C, D = (np.full(1, value, np.float32) for value in range(4))


def test_nested_arguments_are_flattened_by_position_and_by_name() -> None:
    cache = [(B, C), {"key": D}]
    expected = {"x": A, "cache/0/0": B, "cache/0/1": C, "cache/1/key": D}
    assert flatten_arguments(NESTED, (A, cache), {}) == expected
    assert flatten_arguments(NESTED, (), {"cache": cache, "x": A, "mask": None, "scale": 2.0}) == expected


def test_a_parameter_without_tensors_may_be_left_out() -> None:
    declared = interface(x=leaf("x"), sizes=List((Constant(1), Constant(2))))
    assert flatten_arguments(declared, (A,), {}) == {"x": A}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((A,), {}, r"'cache' is missing(.|\n)*\[\(float32\[n\], float32\[n\]\), \{key: float32\[n\]\}\]"),
        ((A,), {"z": A}, "no parameter 'z'"),
        ((A,), {"x": A}, "'x' was given twice"),
        ((A, B, None, 2.0, 5), {}, "5 positional arguments came; the model takes 4"),
        ((A, [(B, C)]), {}, "'cache' is list of 1"),
        ((A, [(B, C), {"kee": D}]), {}, r"'cache/1' is keys \['kee'\]"),
        ((A, [(B, C), {"key": D}], B), {}, "'mask' is ndarray; the model takes None"),
        ((A, [(B, C), {"key": D}], None, 3.0), {}, "'scale' is float; the model takes 2.0"),
    ],
)
def test_arguments_of_another_structure_are_refused(args: tuple[Any, ...], kwargs: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        flatten_arguments(NESTED, args, kwargs)


def test_outputs_come_back_in_the_source_s_structure() -> None:
    point = Tuple((leaf("p/x"), leaf("p/y")), fields=("x", "y"), name="Point")
    tree = Dict({"all": List((leaf("a"), Tuple((leaf("b"),)))), "p": point, "none": Nothing(), "k": Constant(7)})
    value = unflatten(tree, {"a": A, "b": B, "p/x": C, "p/y": D})
    assert list(value) == ["all", "p", "none", "k"]
    assert value["all"] == [A, (B,)]
    assert (value["p"].x, value["p"].y, type(value["p"]).__name__) == (C, D, "Point")
    assert (value["none"], value["k"]) == (None, 7)


def test_a_tree_reads_in_one_line() -> None:
    tree = Tuple((Dict({"a": leaf("a")}), Tensor("b", "int64", None), Tensor("c", "bool", (1, None))), ("i", "j", "k"))
    assert describe(tree) == "(i={a: float32[n]}, j=int64[…], k=bool[1,?])"
