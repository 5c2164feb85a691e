"""The worker's sandbox: a stranger's source that runs code writes nothing outside of the scratch folder."""

from __future__ import annotations

import ctypes
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from transload.cli import main
from transload.convert import sandbox, supervisor
from transload.convert.supervisor import WorkerReport, convert_in_worker
from transload.convert.worker import Limits, Request
from transload.serialize.errors import TransloadError, UnsupportedError, WorkerError

TELLS = "raise KeyError(repr(found))"


def planted_answer(front_end: Any, source: Path, target: Path, body: str, limits: Limits | None = None) -> str:
    """What code says that was planted into the worker; `found` is what it tells."""
    front_end.plant(f"{body}\n{TELLS}")
    with pytest.raises(UnsupportedError) as caught:
        convert_in_worker(Request(str(source)), target, limits=limits)
    return str(caught.value)


TRIES = {
    "a new file": "open({0!r} + '/new', 'w')",
    "an old file": "open({0!r} + '/old', 'a')",
    "emptying a file": "os.truncate({0!r} + '/old', 0)",
    "removing a file": "os.unlink({0!r} + '/old')",
    "renaming a file": "os.rename({0!r} + '/old', {0!r} + '/new')",
    "a hard link": "os.link({0!r} + '/old', {0!r} + '/new')",
    "a symbolic link": "os.symlink('/', {0!r} + '/new')",
    "a folder": "os.mkdir({0!r} + '/new')",
    "a program's write": "__import__('subprocess').run(['touch', {0!r} + '/new'], check=True)",
    "the network": "__import__('socket').socket(2, 1)",
    "a datagram": "__import__('socket').socket(2, 2)",
    "a socket of the machine": "__import__('socket').socket(1)",
    "a signal to its parent": "os.kill(os.getppid(), 0)",
}


def test_what_a_worker_may_not_do(front_end: Any, onnx_file: Path, target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "old").write_text("old")
    lines = ["found = {}"]
    for name, attempt in TRIES.items():
        lines += [f"try: {attempt.format(str(outside))}", f"except Exception: found[{name!r}] = 'refused'"]
    answer = planted_answer(front_end, onnx_file, target, "\n".join(lines))
    assert [name for name in TRIES if f"{name!r}: 'refused'" not in answer.replace("\\", "")] == []
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"old": "old"}


def test_the_same_attempts_succeed_without_the_sandbox(
    front_end: Any, onnx_file: Path, target: Path, tmp_path: Path
) -> None:
    (tmp_path / "old").write_text("old")
    body = f"{TRIES['a new file'].format(str(tmp_path))}\n{TRIES['a datagram']}\nfound = 'done'"
    assert "done" in planted_answer(front_end, onnx_file, target, body, Limits(sandbox=False))
    assert (tmp_path / "new").exists()


def test_a_worker_may_write_where_it_should(front_end: Any, onnx_file: Path, target: Path) -> None:
    body = (
        "import tempfile\nfile = tempfile.NamedTemporaryFile()\nfile.write(b'x')\n"
        "open(os.devnull, 'w').write('x')\nfound = 'done'"
    )
    assert "done" in planted_answer(front_end, onnx_file, target, body)


class Touch:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def pickled(folder: Path, victim: Path) -> Path:
    torch.save({"model": Touch(victim)}, folder / "m.pt")
    return folder / "m.pt"


def scripted_with_a_pickle(folder: Path, victim: Path) -> Path:
    """A TorchScript file whose constants are a pickle that runs a command."""
    path = folder / "m.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    spoiled = folder / "spoiled.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(spoiled, "w") as new:
        for name in old.namelist():
            data = pickle.dumps(Touch(victim)) if name.endswith(("constants.pkl", "data.pkl")) else old.read(name)
            new.writestr(name, data)
    return spoiled


def saved_model(folder: Path, victim: Path) -> Path:
    """A SavedModel whose signature writes a file when it is called."""
    from transload.convert.tensorflow.framework import tf

    class Writer(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> Any:
            tf.io.write_file(str(victim), "written")
            return x + 1.0

    module = Writer()
    tf.saved_model.save(module, str(folder / "saved"), signatures=module.serve)
    return folder / "saved"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [pickled, scripted_with_a_pickle, saved_model])
