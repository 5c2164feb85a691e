"""Modules whose Python code asks whether a number divides a size: dimensions in steps."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import transload as tl
from transload.serialize import Component
from transload.serialize.errors import MismatchError, UsageError
from transload.serialize.interface import Tensor as Leaf
from transload.serialize.interface import input_tensors


class Padded(torch.nn.Module):
    """As TensorFlow's `SAME` pads: by nothing where the stride divides the size, which a trace cannot know."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv1d(2, 3, 5, stride)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        # Lambdas are not TorchScript, which would follow the branch.
        missing = (lambda size: 5 - self.stride if size % self.stride == 0 else 5 - size % self.stride)(x.shape[2])
        total = max(missing, 0)
        result: Tensor = self.conv(torch.nn.functional.pad(x, (total // 2, total - total // 2)))
        return result


class AtOneSize(torch.nn.Module):
    """A trace of it is right at its size, 8, and at no other."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (lambda size: 1 if size == 8 else 2)(x.shape[1])


def convert(module: torch.nn.Module, *shape: int, spec: str = "") -> Component:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    specs = [spec] if spec else []
    [component] = tl.convert_model(module, (x,), inputs=specs, proof="quick").components
    return component


def shape_of(component: Component) -> tuple[object, ...] | None:
    [tensor] = input_tensors(component.interface)
    return tensor.shape


@pytest.mark.parametrize(("stride", "length"), [(4, 8), (3, 12), (4, 4)])
def test_the_smallest_step_that_is_right_is_found_and_said(stride: int, length: int) -> None:
    component = convert(Padded(stride), 2, 2, length)
    assert shape_of(component) == ("batch", 2, f"{stride}*x_dim2")
    assert f"The dimension 'x_dim2' varies in steps of {stride} only." in component.interface.proof.notes


def test_the_package_gives_the_module_s_answers_at_multiples_and_none_elsewhere(tmp_path: Path) -> None:
    module = Padded(4)
    x = torch.randn(1, 2, 20)
    tl.convert_model(module, (torch.randn(2, 2, 8),), proof="quick").save(tmp_path / "m.tload")
    model = tl.load(tmp_path / "m.tload")
    np.testing.assert_allclose(model(x.numpy()), module(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match=r"'4\*x_dim2' takes multiples of 4 only; it is 21"):
        model(np.zeros((1, 2, 21), np.float32))


def test_a_size_that_is_right_alone_is_no_step() -> None:
    component = convert(AtOneSize(), 2, 8)
    assert shape_of(component) == ("batch", 8)
    notes = component.interface.proof.notes
    assert not any("in steps" in note for note in notes)
    [lines] = [note for note in notes if note.startswith("Sizes became constants at ")]
    assert re.search(r"test_steps\.py:\d+: return x \* \(lambda size: 1 if size == 8 else 2\)", lines)


def test_steps_that_the_user_names_are_proven_and_other_names_are_refused_with_that_hint() -> None:
    assert shape_of(convert(Padded(4), 2, 2, 8, spec="x[n,2,4*length]")) == ("n", 2, "4*length")
    assert shape_of(convert(Padded(4), 2, 2, 16, spec="x[n,2,8*length]")) == ("n", 2, "8*length")
    with pytest.raises(MismatchError, match=r"'length' cannot be dynamic(.|\n)*32\*name"):
        convert(Padded(4), 2, 2, 8, spec="x[n,2,length]")
    with pytest.raises(MismatchError, match=r"'2\*length' cannot be dynamic"):
        convert(Padded(4), 2, 2, 8, spec="x[n,2,2*length]")


def test_an_example_between_two_steps_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'3\*length' at 8 in 'x' axis 2, which is no multiple of 3"):
        convert(Padded(4), 2, 2, 8, spec="x[n,2,3*length]")


def test_an_output_that_is_as_long_as_an_input_by_chance_does_not_get_its_name() -> None:
    class Halved(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.avg_pool1d(x, 2, ceil_mode=True)

    # Batches of 2 and 3 come with lengths of 4 and 5, of which there are 2 and 3 halves.
    component = convert(Halved(), 2, 1, 4, spec="x[n,1,length]")
    output = component.interface.outputs
    assert isinstance(output, Leaf)
    assert output.shape is not None
    assert output.shape[0] == "n"
    assert output.shape[2] not in ("n", "length", 2)
