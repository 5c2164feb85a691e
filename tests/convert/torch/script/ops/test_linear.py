"""Products of matrices and vectors: element types, empty tensors, what is scaled and added."""

from __future__ import annotations

import pytest
import torch
from script_check import check, op_types

INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def matmul(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return one @ other


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around(dtype: torch.dtype) -> None:
    check(matmul, torch.randint(0, 100, (3, 50)).to(dtype), torch.randint(0, 100, (50, 2)).to(dtype))


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 3), (3,)), ((3,), (3, 0)), ((0,), (0,)), ((2, 0), (0,)), ((2, 0), (0, 3)), ((0, 2, 3), (3, 4)), ((3,), (3,))],
)
def test_empty_tensors_and_vectors(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    check(matmul, torch.randn(one), torch.randn(other))


def test_no_rows_times_a_vector_where_the_number_of_rows_is_dynamic() -> None:
    vector = torch.randn(3)
    check(matmul, torch.randn(2, 3), vector, dynamic={"one": {0: "rows"}}, others=[(torch.randn(0, 3), vector)])


def test_beta_zero_does_not_read_what_it_scales() -> None:
    def add(added: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.addmm(added, one, other, beta=0),
            torch.addmm(added, one, other, beta=0.5, alpha=-2.0),
            torch.addmm(added[0], one, other),
        ]

    check(add, torch.full((2, 4), torch.nan), torch.randn(2, 3), torch.randn(3, 4))
    check(add, torch.randn(2, 4).double(), torch.randn(2, 3).double(), torch.randn(3, 4).double())


def test_integers_are_scaled_as_integers() -> None:
    def add(added: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.addmm(added, one, other, beta=3, alpha=-2)

    check(add, torch.randint(-9, 9, (2, 4)), torch.randint(-9, 9, (2, 3)), torch.randint(-9, 9, (3, 4)))


def test_a_layer_without_inputs_gives_its_bias() -> None:
    def layer(value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(value, weight, bias)

    check(layer, torch.zeros(2, 0), torch.zeros(3, 0), torch.randn(3))


def test_a_layer_over_a_batch_stays_one_node() -> None:
    model = check(
        torch.nn.Linear(3, 4), torch.randn(2, 3), dynamic={"input": {0: "batch"}}, others=[(torch.randn(5, 3),)]
    )
    assert op_types(model) == ["Gemm"]


def test_bilinear_layers_take_any_batch() -> None:
    others = [(torch.randn(1, 7, 3), torch.randn(1, 7, 4))]
    dynamic = {"input1": {0: "batch", 1: "time"}, "input2": {0: "batch", 1: "time"}}
    check(torch.nn.Bilinear(3, 4, 5), torch.randn(2, 6, 3), torch.randn(2, 6, 4), dynamic=dynamic, others=others)
    check(torch.nn.Bilinear(3, 4, 5, bias=False), torch.randn(3), torch.randn(4))


def test_chains_of_matrices_with_vectors_at_their_ends() -> None:
    def chain(row: torch.Tensor, one: torch.Tensor, other: torch.Tensor, column: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.linalg.multi_dot([row, one, other, column]),
            torch.linalg.multi_dot([one, other]),
            torch.linalg.multi_dot([one, other, column]),
        ]

    parts = [torch.randn(each).double() for each in [(4,), (4, 50), (50, 3), (3,)]]
    bigger = [torch.randn(each).double() for each in [(4,), (4, 9), (9, 3), (3,)]]
    check(chain, *parts, dynamic={"one": {1: "k"}, "other": {0: "k"}}, others=[tuple(bigger)])


def test_rows_are_multiplied_by_the_matrix_of_their_group() -> None:
    def mix(rows: torch.Tensor, matrices: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return torch._grouped_mm(rows, matrices.transpose(1, 2), offs=offsets)

    matrices = torch.randn(3, 8, 4)
    others = [
        (torch.randn(2, 4), matrices, torch.tensor([0, 0, 2], dtype=torch.int32)),
        (torch.randn(7, 4), matrices, torch.tensor([7, 7, 7], dtype=torch.int32)),
    ]
    args = torch.randn(6, 4), matrices, torch.tensor([1, 4, 6], dtype=torch.int32)
    check(mix, *args, dynamic={"rows": {0: "n"}}, others=others)
