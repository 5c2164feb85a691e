"""The fuzzer of conversions itself: it finds ends that nobody classified, and what it spoils is mostly still read."""

from __future__ import annotations

import random
import zipfile
from io import BytesIO
from pathlib import Path

import fuzz_convert
import mutations
import onnx
import pytest
from onnx import TensorProto, helper

from transload.convert import supervisor
from transload.serialize.errors import ExecutionError, SourceError, WorkerError


def model() -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", values[:1], values[1:])
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    return data


def archive() -> bytes:
    return mutations.write_archive(
        {"m/code/m.py": b"def forward(self, x):\n  return torch.add(x, 1)\n", "m/data.pkl": b"x"}
    )


@pytest.mark.parametrize("data", [model(), archive()], ids=["message", "archive"])
def test_a_spoiled_copy_is_another_file_and_the_same_for_the_same_number(data: bytes) -> None:
    spoiled = [mutations.mutate(data, [data], random.Random(number)) for number in range(200)]
    assert spoiled == [mutations.mutate(data, [data], random.Random(number)) for number in range(200)]
    assert len(set(spoiled)) > 100


def test_most_spoiled_messages_are_still_messages_and_archives_still_archives() -> None:
    parsed = [mutations.parse(mutations.mutate(model(), [], random.Random(number))) for number in range(200)]
    assert sum(each is not None for each in parsed) > 150
    spoiled = [mutations.mutate(archive(), [], random.Random(number)) for number in range(200)]
    assert sum(zipfile.is_zipfile(BytesIO(each)) for each in spoiled) > 150


def test_a_message_that_is_taken_apart_is_put_together_the_same() -> None:
    nodes = mutations.parse(model())
    assert nodes is not None
    assert onnx.ModelProto.FromString(mutations.encode(nodes)) == onnx.ModelProto.FromString(model())


def end_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException | None, leave: str = "") -> str:
    """How the fuzzer judges a conversion that ends so, and leaves a file of that name beside its target."""

    def convert_in_worker(request: object, target: Path, **options: object) -> None:
        if leave:
            target.with_name(leave).write_bytes(b"")
        if end is not None:
            raise end

    monkeypatch.setattr(supervisor, "convert_in_worker", convert_in_worker)
    return fuzz_convert.convert(b"data", ".pb", (), tmp_path)


def test_errors_with_a_status_are_good_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert end_of(tmp_path, monkeypatch, SourceError("The file is damaged.")) == "SourceError"
    crash = WorkerError("The worker process crashed with SIGSEGV.", stage="capture")
    assert "SIGSEGV" in end_of(tmp_path, monkeypatch, crash)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("end", "leave"),
    [
        (ValueError("nobody's"), ""),
        (ExecutionError("KeyError: 'x'", hint="This is a fault of transload; please report it."), ""),
        (SourceError("The file is damaged."), ".m.tload.1.tmp"),
    ],
    ids=["an error of Python", "an error that nobody classified", "a file that is left"],
)
def test_other_ends_are_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException, leave: str
) -> None:
    with pytest.raises(fuzz_convert.FindingError):
        end_of(tmp_path, monkeypatch, end, leave)
