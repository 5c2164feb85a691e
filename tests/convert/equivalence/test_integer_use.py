"""Which values an integer input may take, read from the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from captures import graph
from onnx import helper

from transload.convert.capture import Array
from transload.convert.equivalence.integer_use import IntegerUse, Limit, find_integer_uses

TABLE = {"table": np.zeros((30, 4), np.float32)}
IDS: dict[str, tuple[str, Sequence[int | str]]] = {"ids": ("int64", ["batch", "seq"])}


def use(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, Array] = TABLE,
    inputs: dict[str, tuple[str, Sequence[int | str]]] = IDS,
    output: str = "float32",
) -> IntegerUse:
    return find_integer_uses(ir.serde.deserialize_model(graph(nodes, inputs, {"y": output}, weights)))["ids"]


def test_an_embedding_limits_ids_to_its_rows() -> None:
    assert use([helper.make_node("Gather", ["table", "ids"], ["y"])]) == IntegerUse("index", (Limit(30),))


def test_the_axis_says_which_size_counts() -> None:
    assert use([helper.make_node("Gather", ["table", "ids"], ["y"], axis=1)]).limits == (Limit(4),)


CARRYING = [
    [("Cast", {"to": 6}, [])],
    [("Reshape", {}, ["flat"])],
    [("Unsqueeze", {}, ["axis"])],
    [("Unsqueeze", {}, ["axis"]), ("Squeeze", {}, ["axis"])],
    [("Transpose", {"perm": [1, 0]}, [])],
    [("Identity", {}, [])],
    [("Flatten", {}, [])],
    [("Slice", {}, ["axis", "one", "axis"])],
    [("Expand", {}, ["shape"])],
    [("Cast", {"to": 1}, []), ("Cast", {"to": 7}, [])],
]


@pytest.mark.parametrize("steps", CARRYING, ids=lambda steps: " ".join(step[0] for step in steps))
def test_ids_are_followed_through_what_only_carries_them(steps: list[tuple[str, dict[str, object], list[str]]]) -> None:
    constants = {"flat": np.array([-1]), "axis": np.array([0]), "one": np.array([1]), "shape": np.array([3, 1, 1])}
    nodes, value = [], "ids"
    for number, (op_type, attributes, more) in enumerate(steps):
        nodes.append(helper.make_node(op_type, [value, *more], [f"v{number}"], **attributes))
        value = f"v{number}"
    nodes.append(helper.make_node("Gather", ["table", value], ["y"]))
    assert use(nodes, TABLE | constants) == IntegerUse("index", (Limit(30),))


def test_ids_joined_with_others_are_still_limited() -> None:
    nodes = [
        helper.make_node("Concat", ["ids", "more"], ["all"], axis=1),
        helper.make_node("Gather", ["table", "all"], ["y"]),
    ]
    assert use(nodes, TABLE | {"more": np.zeros((2, 1), np.int64)}).limits == (Limit(30),)


def test_all_tables_that_ids_reach_count() -> None:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"]),
        helper.make_node("Gather", ["small", "ids"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    assert set(use(nodes, TABLE | {"small": np.zeros((3, 4), np.float32)}).limits) == {Limit(30), Limit(3)}


def test_what_is_added_before_the_table_counts() -> None:
    nodes = [helper.make_node("Add", ["ids", "two"], ["moved"]), helper.make_node("Gather", ["table", "moved"], ["y"])]
    assert use(nodes, TABLE | {"two": np.array(2)}).limits == (Limit(30, offset=2),)


def test_what_is_subtracted_before_the_table_raises_the_lowest_value() -> None:
    nodes = [helper.make_node("Sub", ["ids", "one"], ["moved"]), helper.make_node("Gather", ["table", "moved"], ["y"])]
    assert use(nodes, TABLE | {"one": np.array(1)}).limits == (Limit(30, offset=-1, low=1),)


def test_the_branch_that_wraps_negative_indices_sets_no_limit() -> None:
    nodes = [
        helper.make_node("Add", ["ids", "rows"], ["wrapped"]),
        helper.make_node("Less", ["ids", "zero"], ["negative"]),
        helper.make_node("Where", ["negative", "wrapped", "ids"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["y"]),
    ]
    assert use(nodes, TABLE | {"rows": np.array(30), "zero": np.array(0)}) == IntegerUse("index", (Limit(30),))


def test_a_table_that_is_computed_is_measured_by_its_shape() -> None:
    nodes = [
        helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        helper.make_node("Gather", ["turned", "ids"], ["y"]),
    ]
    assert use(nodes).limits == (Limit(4),)


def test_an_index_into_another_input_is_limited_by_its_dimension() -> None:
    inputs = IDS | {"x": ("float32", ["batch", "time", 3])}
    nodes = [helper.make_node("Gather", ["x", "ids"], ["y"], axis=1)]
    assert use(nodes, {}, inputs).limits == (Limit("time"),)


def test_element_and_nd_gathering_and_scattering_are_limited() -> None:
    assert use([helper.make_node("GatherElements", ["table", "ids"], ["y"], axis=1)]).limits == (Limit(4),)
    inputs: dict[str, tuple[str, Sequence[int | str]]] = {"ids": ("int64", ["batch", 2])}
    nd = use([helper.make_node("GatherND", ["table", "ids"], ["y"])], TABLE, inputs)
    assert set(nd.limits) == {Limit(30), Limit(4)}
    scatter = helper.make_node("ScatterElements", ["table", "ids", "table"], ["y"], axis=0)
    assert use([scatter]).limits == (Limit(30),)


def test_one_hot_is_limited_by_its_depth() -> None:
    nodes = [helper.make_node("OneHot", ["ids", "depth", "values"], ["y"])]
    assert use(nodes, {"depth": np.array(5), "values": np.array([0, 1], np.float32)}).limits == (Limit(5),)


def test_sequence_lengths_lie_between_one_and_the_time_dimension() -> None:
    inputs: dict[str, tuple[str, Sequence[int | str]]] = {
        "ids": ("int32", ["batch"]),
        "x": ("float32", ["time", "batch", 3]),
    }
    weights = {"w": np.zeros((1, 6, 3), np.float32), "r": np.zeros((1, 6, 2), np.float32)}
    nodes = [helper.make_node("GRU", ["x", "w", "r", "", "ids"], ["y"], hidden_size=2)]
    assert use(nodes, weights, inputs).limits == (Limit("time", offset=-1, low=1),)


def test_ids_in_a_branch_are_followed() -> None:
    gather = helper.make_node("Gather", ["table", "ids"], ["branch"])
    body = helper.make_graph([gather], "body", [], [helper.make_tensor_value_info("branch", 1, None)])
    condition = {"yes": np.array(True)}
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)]
    assert use(nodes, TABLE | condition).limits == (Limit(30),)


@pytest.mark.parametrize("op_type", ["Add", "Mul", "Max", "Equal"])
def test_arithmetic_takes_any_value(op_type: str) -> None:
    nodes = [helper.make_node(op_type, ["ids", "ids"], ["y"])]
    assert use(nodes, output="bool" if op_type == "Equal" else "int64") == IntegerUse("calculation")


def test_division_by_a_constant_takes_any_value_but_a_divisor_does_not() -> None:
    three = {"three": np.array(3), "minus": np.array(-1)}
    assert use([helper.make_node("Div", ["ids", "three"], ["y"])], three, output="int64").kind == "calculation"
    # The lowest integer divided by -1 stops the process.
    assert use([helper.make_node("Div", ["ids", "minus"], ["y"])], three, output="int64").kind == "unknown"
    assert use([helper.make_node("Div", ["three", "ids"], ["y"])], three, output="int64").kind == "unknown"


def test_values_that_become_shapes_are_not_played_with() -> None:
    inputs: dict[str, tuple[str, Sequence[int | str]]] = {"ids": ("int64", [2])}
    assert use([helper.make_node("ConstantOfShape", ["ids"], ["y"])], {}, inputs).kind == "unknown"
    assert use([helper.make_node("Expand", ["table", "ids"], ["y"])], TABLE, inputs).kind == "unknown"


def test_an_index_that_was_multiplied_is_not_guessed() -> None:
    nodes = [
        helper.make_node("Mul", ["ids", "ids"], ["square"]),
        helper.make_node("Gather", ["table", "square"], ["y"]),
    ]
    assert use(nodes) == IntegerUse("unknown")


def test_the_model_is_not_changed() -> None:
    nodes = [
        helper.make_node("Transpose", ["table"], ["t"], perm=[1, 0]),
        helper.make_node("Gather", ["t", "ids"], ["y"]),
    ]
    model = ir.serde.deserialize_model(graph(nodes, IDS, {"y": "float32"}, TABLE))
    before = ir.serde.serialize_model(model).SerializeToString()
    find_integer_uses(model)
    assert ir.serde.serialize_model(model).SerializeToString() == before
