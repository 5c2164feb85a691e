"""Exported programs that would run code when torch reads them are refused before torch sees them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from transload.convert.torch.trust import check_program_trust, is_size_expression
from transload.serialize.errors import SourceError


class Malicious:
    """Its pickle creates a file when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.pt2"
    batch = torch.export.Dim("batch")
    exported = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(4, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(exported, path)
    return path


def replace(path: Path, suffix: str, edit: Callable[[bytes], bytes]) -> Path:
    """Write the archive anew with one member changed."""
    target = path.with_name("spoiled.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as changed:
        names = [name for name in source.namelist() if name.endswith(suffix)]
        assert names
        for name in source.namelist():
            data = source.read(name)
            changed.writestr(name, edit(data) if name in names else data)
    return target


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def test_an_honest_program_passes(program: Path) -> None:
    check_program_trust(program)
    assert torch.export.load(program) is not None


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(program: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    spoiled = replace(program, "sample_inputs/model.pt", lambda data: pickled((Malicious(trace),)))
    with pytest.raises(
        SourceError, match=r"could run code(.|\n)*sample_inputs/model.pt(.|\n)*--trust-source"
    ) as caught:
        check_program_trust(spoiled)
    assert caught.value.exit_status == 4
    assert not trace.exists()


def test_the_danger_is_real(program: Path, tmp_path: Path) -> None:
    # Fails on the day torch reads sample inputs with restraint; then the check can go.
    trace = tmp_path / "trace"
    spoiled = replace(program, "sample_inputs/model.pt", lambda data: pickled(({}, Malicious(trace))))
    with pytest.raises(Exception):  # noqa: B017 - whatever torch makes of it comes after the harm
        torch.export.load(spoiled)
    assert trace.exists()


def test_a_weight_flagged_as_pickle_is_read_with_restraint(program: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    flagged = replace(
        program, "model_weights_config.json", lambda data: data.replace(b'"use_pickle": false', b'"use_pickle": true')
    )
    spoiled = replace(flagged.rename(tmp_path / "flagged.pt2"), "weight_0", lambda data: pickled(Malicious(trace)))
    with pytest.raises(SourceError, match="weights/weight_0"):
        check_program_trust(spoiled)
    assert not trace.exists()


def test_an_opaque_object_is_refused(program: Path) -> None:
    with zipfile.ZipFile(program, "a") as archive:
        archive.writestr("program/data/constants/opaque_obj_0", b"")
    with pytest.raises(SourceError, match="no tensor"):
        check_program_trust(program)


def test_a_size_expression_that_is_python_code_is_refused(program: Path) -> None:
    spoiled = replace(program, "model.json", lambda data: data.replace(b'"expr_str": "', b'"expr_str": "open(0) + '))
    with pytest.raises(SourceError, match="not an expression of sizes"):
        check_program_trust(spoiled)


@pytest.mark.parametrize(
    "text",
    [
        "s0",
        "Symbol('s31', positive=True, integer=True)",
        "2*s77 + 1",
        "Max(1, s0 - 3)",
        "FloorDiv(s0, 2)",
        "(s0 >= 2) & (s1 < 3)",
        "u0",
    ],
)
def test_expressions_of_sizes_are_known(text: str) -> None:
    assert is_size_expression(text)


@pytest.mark.parametrize(
    "text",
    ["open(0)", "s0.real", "'x y'", "Max('open(0)')", "().__class__", "s0; s1", "[s0]", "lambda: 0", "exec (s0)"],
)
def test_anything_else_is_not(text: str) -> None:
    assert not is_size_expression(text)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(SourceError, match="cannot be read"):
        check_program_trust(path)
