"""Any two models are compared on the proof's inputs, and what differs is found and named."""

from __future__ import annotations

from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from onnx_files import WEIGHT, write, write_affine
from packages import linear_component

from transload.convert.compare.comparison import compare_models
from transload.convert.compare.models import PackageReference, open_models
from transload.convert.compare.result import ComparedComponent, Comparison
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.pipeline import convert_source
from transload.runtime.model import load
from transload.runtime.tuning.tune import tune_component
from transload.serialize import Package, open_package
from transload.serialize.errors import UnsupportedError, UsageError


def compare(one: Path, other: Path, inputs: list[dict[str, Any]] | None = None, **options: Any) -> Comparison:
    return compare_models(str(one), str(other), ConvertOptions(**options), inputs or [])


def only(found: Comparison) -> ComparedComponent:
    (component,) = found.components
    return component


def pack(source: Path, target: Path, **options: Any) -> Path:
    convert_source(detect_source(source), ConvertOptions(**options)).save(target)
    return target


def test_a_model_is_the_same_as_itself_under_other_names(tmp_path: Path) -> None:
    one = write_affine(tmp_path / "one.onnx")
    other = write_affine(tmp_path / "other.onnx", names=("ids", "logits"))
    found = compare(one, other)
    assert found.passed
    component = only(found)
    assert [(match.reference, match.ours) for match in component.inputs] == [("x", "ids")]
    assert [(match.reference, match.ours) for match in component.outputs] == [("y", "logits")]
    assert "matched by position" in component.notes[0]
    assert set(component.sizes["batch"]) >= {1, 2, 3}
    assert {"seed 1", "negatives", "not finite"} <= {each.case.name for each in component.sets}


def test_a_package_is_judged_itself_and_not_what_was_tuned_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = Package("m", (linear_component("forward", WEIGHT),)).save(tmp_path / "m.tload")
    tune_component(open_package(path), "forward", seconds_per_trial=0.001)
    assert load(path, threads=1).variant == "tuned"
    (opened,) = open_models(str(path), ConvertOptions())
    for run in (opened.plain, opened.optimized):
        assert isinstance(run, MethodType)
        reference = run.__self__
        assert isinstance(reference, PackageReference)
        assert reference.model.variant == "portable"


def test_one_wrong_weight_is_found_and_its_column_named(tmp_path: Path) -> None:
    wrong = WEIGHT.copy()
    wrong[2, 1] += 1e-3
    found = compare(write_affine(tmp_path / "one.onnx"), write_affine(tmp_path / "two.onnx", weight=wrong))
    assert not found.passed
    component = only(found)
    failed = next(output for each in component.sets for output in each.outputs if not output.row.passed)
    assert failed.worst[0].index[1] == 1
    assert sum(failed.histogram) == failed.row.size
    assert component.blame.startswith("blame: the graph; onnx.reference computes from the graph what ONNX Runtime")


def test_a_fault_that_the_example_does_not_show_is_found(tmp_path: Path) -> None:
    # Equal for positive numbers only.
    one = write_affine(tmp_path / "one.onnx", weight=np.eye(3, 4, dtype=np.float32))
    other = write_affine(tmp_path / "two.onnx", weight=np.eye(3, 4, dtype=np.float32), activation="Abs")
    found = compare(one, other, [{"x": np.ones((2, 3), np.float32)}])
    results = {each.case.name: each.case.result for each in only(found).sets}
    assert results["example"] == "equal"
    assert results["negatives"] == "differs"


def test_a_size_that_only_one_model_fixes_is_not_varied_and_named(tmp_path: Path) -> None:
    found = compare(write_affine(tmp_path / "one.onnx"), write_affine(tmp_path / "two.onnx", batch=5))
    assert found.passed
    component = only(found)
    assert "Axis 0 of the input 'x' is always 5 in B and was not varied." in component.notes
    assert component.sets[0].inputs == {"x": "float32[5,3]"}


def test_models_with_another_number_of_outputs_differ(tmp_path: Path) -> None:
    info = [helper.make_tensor_value_info(name, 1, ["batch", 3]) for name in ("x", "y", "z")]
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    one = write(tmp_path / "one.onnx", nodes[:1], info[:1], info[1:2], {})
    two = write(tmp_path / "two.onnx", nodes, info[:1], info[1:], {})
    found = compare(one, two)
    assert not found.passed
    assert only(found).problem.startswith("The models have another number of outputs: 1 and 2.")


