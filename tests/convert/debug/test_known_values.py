"""Which of a graph's values the source shows: names that mean something else are told from a capture that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from benchmarks.culprits.models import SUBJECTS
from benchmarks.culprits.suite import search_faults
from transload.convert.debug.culprit import find_changed, find_culprit
from transload.convert.debug.known_values import Fresh, find_known

X = np.array([[4.0, 16.0, 0.25]], np.float32)
TAPS = {"scaled": 2 * X, "Rsqrt": 1 / np.sqrt(2 * X), "places": np.array([[0, 1, 2]], np.int32)}
OUTPUTS = {"y": 1 / np.sqrt(2 * X) + 1}


def graph(scaling: str = "Add", last: str = "Add") -> ir.Model:
    """1 / sqrt(x + x) + 1, whose square root bears the name that the source has for its reciprocal."""
    nodes = [
        helper.make_node(scaling, ["x", "x"], ["scaled"], "scale"),
        helper.make_node("Sqrt", ["scaled"], ["Rsqrt"], "root"),
        helper.make_node("Reciprocal", ["Rsqrt"], ["inverse"], "invert"),
        helper.make_node(last, ["inverse", "one"], ["y"], "last"),
    ]
    info = [helper.make_tensor_value_info(name, 1, ["n", 3]) for name in ("x", "y")]
    one = helper.make_tensor("one", 1, [], [1.0])
    made = helper.make_graph(nodes, "made", info[:1], info[1:], [one])
    return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))


def test_a_name_that_means_something_else_is_no_known_value() -> None:
    known = find_known(graph(), {"x": X}, Fresh(graph(), {"x": X}, OUTPUTS), TAPS)
    assert known.values.keys() == {"scaled"}
    assert known.doubtful == {}
    assert find_culprit(graph(), {"x": X}, known, OUTPUTS) is None


def test_a_fault_behind_such_a_name_is_found_by_what_is_known() -> None:
    wrong = graph(last="Sub")
    found = find_culprit(wrong, {"x": X}, find_known(wrong, {"x": X}, Fresh(graph(), {"x": X}, OUTPUTS), TAPS), OUTPUTS)
    assert found is not None
    assert found.region == ("root", "invert", "last")
    changed = find_changed(found.region, wrong, graph())
    assert changed is not None and changed.name == "last"


def test_a_fault_of_the_converter_itself_is_found_where_a_fresh_capture_has_it_too() -> None:
    wrong = graph(scaling="Mul")
    known = find_known(wrong, {"x": X}, Fresh(wrong, {"x": X}, OUTPUTS), TAPS)
    assert known.doubtful.keys() == {"scaled", "Rsqrt"}
    found = find_culprit(wrong, {"x": X}, known, OUTPUTS)
    assert found is not None
    assert (found.node, found.region, found.source_name) == ("scale", ("scale",), "scaled")


def test_integers_of_another_width_are_known_in_the_graphs_own() -> None:
    nodes = [helper.make_node("ArgMax", ["x"], ["places"], axis=1, keepdims=1)]
    info = [helper.make_tensor_value_info("x", 1, [1, 3]), helper.make_tensor_value_info("places", 7, [1, 1])]
    made = helper.make_graph(nodes, "made", info[:1], info[1:])
    model = ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    fresh = Fresh(model, {"x": X}, {"places": np.array([[1]])})
    known = find_known(model, {"x": X}, fresh, {"places": np.array([[1]], np.int32)})
    assert known.values["places"].dtype == np.int64


@pytest.mark.parametrize("name", ["choosing", "tf-features"])
def test_every_fault_planted_in_a_small_model_is_named(name: str, tmp_path: Path) -> None:
    (subject,) = (each for each in SUBJECTS if each.name == name)
    answers = list(search_faults(subject, tmp_path, seed=0))
    assert len(answers) == 5
    assert [each.named for each in answers if not each.is_right] == []
    assert max(each.source_runs for each in answers) <= 8