def test_a_trusted_source_that_tries_to_write_a_file_does_not(make: Any, tmp_path: Path, target: Path) -> None:
    victim = tmp_path / "victim"
    folder = tmp_path / "source"
    folder.mkdir()
    source = make(folder, victim)
    with pytest.raises(TransloadError):
        convert_in_worker(Request(str(source), trust_source=True, proof="quick"), target)
    assert not victim.exists()
    assert not target.exists()


def test_processor_time_has_a_limit(front_end: Any, onnx_file: Path, target: Path) -> None:
    front_end.plant("while True: pass")
    with pytest.raises(WorkerError, match="limit of 2 s of processor time") as caught:
        convert_in_worker(Request(str(onnx_file)), target, limits=Limits(cpu_s=2))
    assert caught.value.stage == "capture"


def test_files_have_a_limit(front_end: Any, onnx_file: Path, target: Path) -> None:
    front_end.plant("import tempfile\nwith tempfile.TemporaryFile() as file: file.write(bytes(2 << 20))")
    with pytest.raises(WorkerError, match="File too large"):
        convert_in_worker(Request(str(onnx_file)), target, limits=Limits(file_bytes=1 << 20))


def test_open_files_have_a_limit(front_end: Any, onnx_file: Path, target: Path) -> None:
    answer = planted_answer(
        front_end, onnx_file, target, "import resource\nfound = resource.getrlimit(resource.RLIMIT_NOFILE)"
    )
    assert "4096" in answer


@pytest.mark.parametrize(
    "line",
    ['print(json.dumps({"event": "failure", "error_class": "Exit", "fields": {}}))', 'print("not JSON")'],
    ids=["an unknown error", "no event at all"],
)
def test_a_worker_that_lies_to_its_parent_is_not_believed(
    front_end: Any, onnx_file: Path, target: Path, line: str
) -> None:
    tell = line.replace("print(", "os.write(int(sys.argv[1]), str(").removesuffix(")") + ").encode() + b'\\n')"
    front_end.plant(f"import json\n{tell}\ntime.sleep(60)")
    with pytest.raises(WorkerError, match="makes no sense"):
        convert_in_worker(Request(str(onnx_file)), target)


def test_a_link_in_the_place_of_the_package_is_refused(
    front_end: Any, onnx_file: Path, target: Path, tmp_path: Path
) -> None:
    front_end.plant(
        "os.symlink('/etc/hostname', sys.argv[2])\n"
        'os.write(int(sys.argv[1]), b\'{"event": "done", "peak_memory_bytes": 1}\\n\')\ntime.sleep(60)'
    )
    with pytest.raises(WorkerError, match="no file"):
        convert_in_worker(Request(str(onnx_file)), target)
    assert not target.exists()


class OldKernel:
    """The system calls of a kernel whose Landlock has this version; 0 is none."""

    def __init__(self, version: int) -> None:
        self.version = version

    def syscall(self, number: int, *arguments: Any) -> int:
        ctypes.set_errno(0)
        is_question = number == 444 and arguments[-1] == 1
        if is_question:
            return self.version or -1
        return os.open(os.devnull, os.O_RDONLY) if number == 444 else 0


@pytest.mark.parametrize(("version", "missing"), [(0, "may write files"), (2, "may empty files")])
def test_what_an_old_kernel_lacks_is_told(version: int, missing: str, tmp_path: Path) -> None:
    (found,) = sandbox._forbid_writing(OldKernel(version), tmp_path)  # type: ignore[arg-type]
    assert missing in found


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "MODEL", "-o", "TARGET", "--proof", "none"],
        ["compare", "MODEL", "MODEL", "--proof", "none"],
        ["debug", "MODEL"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_command_line_tells_once_what_is_missing(
    onnx_file: Path, target: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    run = supervisor._run

    def run_unprotected(*args: Any, **kwargs: Any) -> WorkerReport:
        report = run(*args, **kwargs)
        assert report.unprotected == ()
        return replace(report, unprotected=("it may use the network",))

    monkeypatch.setattr(supervisor, "_run", run_unprotected)
    words = {"MODEL": str(onnx_file), "TARGET": str(target)}
    result = CliRunner().invoke(main, [words.get(word, word) for word in arguments])
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("the sandbox is incomplete here: it may use the network") == 1