def test_branches_that_ran_are_told(tmp_path: Path) -> None:
    def arm(op_type: str) -> Any:
        value = helper.make_tensor_value_info("side", 1, ["batch", 3])
        return helper.make_graph([helper.make_node(op_type, ["x"], ["side"])], op_type, [], [value])

    def build(path: Path, other: str) -> Path:
        nodes = [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
            helper.make_node("Greater", ["sum", "limit"], ["large"]),
            helper.make_node("If", ["large"], ["y"], "choose", then_branch=arm("Sin"), else_branch=arm(other)),
        ]
        info = [helper.make_tensor_value_info(name, 1, ["batch", 3]) for name in ("x", "y")]
        return write(path, nodes, info[:1], info[1:], {"limit": np.float32(-90)})

    same = compare(build(tmp_path / "one.onnx", "Cos"), build(tmp_path / "same.onnx", "Cos"))
    assert same.passed and only(same).branches == ("if at 'choose': both arms",)
    assert not compare(build(tmp_path / "one.onnx", "Cos"), build(tmp_path / "two.onnx", "Sin")).passed


def test_a_torchscript_file_is_compared_with_an_exporter_s_file_and_with_a_package(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    script, exported = tmp_path / "model.pt", tmp_path / "model.onnx"
    torch.jit.script(module).save(str(script))
    weight, bias = (each.detach().numpy() for each in module[0].parameters())
    nodes = [helper.make_node("Gemm", ["input", "w", "b"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["y"])]
    info = [helper.make_tensor_value_info(name, 1, ["n", size]) for name, size in (("input", 3), ("y", 4))]
    write(exported, nodes, info[:1], info[1:], {"w": weight, "b": bias})
    package = pack(script, tmp_path / "model.tload", inputs=(InputSpec("input", "float32", ("n", 3)),))

    # TorchScript files do not know what they take: that comes from the other side.
    assert compare(script, exported).passed
    assert compare(script, package).passed
    assert compare(package, exported).passed
    found = compare(exported, script)
    assert found.passed and found.ours.engine.startswith("torch ")

    write(exported, nodes, info[:1], info[1:], {"w": weight, "b": bias + 1e-3})
    assert not compare(script, exported).passed
    assert not compare(exported, script).passed
    assert not compare(package, exported).passed


def test_the_user_s_inputs_come_first_and_unknown_names_are_refused(tmp_path: Path) -> None:
    one, two = write_affine(tmp_path / "one.onnx"), write_affine(tmp_path / "two.onnx", names=("ids", "y"))
    feeds = [{"ids": np.ones((7, 3), np.float32)}, {"x": np.zeros((4, 3), np.float32)}]
    component = only(compare(one, two, feeds, proof="none"))
    assert [each.inputs for each in component.sets] == [{"ids": "float32[7,3]"}, {"ids": "float32[4,3]"}]
    with pytest.raises(UsageError, match="Neither model has an input 'z'"):
        compare(one, two, [{"z": np.ones((7, 3), np.float32)}])


def test_a_wider_tolerance_of_the_user_s_counts(tmp_path: Path) -> None:
    wrong = WEIGHT + np.float32(1e-3)
    one, two = write_affine(tmp_path / "one.onnx"), write_affine(tmp_path / "two.onnx", weight=wrong)
    assert not compare(one, two, proof="none").passed
    assert compare(one, two, proof="none", atol=1e-1).passed


class Untranslatable(torch.nn.Module):
    """`relu(x @ WEIGHT)` by way of an operation that has no translation."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(WEIGHT) * factor)
        self.weight: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.nextafter(x, x) @ self.weight)


def save_untranslatable(path: Path, factor: float) -> Path:
    torch.jit.script(Untranslatable(factor).eval()).save(str(path))
    with pytest.raises(UnsupportedError, match="have no translation"):
        convert_source(detect_source(path), ConvertOptions(inputs=(InputSpec("x", "float32", ("batch", 3)),)))
    return path


@pytest.mark.parametrize("swapped", [False, True])
def test_a_torchscript_without_a_translation_is_run_beside_a_graph(tmp_path: Path, swapped: bool) -> None:
    graph = write_affine(tmp_path / "graph.onnx")
    for factor, is_same in ((1.0, True), (1.01, False)):
        source = save_untranslatable(tmp_path / f"{factor}.pt", factor)
        found = compare(graph, source) if swapped else compare(source, graph)
        assert found.passed is is_same
        assert set(only(found).sizes["batch"]) >= ({1, 2, 3} if is_same else {1, 2})
        assert sum(each.case.result != "undefined" for each in only(found).sets) > 8


def test_two_sources_without_a_translation_are_compared(tmp_path: Path) -> None:
    one = save_untranslatable(tmp_path / "one.pt", 1.0)
    other = save_untranslatable(tmp_path / "other.pt", 1.5)
    described = ConvertOptions(inputs=(InputSpec("x", "float32", ("batch", 3)),))
    assert compare_models(str(one), str(one), described).passed
    assert not compare_models(str(one), str(other), described).passed
