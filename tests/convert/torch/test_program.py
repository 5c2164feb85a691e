"""Exported programs, in memory and from .pt2 files: they know their inputs, and users may name their dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.source import Source, SourceKind
from transload.convert.torch.program import capture
from transload.serialize.errors import SourceError, UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict, List, Nothing, Tuple
from transload.serialize.interface import Tensor as Leaf


class Structured(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, batch: Any, scale: float, *, mask: Any = None) -> Any:
        y = self.linear(batch["x"]) * scale * mask
        return {"y": y, "nothing": None, "more": [batch["x"], y.sum(1)]}


def export_structured() -> ExportedProgram:
    rows = Dim("rows")
    return torch.export.export(
        Structured().eval(),
        ({"x": torch.zeros(3, 4)}, 1.5),
        {"mask": torch.ones(3, 1)},
        dynamic_shapes={"batch": {"x": {0: rows}}, "scale": None, "mask": {0: rows}},
    )


def capture_program(program: ExportedProgram, *specs: str, **options: Any) -> Capture:
    inputs = tuple(parse_input_spec(spec) for spec in specs)
    source = Source(SourceKind.EXPORTED_PROGRAM, None, program)
    [result] = capture(source, ConvertOptions(inputs=inputs, **options))
    return result


def random(*shape: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_program_knows_its_inputs_and_keeps_its_structure(assert_agrees: Any) -> None:
    result = capture_program(export_structured())
    rows = "batch_x_dim0"
    assert result.inputs == {
        "batch": Dict({"x": Leaf("batch/x", "float32", (rows, 4))}),
        "scale": Constant(1.5),
        "mask": Leaf("mask", "float32", (rows, 1)),
    }
    assert result.outputs == Dict(
        {
            "y": Leaf("y", "float32", (rows, 4)),
            "nothing": Nothing(),
            "more": List((Leaf("more/0", "float32", (rows, 4)), Leaf("more/1", "float32", (rows,)))),
        }
    )
    module = Structured()
    for size in (1, 5):
        x, mask = random(size, 4), random(size, 1, seed=2)
        value = module({"x": torch.from_numpy(x)}, 1.5, mask=torch.from_numpy(mask))
        assert_agrees(
            result,
            {"batch/x": x, "mask": mask},
            {"y": value["y"].detach(), "more/0": value["more"][0], "more/1": value["more"][1].detach()},
        )


def test_a_file_gives_what_the_program_in_memory_gives(tmp_path: Path, assert_agrees: Any) -> None:
    path = tmp_path / "program.pt2"
    torch.export.save(export_structured(), path)
    source = Source(SourceKind.EXPORTED_PROGRAM, path)
    [result] = capture(source, ConvertOptions(inputs=(parse_input_spec("batch/x[n,4]"),)))
    assert result.inputs["batch"] == Dict({"x": Leaf("batch/x", "float32", ("n", 4))})
    assert result.inputs["mask"] == Leaf("mask", "float32", ("n", 1))
    x, mask = random(2, 4), random(2, 1)
    value = Structured()({"x": torch.from_numpy(x)}, 1.5, mask=torch.from_numpy(mask))
    expected = {"y": value["y"].detach(), "more/0": value["more"][0], "more/1": value["more"][1].detach()}
    assert_agrees(result, {"batch/x": x, "mask": mask}, expected)


def test_the_example_that_the_program_was_exported_with_is_kept() -> None:
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.full((2, 3), 7.0),))
    assert capture_program(program).example["input"].tolist() == [[7, 7, 7], [7, 7, 7]]


def test_a_program_without_an_example_gets_one_made_up() -> None:
    program = export_structured()
    program.example_inputs = None
    result = capture_program(program)
    assert {name: array.shape for name, array in result.example.items()} == {"batch/x": (2, 4), "mask": (2, 1)}


def test_the_users_example_goes_before_the_programs() -> None:
    x, mask = random(6, 4), random(6, 1)
    result = capture_program(export_structured(), example={"batch/x": x, "mask": mask})
    np.testing.assert_array_equal(result.example["batch/x"], x)


def test_naming_a_dimension_that_the_program_fixes_is_an_error() -> None:
    with pytest.raises(UnsupportedError, match=r"'width' \(batch/x, axis 1\) is always 4"):
        capture_program(export_structured(), "batch/x[n,width]")


@pytest.mark.parametrize("spec", ["x[n,4]", "batch/x[n]"])
def test_a_description_that_fits_no_input_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match=r"batch/x"):
        capture_program(export_structured(), spec)


def test_an_example_with_another_structure_is_refused() -> None:
    with pytest.raises(UsageError, match=r"(?s)different: x.*batch/x, mask"):
        capture_program(export_structured(), example={"x": random(3, 4)})


def test_float64_runs_where_the_program_allows_it() -> None:
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(2, 3),))
    result = capture_program(program)
    wide = result.reference.run_float64({"input": random(2, 3)})
    assert wide is not None and wide["output"].dtype == np.float64


def test_a_program_with_a_dtype_baked_in_has_no_float64_run() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.mm(x, torch.ones(3, 3, dtype=torch.float32))

    result = capture_program(torch.export.export(Fixed(), (torch.zeros(2, 3),)))
    assert result.reference.run_float64({"x": random(2, 3)}) is None


def test_outputs_in_a_tuple_are_numbered() -> None:
    class Two(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x + 1, x

    result = capture_program(torch.export.export(Two(), (torch.zeros(2, 3),)))
    assert result.outputs == Tuple((Leaf("output_0", "float32", (2, 3)), Leaf("output_1", "float32", (2, 3))))


def test_every_unsupported_operator_is_listed_with_its_place(tmp_path: Path) -> None:
    class Strange(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.eigvalsh(x) + torch.erfinv(x).sum()

    program = torch.export.export(Strange(), (torch.eye(3),))
    with pytest.raises(UnsupportedError) as caught:
        capture_program(program)
    operations = {operation.name: operation.location for operation in caught.value.operations}
    assert set(operations) == {"aten._linalg_eigh.default", "prims.erf_inv.default"}
    assert all("test_program.py" in location for location in operations.values())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    torch.export.save(export_structured(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(SourceError, match="cannot be read"):
        capture(Source(SourceKind.EXPORTED_PROGRAM, path), ConvertOptions())


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    program = export_structured()
    capfd.readouterr()
    result = capture_program(program)
    result.reference.run_float64(result.example)
    assert capfd.readouterr() == ("", "")
