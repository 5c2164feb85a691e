"""The ways to capture a module, each alone: what it takes, what it refuses, with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.source import Source, SourceKind
from transload.convert.torch.module import capture
from transload.serialize.errors import UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict
from transload.serialize.interface import Tensor as Leaf

WAYS = ("trace", "script", "export", "strict export")


def capture_by(way: str, module: torch.nn.Module, *specs: str) -> Capture:
    inputs = tuple(parse_input_spec(spec) for spec in specs)
    [alternatives] = capture(Source(SourceKind.TORCH_MODULE, None, module), ConvertOptions(inputs=inputs))
    return alternatives.ways[way]()


def random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


class Residual(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: Tensor, scale: float = 2.0) -> tuple[Tensor, Tensor]:
        y = torch.relu(self.linear(x))
        return x + y * scale, y


class Branch(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x + 1
        return x * 2


class Running(torch.nn.Module):
    """A mean over all calls: a buffer that is replaced and one that is changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.total = self.total + x.sum(0)
        return self.total / self.count


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_interface_and_answers(way: str, assert_agrees: Any) -> None:
    module = Residual().eval()
    result = capture_by(way, module, "x[n,4]")
    assert list(result.inputs) == ["x", "scale"]
    assert list(result.output_leaves()) == [
        Leaf("output_0", "float32", ("n", 4)),
        Leaf("output_1", "float32", ("n", 4)),
    ]
    assert "linear.bias" in result.model.graph.initializers
    for size in (1, 5):
        x = random(size, 4)
        first, second = module(torch.from_numpy(x))
        assert_agrees(result, {"x": x}, {"output_0": first.detach(), "output_1": second.detach()})


def test_a_trace_that_would_fix_a_branch_is_refused_with_its_line() -> None:
    with pytest.raises(UnsupportedError, match="a trace would fix") as caught:
        capture_by("trace", Branch(), "x[n]")
    [operation] = caught.value.operations
    assert operation.name == "if x.sum() > 0:"
    assert "test_ways.py:" in operation.location


def test_a_script_keeps_the_branch(assert_agrees: Any) -> None:
    result = capture_by("script", Branch(), "x[n]")
    for x in (np.ones(3, np.float32), -np.ones(4, np.float32)):
        assert_agrees(result, {"x": x}, {"output": Branch()(torch.from_numpy(x))})


