"""Nested values become trees, and their leaves get the names that the contract gives them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

from transload.convert.structure import build_output_tree, build_tree, map_leaves, nest
from transload.serialize.errors import UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict, List, Nothing, Tensor, Tuple, leaves


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Record:
    logits: Any
    loss: Any = None


X = np.zeros((2, 3), np.float32)


def describe(name: str, value: Any) -> Tensor | None:
    return Tensor(name, value.dtype.name, value.shape) if isinstance(value, np.ndarray) else None


def tensor(name: str) -> Tensor:
    return Tensor(name, "float32", (2, 3))


def test_leaves_below_a_parameter_are_named_by_their_path() -> None:
    tree = build_tree({"tokens": X, "more": [X, (X, None, 3)]}, describe, "batch")
    assert tree == Dict(
        {
            "tokens": tensor("batch/tokens"),
            "more": List((tensor("batch/more/0"), Tuple((tensor("batch/more/1/0"), Nothing(), Constant(3))))),
        }
    )


def test_a_parameter_that_is_a_tensor_has_the_parameters_name() -> None:
    assert build_tree(X, describe, "x") == tensor("x")


def test_named_tuples_keep_fields_and_class_name() -> None:
    assert build_tree(Pair(X, True), describe, "p") == Tuple(
        (tensor("p/left"), Constant(True)), fields=("left", "right"), name="Pair"
    )


def test_a_dataclass_is_a_dict_of_its_fields() -> None:
    assert build_output_tree(Record(X), describe) == Dict({"logits": tensor("logits"), "loss": Nothing()})


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (X, ["output"]),
        ((X, [X, X]), ["output_0", "output_1/0", "output_1/1"]),
        ([X, {"a": X}], ["output_0", "output_1/a"]),
        ({"a": X, "b": (X,)}, ["a", "b/0"]),
        (Pair(X, Pair(X, X)), ["left", "right/left", "right/right"]),
    ],
)
def test_outputs_are_named_by_keys_and_positions(value: Any, names: list[str]) -> None:
    assert [leaf.name for leaf in leaves(build_output_tree(value, describe))] == names


def test_an_output_named_like_an_input_gets_a_suffix() -> None:
    tree = build_output_tree({"x": X, "y": X}, describe, taken=["x", "x_out"])
    assert [leaf.name for leaf in leaves(tree)] == ["x_out_out", "y"]


def test_two_outputs_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="'a/b'"):
        build_output_tree({"a": {"b": X}, "a/b": X}, describe)


def test_an_unknown_class_is_refused_with_its_place() -> None:
    with pytest.raises(UnsupportedError, match=r"(?s)builtins\.set.*batch/0"):
        build_tree([{1, 2}], describe, "batch")


def test_keys_that_are_not_strings_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="key 3"):
        build_tree({3: X}, describe, "batch")


def test_mapping_leaves_keeps_every_class() -> None:
    value = {"a": [1, (2, Pair(3, None))], "r": Record(4)}
    paths: list[str] = []

    def negate(path: str, item: Any) -> Any:
        paths.append(path)
        return None if item is None else -item

    assert map_leaves(value, negate, "p") == {"a": [-1, (-2, Pair(-3, None))], "r": Record(-4)}
    assert paths == ["p/a/0", "p/a/1/0", "p/a/1/1/left", "p/a/1/1/right", "p/r/logits", "p/r/loss"]
    assert value["a"][0] == 1


def test_paths_nest_into_dicts_and_lists() -> None:
    assert nest({"x": 1, "batch/a": 2, "batch/b/0": 3, "batch/b/1": 4}) == {"x": 1, "batch": {"a": 2, "b": [3, 4]}}


def test_a_path_inside_another_value_is_refused() -> None:
    with pytest.raises(UsageError, match="x/y"):
        nest({"x": {}, "x/y": 1})
