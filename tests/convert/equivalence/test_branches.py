"""Both sides of each branch and two trip counts of each loop are reached where inputs can be found."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from captures import FunctionReference, capture, check, graph, randn
from onnx import helper

from transload.convert.capture import Array
from transload.convert.equivalence.branches import watch_branches
from transload.serialize.errors import MismatchError


def branch(op_type: str) -> onnx.GraphProto:
    node = helper.make_node(op_type, ["x"], ["side"])
    return helper.make_graph([node], op_type, [], [helper.make_tensor_value_info("side", 1, ["batch", 3])])


def branching(limit: float, other: str = "Cos") -> onnx.ModelProto:
    """sin(x) where the sum of x is above a limit, else another function of x."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "limit"], ["large"]),
        helper.make_node("If", ["large"], ["y"], then_branch=branch("Sin"), else_branch=branch(other), name="choose"),
    ]
    return graph(nodes, {"x": ("float32", ["batch", 3])}, {"y": "float32"}, {"limit": np.float32(limit)})


def source(limit: float) -> FunctionReference:
    def choose(x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            result: Array = np.sin(x) if x.sum() > limit else np.cos(x)
        return result

    return FunctionReference(choose, ["y"])


@pytest.mark.parametrize("limit", [0.0, 50.0, -50.0, 200.0])
def test_a_fault_in_either_branch_is_caught(limit: float) -> None:
    with pytest.raises(MismatchError, match="y: DIFFERS"):
        model = branching(limit, other="Sin")
        check(capture(model, source(limit), {"x": randn(2, 3)}), model)


def test_a_healthy_branch_raises_no_alarm_and_leaves_no_note() -> None:
    model = branching(50.0)
    evidence = check(capture(model, source(50.0), {"x": randn(2, 3)}), model)
    assert not any("No input set" in note for note in evidence.proof.notes)


def test_a_side_that_no_input_reaches_is_named() -> None:
    model = branching(1e30)
    evidence = check(capture(model, source(1e30), {"x": randn(2, 3)}), model)
    assert "No input set was found for which the condition of If 'choose' is true." in evidence.proof.notes


def looping() -> onnx.ModelProto:
    """Adds 1 to x as often as x has rows."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["carried", "one"], ["next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("carried", 1, None),
        ],
        [helper.make_tensor_value_info("go_on", 9, []), helper.make_tensor_value_info("next", 1, None)],
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["rows1"], start=0, end=1),
        helper.make_node("Squeeze", ["rows1"], ["rows"]),
        helper.make_node("Loop", ["rows", "", "x"], ["y"], body=body, name="repeat"),
    ]
    return graph(nodes, {"x": ("float32", ["batch", 3])}, {"y": "float32"}, {"one": np.float32(1)})


def visit(model: onnx.ModelProto, *feeds: Array) -> list[Any]:
    coverage = watch_branches(ir.serde.deserialize_model(model))
    assert coverage is not None
    return [coverage.visit({"x": x}) for x in feeds] + [coverage.missing()]


def test_trip_counts_are_seen() -> None:
    first, again, other, missing = visit(looping(), randn(2, 3), randn(2, 3), randn(5, 3))
    assert (first, again, other, missing) == (True, False, True, [])


def test_a_loop_with_one_trip_count_is_named() -> None:
    *_, missing = visit(looping(), randn(4, 3))
    assert missing == ["The loop Loop 'repeat' was tried with 4 trips only; no input set was found that changes it."]


def test_a_healthy_loop_passes_at_several_trip_counts() -> None:
    model = looping()
    evidence = check(
        capture(model, FunctionReference(lambda x: x + np.float32(len(x)), ["y"]), {"x": randn(2, 3)}), model
    )
    assert not any("trips only" in note for note in evidence.proof.notes)


def test_a_graph_without_branches_is_not_watched_and_none_is_changed() -> None:
    plain = graph([helper.make_node("Sin", ["x"], ["y"])], {"x": ("float32", [3])}, {"y": "float32"})
    assert watch_branches(ir.serde.deserialize_model(plain)) is None
    model = ir.serde.deserialize_model(looping())
    before = ir.serde.serialize_model(model).SerializeToString()
    assert watch_branches(model) is not None
    assert ir.serde.serialize_model(model).SerializeToString() == before


def test_nothing_is_tried_unasked_where_integers_are_divided() -> None:
    # A divisor of 0 ends the process in ONNX Runtime; only the source can refuse it, and it is asked first.
    nodes = [
        helper.make_node("Div", ["hundred", "by"], ["quotient"]),
        helper.make_node("ReduceMax", ["quotient"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "thousand"], ["large"]),
        helper.make_node("If", ["large"], ["y"], then_branch=branch("Sin"), else_branch=branch("Cos")),
    ]
    inputs = {"x": ("float32", ["batch", 3]), "by": ("int64", [3])}
    model = graph(nodes, inputs, {"y": "float32"}, {"hundred": np.array(100), "thousand": np.array(1000)})

    def divide(x: Array, by: Array) -> Array:
        if not by.all():
            raise ZeroDivisionError
        with np.errstate(invalid="ignore"):
            result: Array = np.cos(x)
        return result

    made = capture(model, FunctionReference(divide, ["y"]), {"x": randn(2, 3), "by": np.array([1, 2, 3])})
    assert any("No input set was found" in note for note in check(made, model).proof.notes)


def nested() -> onnx.ModelProto:
    """As often as x has rows: where the sum is above the limit, cos(x), else inside of another branch sin(x) or x."""
    inner = helper.make_node(
        "If", ["negative"], ["inner"], name="inner", then_branch=branch("Sin"), else_branch=branch("Identity")
    )
    below = helper.make_graph([inner], "below", [], [helper.make_tensor_value_info("inner", 1, None)])
    outer = helper.make_node("If", ["large"], ["next"], name="outer", then_branch=branch("Cos"), else_branch=below)
    body = helper.make_graph(
        [outer, helper.make_node("Identity", ["go"], ["go_on"])],
        "body",
        [
            helper.make_tensor_value_info("turn", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("carried", 1, None),
        ],
        [helper.make_tensor_value_info("go_on", 9, []), helper.make_tensor_value_info("next", 1, None)],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "limit"], ["large"]),
        helper.make_node("Less", ["sum", "zero"], ["negative"]),
        helper.make_node("Loop", ["rows", "", "x"], ["y"], body=body, name="repeat"),
    ]
    inputs = {"x": ("float32", ["batch", 3]), "rows": ("int64", [])}
    return graph(nodes, inputs, {"y": "float32"}, {"limit": np.float32(5), "zero": np.float32(0)})


def test_branches_inside_of_loops_and_branches_are_watched() -> None:
    coverage = watch_branches(ir.serde.deserialize_model(nested()))
    assert coverage is not None
    coverage.visit({"x": np.full((1, 3), 9, np.float32), "rows": np.array(0)})
    assert coverage.reached() == [
        "loop at 'repeat': 0 trips only",
        "never reached: if at 'outer'",
        "never reached: if at 'inner'",
    ]
    coverage.visit({"x": np.full((1, 3), 9, np.float32), "rows": np.array(2)})
    assert coverage.reached()[1:] == ["if at 'outer': only when true", "never reached: if at 'inner'"]
    assert coverage.missing() == [
        "No input set was found for which the condition of If 'outer' is false.",
        "No input set was found that reaches If 'inner'.",
    ]
    coverage.visit({"x": np.full((1, 3), 1, np.float32), "rows": np.array(3)})
    coverage.visit({"x": np.full((1, 3), -1, np.float32), "rows": np.array(1)})
    assert coverage.reached() == [
        "loop at 'repeat': 0 to 3 trips",
        "if at 'outer': both arms",
        "if at 'inner': both arms",
    ]
    assert coverage.missing() == []
