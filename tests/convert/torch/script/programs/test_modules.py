"""Modules as people script them: submodules, methods, forks, checks, constants, notes of where nodes come from."""

from __future__ import annotations

from typing import Optional

import pytest
import torch
from script_check import check, refusal, script
from torch import Tensor, nn

from transload.convert.passes.metadata import SOURCE_KEY
from transload.convert.torch.script import translate

ROWS = {"x": {0: "n"}}


def others(*sizes: int) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(size, 4),) for size in sizes]


class Blocks(nn.Module):
    __constants__ = ("scales",)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Sequential(nn.Linear(4, 2), nn.Tanh())})
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(4)) for _ in range(2)])
        self.scales = [0.5, 1.0, 2.0]
        self.skip = True

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        seen: list[Tensor] = []
        for i, (layer, scale) in enumerate(zip(self.layers, self.scales)):
            x = i + torch.relu(layer(x)) * scale + (x if self.skip else x * 0)
            seen.append(x)
        for weight in self.weights:
            x = x * weight
        found: dict[str, Tensor] = {"x": x, "last": self.layers[-1](seen[1])}
        for name, head in self.heads.items():
            found[name] = head(x)
        return found


class Dense(nn.Module):
    """Every layer sees all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4 * (i + 1), 4) for i in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


class Helpers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def scale(self, x: Tensor, by: float = 2.0) -> Tensor:
        if by == 1.0:
            return x
        return x * by

    @torch.jit.export
    def twice(self, x: Tensor) -> Tensor:
        return self.scale(self.inner(x)) + self.scale(x, by=1.0)

    @torch.jit.unused
    def broken(self, x):  # type: ignore[no-untyped-def]
        return x[object()]

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.twice(x)
        if self.training:
            y = self.broken(y)
        return y


class Forking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        futures: list[torch.jit.Future[Tensor]] = []
        for layer in self.layers:
            futures.append(torch.jit.fork(layer, x))
        total = torch.zeros_like(x)
        for future in futures:
            total = total + torch.jit.wait(future)
        return total


class Gated(nn.Module):
    """A submodule that the data chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.cheap = nn.Linear(4, 4)
        self.dear = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
        self.exits = nn.ModuleList([nn.Linear(4, 1) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for gate in self.exits:
            x = self.dear(x) if bool(x.mean() > 0) else self.cheap(x)
            if bool(torch.sigmoid(gate(x)).mean() > 0.5):
                return x
        return x * 2


class Normalizing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.norm = nn.LayerNorm(4)
        self.register_buffer("mean", torch.randn(4))
        self.offset: Optional[Tensor] = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x) - self.mean)
        if self.offset is not None:
            x = x + self.offset
        return x


class Recursive(nn.Module):
    def forward(self, x: Tensor, depth: int = 3) -> Tensor:
        while depth > 0:
            x = x + depth
            depth -= 1
        return x


@pytest.mark.parametrize("module", [Blocks, Dense, Helpers, Forking, Gated, Normalizing])
def test_modules_take_other_batches(module: type[nn.Module]) -> None:
    torch.manual_seed(1)
    check(module(), torch.randn(3, 4), dynamic=ROWS, others=others(1, 5, 8))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_data_chooses_the_submodule(sign: float) -> None:
    torch.manual_seed(2)
    check(Gated(), torch.rand(3, 4), dynamic=ROWS, others=[(torch.rand(2, 4) * sign * 9,)])


def test_a_default_is_taken() -> None:
    check(Recursive(), torch.randn(2))
    check(Recursive(), torch.randn(2), 0)


def test_another_method_than_forward() -> None:
    check(Helpers(), torch.randn(3, 4), method="twice", dynamic=ROWS, others=others(1))


def test_nodes_inside_branches_and_loops_carry_their_lines() -> None:
    def program(x: Tensor) -> Tensor:
        for i in range(x.shape[0]):
            if bool(x.sum() > 0):
                x = torch.tanh(x) + i
        return x

    model = translate(script(program), {"x": torch.randn(3)}, dynamic_axes=ROWS, opset=20).model
    lines = {node.op_type: node.metadata_props.get(SOURCE_KEY, "") for node in model.graph.all_nodes()}
    assert {"Loop", "If", "Tanh"} <= lines.keys()
    assert all(line.startswith("test_modules.py:") for line in lines.values())
    assert len({lines["Loop"], lines["If"], lines["Tanh"]}) == 3


def test_assertions_and_raises_are_dropped_and_noted_each() -> None:
    def program(x: Tensor) -> Tensor:
        assert x.dim() == 2, f"expected two dimensions, got {x.dim()}"
        if bool((x < -100).any()):
            raise ValueError("too small: {}".format(x.min()))
        if x.shape[1] != 4:
            raise ValueError(f"{x.shape[1]} columns")
        assert bool((x < 100).all())
        return x * 2

    result = translate(script(program), {"x": torch.randn(3, 4)}, dynamic_axes=ROWS, opset=20)
    notes = [note for note in result.notes if "check of the program" in note]
    assert len(notes) == 2
    check(program, torch.randn(3, 4), dynamic=ROWS, others=others(1))


def test_printing_and_warning_do_nothing() -> None:
    def program(x: Tensor) -> Tensor:
        print("x is", x, x.shape)
        if bool(x.sum() > 0):
            torch.warnings.warn("positive")
            x = x * 2
        return x

    def quiet(x: Tensor) -> Tensor:
        print("x is", x.shape)
        return x * 2

    check(quiet, torch.randn(3, 4), dynamic=ROWS, others=others(1))
    assert program is not None


def test_a_number_that_depends_on_the_data_cannot_be_returned() -> None:
    def program(x: Tensor) -> tuple[Tensor, int]:
        count = 0
        for row in x:
            if bool(row.sum() > 0):
                count += 1
        return x, count

    assert "number" in str(refusal(program, torch.randn(3, 4), dynamic=ROWS))


def test_a_tensor_that_may_be_none_cannot_be_returned() -> None:
    def program(x: Tensor) -> Optional[Tensor]:
        if bool(x.sum() > 0):
            return x
        return None

    assert "None" in str(refusal(program, torch.randn(3, 4)))


def test_a_list_of_unknown_length_cannot_be_returned() -> None:
    def program(x: Tensor) -> list[Tensor]:
        return [row * 2 for row in x]

    assert "number of tensors" in str(refusal(program, torch.randn(3, 4), dynamic=ROWS))
