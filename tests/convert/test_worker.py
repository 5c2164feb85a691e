"""The worker process: what its crashes and limits become, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import pytest

from transload.convert.supervisor import convert_in_worker
from transload.convert.worker import Limits, Request
from transload.serialize import open_package
from transload.serialize.errors import (
    ExecutionError,
    SourceError,
    UnsupportedError,
    UsageError,
    WorkerError,
)

GIB = 1 << 30


class Plant(Protocol):
    """The fixture `front_end`."""

    def plant(self, body: str) -> None:
        """Put the body of a function in the place of the capture."""


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_package_appears_and_nothing_else(onnx_file: Path, target: Path) -> None:
    stages: list[str] = []
    report = convert_in_worker(Request(str(onnx_file)), target, on_stage=stages.append)
    assert stages == ["detect", "capture", "passes", "equivalence", "package"]
    assert leftovers(target) == ["m.tload"]
    with open_package(target, "sha256") as package:
        assert package.interface("main").proof.level == "full"
    assert set(report.stage_seconds) == {"start", *stages}
    assert report.peak_memory_bytes > 10 << 20


def test_existing_package_is_replaced(onnx_file: Path, target: Path) -> None:
    target.write_bytes(b"old")
    convert_in_worker(Request(str(onnx_file), proof="none"), target)
    assert target.stat().st_size > 1000


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGFPE)", "SIGFPE"),
        ("os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_signal_becomes_a_worker_error_with_its_stage(
    front_end: Plant, onnx_file: Path, target: Path, body: str, name: str
) -> None:
    target.write_bytes(b"old")
    front_end.plant(body)
    with pytest.raises(WorkerError, match=name) as caught:
        convert_in_worker(Request(str(onnx_file)), target)
    assert (caught.value.stage, caught.value.exit_status) == ("capture", 6)
    assert leftovers(target) == ["m.tload"]
    assert target.read_bytes() == b"old"


def test_crash_names_the_line_that_crashed(front_end: Plant, onnx_file: Path, target: Path) -> None:
    front_end.plant("ctypes.string_at(0)")
    with pytest.raises(WorkerError) as caught:
        convert_in_worker(Request(str(onnx_file)), target)
    assert 'planted_front_end.py", line 4 in capture' in caught.value.where


def test_exit_without_a_result_is_a_worker_error(front_end: Plant, onnx_file: Path, target: Path) -> None:
    front_end.plant("print('out of luck', flush=True)\nos._exit(0)")
    with pytest.raises(WorkerError, match="status 0 and no result") as caught:
        convert_in_worker(Request(str(onnx_file)), target)
    assert caught.value.where == "out of luck"


@pytest.mark.parametrize(
    "body",
    [
        "bytearray(8 << 30)",
        "raise MemoryError",
        "raise RuntimeError('std::bad_alloc')",
        "raise RuntimeError('[enforce fail] DefaultCPUAllocator: can\\'t allocate memory')",
    ],
)
def test_lack_of_memory_is_a_worker_error(front_end: Plant, onnx_file: Path, target: Path, body: str) -> None:
    front_end.plant(body)
    with pytest.raises(WorkerError, match="ran out of memory") as caught:
        convert_in_worker(Request(str(onnx_file)), target, limits=Limits(memory_bytes=6 * GIB))
    assert (caught.value.stage, caught.value.hint) == ("capture", "Raise --memory-limit.")
    assert leftovers(target) == []


def test_a_hint_names_no_limit_that_was_not_set(front_end: Plant, onnx_file: Path, target: Path) -> None:
    hints = []
    for body in ("raise MemoryError", "raise OSError(28, 'No space left on device')", "os.kill(os.getpid(), 24)"):
        front_end.plant(body)
        with pytest.raises(WorkerError, match=r"^The worker process") as caught:
            convert_in_worker(Request(str(onnx_file)), target)
        hints.append(caught.value.hint)
    assert [hint for hint in hints if "-limit" in hint] == []
    assert all(hints)


def test_time_limit_ends_the_worker_and_all_that_it_started(
    front_end: Plant, onnx_file: Path, target: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "grandchild"
    front_end.plant(
        "import subprocess\n"
        f"child = subprocess.Popen(['sleep', '60'])\nopen({str(marker)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(WorkerError, match="time limit of 3 s") as caught:
        convert_in_worker(Request(str(onnx_file)), target, limits=Limits(time_s=3, sandbox=False))
    assert time.monotonic() - began < 20
    assert caught.value.stage == "capture"
    assert leftovers(target) == []
    assert not is_running(int(marker.read_text()))


def test_temporary_files_of_the_worker_go_with_it(front_end: Plant, onnx_file: Path, target: Path) -> None:
    front_end.plant("import tempfile\nprint(tempfile.mkdtemp(), flush=True)\nos.abort()")
    with pytest.raises(WorkerError) as caught:
        convert_in_worker(Request(str(onnx_file)), target)
    assert "SIGABRT" in caught.value.what
    assert leftovers(target) == []


def test_errors_keep_their_class_and_fields(front_end: Plant, onnx_file: Path, target: Path) -> None:
    front_end.plant(
        "from transload.serialize.errors import UnsupportedError, UnsupportedOperation\n"
        "raise UnsupportedError('no', operations=(UnsupportedOperation('aten::foo', 'line 3', 'odd'),), hint='wait')"
    )
    with pytest.raises(UnsupportedError) as caught:
        convert_in_worker(Request(str(onnx_file)), target)
    assert (caught.value.what, caught.value.hint) == ("no", "wait")
    assert [(item.name, item.location, item.reason) for item in caught.value.operations] == [
        ("aten::foo", "line 3", "odd")
    ]


def test_exception_of_an_exporter_means_unsupported(front_end: Plant, onnx_file: Path, target: Path) -> None:
    front_end.plant("raise KeyError('prim::Odd')")
    with pytest.raises(UnsupportedError, match="KeyError: 'prim::Odd'"):
        convert_in_worker(Request(str(onnx_file)), target)


def test_exit_of_user_code_is_an_error(front_end: Plant, onnx_file: Path, target: Path) -> None:
    front_end.plant("sys.exit(0)")
    with pytest.raises(ExecutionError, match="SystemExit"):
        convert_in_worker(Request(str(onnx_file)), target)


def test_output_of_the_frameworks_stays_away(
    front_end: Plant, onnx_file: Path, target: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    front_end.plant("os.write(1, b'chatter')\nos.write(2, b'warning')\nraise KeyError('a')")
    with pytest.raises(UnsupportedError):
        convert_in_worker(Request(str(onnx_file)), target)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(UnsupportedError):
        convert_in_worker(Request(str(onnx_file)), target, verbose=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "chatter" in err
    assert "warning" in err
    assert "Traceback" in err


def test_error_of_detection_comes_back(target: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(SourceError, match="no source"):
        convert_in_worker(Request(str(tmp_path / "text")), target)
    assert leftovers(target) == []


class TestTarget:
    def test_in_a_missing_folder_is_wrong_usage(self, onnx_file: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="Cannot write into"):
            convert_in_worker(Request(str(onnx_file)), tmp_path / "nowhere" / "m.tload")

    def test_that_is_a_folder_is_wrong_usage(self, onnx_file: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is a folder"):
            convert_in_worker(Request(str(onnx_file)), tmp_path)

    def test_that_is_the_source_is_wrong_usage(self, onnx_file: Path) -> None:
        before = onnx_file.read_bytes()
        with pytest.raises(UsageError, match="the source itself"):
            convert_in_worker(Request(str(onnx_file)), onnx_file.parent / "." / onnx_file.name)
        assert onnx_file.read_bytes() == before


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130), (signal.SIGKILL, None)]
)
def test_end_of_the_parent_ends_the_worker(
    front_end: Plant, onnx_file: Path, target: Path, tmp_path: Path, number: int, status: int | None
) -> None:
    marker = tmp_path / "worker"
    front_end.plant(f"open({str(marker)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    command = [sys.executable, "-m", "transload.cli", "convert", str(onnx_file), "-o", str(target), "--no-sandbox"]
    parent = subprocess.Popen(command)
    worker = int(wait_for(marker))
    parent.send_signal(number)
    assert parent.wait(30) == (status if status is not None else -number)
    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)
    if number != signal.SIGKILL:
        assert leftovers(target) == []


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.05)
    raise TimeoutError(f"{path} did not appear")


def is_running(process_id: int) -> bool:
    """Zombies, which only wait for whoever adopts them, do not run."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"