def test_a_size_that_code_asks_for_is_no_value() -> None:
    class Sized(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[0] > 100:
                return x
            return x.reshape(-1)[: x.shape[0]] * 2

    assert capture_by("trace", Sized(), "x[n,3]").outputs == Leaf("output", "float32", ("n",))


def test_a_trace_through_a_higher_order_operator_is_refused() -> None:
    class Conditional(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y * 2, (x,))
            return result

    with pytest.raises(UnsupportedError, match="cannot trace"):
        capture_by("trace", Conditional(), "x[n]")


def test_code_that_is_not_torchscript_is_refused_as_a_script() -> None:
    class Generator(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return sum(item for item in (x, x))  # type: ignore[return-value]

    with pytest.raises(UnsupportedError, match="not TorchScript"):
        capture_by("script", Generator(), "x[n]")


@pytest.mark.parametrize("way", ["trace", "script", "export"])
def test_buffers_that_a_call_changes_are_declared_as_state(way: str, tmp_path: Path) -> None:
    module = Running()
    result = capture_by(way, module, "x[n,3]")
    assert {(each.name, each.input.name, each.output.name) for each in result.state} == {
        ("total", "total", "total_next"),
        ("count", "count", "count_next"),
    }
    assert module.total.tolist() == [0, 0, 0] and module.count.item() == 0
    feed = {"x": random(2, 3), "total": np.array([1, 2, 3], np.float32), "count": np.array([4], np.float32)}
    ir.save(result.model, tmp_path / "model.onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert {item.name for item in session.get_overridable_initializers()} == {"total", "count"}
    names = [item.name for item in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, feed), strict=True))
    total = feed["total"] + feed["x"].sum(0)
    np.testing.assert_allclose(outputs["total_next"], total, rtol=1e-6)
    np.testing.assert_allclose(outputs["output"], total / 5, rtol=1e-6)
    assert outputs["count_next"].tolist() == [5]


def test_a_plain_attribute_that_holds_a_tensor_is_state_too() -> None:
    class Last(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.zeros(3)

        def forward(self, x: Tensor) -> Tensor:
            y = x + self.last
            self.last = x
            return y

    module = Last()
    result = capture_by("trace", module, "x[3]")
    assert [each.name for each in result.state] == ["last"]
    assert module.last.tolist() == [0, 0, 0]


def test_state_that_no_package_can_hold_is_refused_all_at_once() -> None:
    class Strange(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0
            self.hidden: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.hidden = x if self.hidden is None else self.hidden + x
            return x * self.calls

    with pytest.raises(UnsupportedError, match="no tensors of its own before the first call") as caught:
        capture_by("trace", Strange(), "x[3]")
    assert {(operation.name, operation.reason) for operation in caught.value.operations} == {
        ("calls", "a Python int"),
        ("hidden", "not there before the first call"),
    }


def test_a_cache_that_the_first_call_fills_is_no_state() -> None:
    class Cached(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.table is None:
                self.table = torch.arange(3.0)
            return x + self.table

    assert capture_by("trace", Cached(), "x[3]").state == ()


def test_a_size_among_the_results_stays_a_number() -> None:
    class Sized(torch.nn.Module):
        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"columns": x.shape[1], "y": x * 2}

    result = capture_by("trace", Sized(), "x[n,3]")
    assert result.outputs == Dict({"columns": Constant(3), "y": Leaf("y", "float32", ("n", 3))})
    assert [value.name for value in result.model.graph.outputs] == ["y"]


def test_a_module_that_replaces_a_part_of_itself_is_no_trouble() -> None:
    class Part(torch.nn.Module):
        def __init__(self, limit: int | None) -> None:
            super().__init__()
            if limit is not None:
                self.limit = limit

        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = Part(4)

        def forward(self, x: Tensor) -> Tensor:
            self.part = Part(None)
            result: Tensor = self.part(x)
            return result

    assert capture_by("trace", Whole(), "x[n]").state == ()


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


class WithFunction(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = Doubled.apply(x)
        return y + 1


def test_a_trace_sees_into_functions_with_gradients_of_their_own(assert_agrees: Any) -> None:
    result = capture_by("trace", WithFunction(), "x[n,4]")
    for size in (1, 5):
        x = random(size, 4)
        assert_agrees(result, {"x": x}, {"output": WithFunction()(torch.from_numpy(x))})


def test_tensors_that_change_inside_of_a_list_are_refused_and_left_as_they_were() -> None:
    class Holding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = [torch.zeros(3)]
            self.sums = {"all": torch.zeros(3)}

        def forward(self, x: Tensor) -> Tensor:
            self.steps[0] = self.steps[0] + x
            self.sums["all"] += x
            return self.steps[0] * 1

    module = Holding()
    first = module.steps[0]
    with pytest.raises(UnsupportedError) as caught:
        capture_by("trace", module, "x[3]")
    assert {(each.name, each.reason) for each in caught.value.operations} == {
        ("steps/0", "a tensor inside of a container"),
        ("sums/all", "a tensor inside of a container"),
    }
    assert module.steps[0] is first
    assert module.sums["all"].tolist() == [0.0, 0.0, 0.0]


def test_dimensions_come_from_the_description_or_from_a_second_example() -> None:
    options = ConvertOptions(inputs=(parse_input_spec("x[n,4]"),), second_example={"x": random(3, 4)})
    with pytest.raises(UsageError, match="second example"):
        capture(Source(SourceKind.TORCH_MODULE, None, Residual()), options)
