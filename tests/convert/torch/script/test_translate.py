"""Translations as a whole: weights, sizes, checks of the program, several outputs; and what is refused."""

from __future__ import annotations

import pytest
import torch
from script_check import check, op_types, script, trace
from torch import Tensor

from transload.convert.passes.metadata import SOURCE_KEY
from transload.convert.torch.script import OPSETS, translate
from transload.serialize.errors import UnsupportedError, UsageError


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(300, 8)
        self.head = torch.nn.Linear(8, 300, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embed(tokens))


def test_weights_have_the_names_of_their_attributes_and_are_not_copied() -> None:
    module = script(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)))
    model = translate(module, {"input": torch.randn(2, 3)}, dynamic_axes={}, opset=20).model
    assert set(model.graph.initializers) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    content = model.graph.initializers["0.weight"].const_value
    assert content is not None and content.raw.data_ptr() == getattr(module, "0").weight.data_ptr()


def test_tied_weights_are_one_initializer() -> None:
    model = check(Tied(), torch.tensor([[1, 2, 299]]), dynamic={"tokens": {1: "n"}})
    assert [name for name in model.graph.initializers if "weight" in name] == ["embed.weight"]


def test_a_weight_that_is_only_read_transposed_is_stored_so() -> None:
    model = check(torch.nn.Linear(3, 4), torch.randn(2, 5, 3), dynamic={"input": {0: "n"}})
    assert "Transpose" not in op_types(model)
    assert tuple(model.graph.initializers["weight.transposed"].shape) == (3, 4)


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_is_written(opset: int) -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu").eval()
    model = check(trace(layer, torch.randn(2, 3, 8)), torch.randn(2, 3, 8), opset=opset)
    assert model.opset_imports[""] == opset


def test_another_opset_is_refused() -> None:
    with pytest.raises(UsageError, match="opset 16"):
        translate(script(Tied()), {"tokens": torch.tensor([1])}, dynamic_axes={}, opset=16)


def test_nodes_carry_the_line_that_they_come_from() -> None:
    def program(x: Tensor) -> Tensor:
        return torch.tanh(x)

    [node] = check(program, torch.randn(3)).graph
    assert node.metadata_props[SOURCE_KEY].startswith("test_translate.py:")


def test_a_check_of_the_program_is_dropped_and_noted() -> None:
    def program(x: Tensor) -> Tensor:
        assert bool(x.sum() < 1000), "too large"
        return x + 1

    result = translate(script(program), {"x": torch.zeros(3)}, dynamic_axes={}, opset=20)
    [note] = [note for note in result.notes if "check of the program" in note]
    assert "test_translate.py" in note


def test_a_program_that_raises_for_these_arguments_is_the_users_mistake() -> None:
    def program(x: Tensor, mode: str) -> Tensor:
        if mode != "sum":
            raise ValueError("unknown mode")
        return x.sum()

    with pytest.raises(UsageError, match="raises an exception"):
        translate(script(program), {"x": torch.zeros(3), "mode": "mean"}, dynamic_axes={}, opset=20)


def test_one_tensor_returned_twice_is_two_outputs() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x + 1
        return y, y

    check(program, torch.randn(3))


def test_all_that_is_unsupported_is_listed_with_its_line_nested_blocks_included() -> None:
    def program(x: Tensor) -> Tensor:
        y = torch.poisson(x)
        if bool(x.sum() > 0):
            for _ in range(3):
                y = torch.binomial(y, x)
        return y + torch.linalg.eigvals(torch.outer(x, x)).real

    with pytest.raises(UnsupportedError) as caught:
        translate(script(program), {"x": torch.rand(3)}, dynamic_axes={}, opset=20)
    found = {operation.name: operation.location for operation in caught.value.operations}
    assert set(found) == {"aten::poisson", "aten::binomial", "aten::linalg_eigvals"}
    assert "torch.binomial(y, x)" in found["aten::binomial"]


def test_complex_results_are_refused_with_the_way_out() -> None:
    def program(x: Tensor) -> Tensor:
        return torch.complex(x, x)

    with pytest.raises(UnsupportedError, match=r"(?s)complex tensor is returned.*view_as_real"):
        translate(script(program), {"x": torch.rand(3)}, dynamic_axes={}, opset=20)


def test_a_number_that_a_trace_kept_as_a_tensor_promotes_as_a_number() -> None:
    def program(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return x * 0.5, x.int() * 2, (x > 1) * 3, y.half() * 2.0, x / 2, y + torch.tensor(1.5, dtype=torch.float64)

    example = torch.arange(4), torch.randn(4)
    check(trace(program, *example), *example)
