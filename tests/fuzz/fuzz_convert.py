"""Converts spoiled sources, and sees that every conversion ends as it should.

`python tests/fuzz/fuzz_convert.py KIND SECONDS [FIRST]`: spoiled copies number FIRST and on of small sources of a kind
(`graph_def`, `torchscript`), for so long. Each goes through `convert_in_worker` as `transload convert` calls it,
sandbox and limits included; only the start of the worker's Python is spared, see fork_server.py. What must hold:

- The end is a package that opens and has what it was proven with, or an error of ours whose class has an exit status.
  A worker that a signal ended is such an error. "This is a fault of transload" is none: nobody classified it.
- Beside the target there is nothing else afterwards, and the worker's temporary files are gone.

A copy that breaks this lies in `build/fuzz` afterwards, as `convert-KIND-NUMBER-SEED`; the exit status is 1 then.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mutations

from transload.convert import supervisor
from transload.convert.options import parse_input_spec
from transload.convert.worker import Limits, Request
from transload.serialize import open_package
from transload.serialize.errors import ERROR_CLASSES, ExecutionError, TransloadError, WorkerError

HERE = Path(__file__).resolve().parent
FOUND = HERE.parents[1] / "build" / "fuzz"

LIMITS = Limits(time_s=120, memory_bytes=12 << 30, cpu_s=60, file_bytes=64 << 20)

MODULES = {
    "graph_def": ("transload.convert.tensorflow.graph_def", "transload.convert.pipeline", "tf2onnx", "onnxruntime"),
    "torchscript": ("transload.convert.torch.torchscript", "transload.convert.pipeline", "torch", "onnxruntime"),
}
"""What the server of forks imports before the first worker."""

STATUSES = {cls.exit_status for cls in ERROR_CLASSES.values()}


class FindingError(Exception):
    """A conversion that did not end as it should; the text says how."""


def convert(data: bytes, suffix: str, inputs: tuple[str, ...], folder: Path) -> str:
    """Convert a file in an empty folder, and empty it again.

    Returns:
        How it ended, in some words that are equal for equal ends.

    Raises:
        FindingError: it did not end as it should.
    """
    source, target = folder / f"source{suffix}", folder / "out" / "m.tload"
    source.write_bytes(data)
    target.parent.mkdir()
    request = Request(str(source), inputs=tuple(map(parse_input_spec, inputs)), proof="full")
    try:
        end = _try(request, target)
    finally:
        left = sorted(path.name for path in target.parent.rglob("*"))
        changed = source.read_bytes() != data
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    if left != (["m.tload"] if end == "converted" else []):
        raise FindingError(f"After {end!r} there are {left}.")
    if changed:
        raise FindingError("The source was written to.")
    return end


def _try(request: Request, target: Path) -> str:
    try:
        supervisor.convert_in_worker(request, target, limits=LIMITS)
    except TransloadError as error:
        return _judge(error)
    except Exception as error:
        # Only our own errors are classified; any other that comes through is what this fuzzer looks for.
        raise FindingError(f"Not an error of ours: {type(error).__name__}: {error}") from error
    package = open_package(target, "sha256")
    for name in package.component_names:
        package.model_proto(name)
        package.vectors(name)
    return "converted"


def _judge(error: TransloadError) -> str:
    str(error).encode()
    name = type(error).__name__
    if ERROR_CLASSES.get(name) is not type(error) or error.exit_status not in STATUSES:
        raise FindingError(f"{name} has no exit status of its own.")
    if isinstance(error, ExecutionError) and "fault of transload" in error.hint:
        raise FindingError(error.what)
    words = error.what.split(":")
    if isinstance(error, WorkerError):
        return f"{name}: {error.what.splitlines()[0]} ({error.stage})"
    # An exporter's own error: which, without what it says of this one file.
    unclassified = "could not be captured" in words[0] and len(words) > 1
    return f"{name}: {words[1].strip()}" if unclassified else name


@contextlib.contextmanager
def fork_server(kind: str, folder: Path) -> Iterator[None]:
    """In this block workers are forks of a process that has imported all they need."""
    path = folder / "server"
    command = [sys.executable, "-P", str(HERE / "fork_server.py")]
    server = subprocess.Popen([*command, "serve", str(path), *MODULES[kind]], stdin=subprocess.DEVNULL)
    former = supervisor._COMMAND
    try:
        while not path.exists():
            assert server.poll() is None, "The server of forks did not start."
            time.sleep(0.1)
        # -I -S: nothing of the site is needed to ask.
        supervisor._COMMAND = (sys.executable, "-I", "-S", command[-1], "ask", str(path))  # type: ignore[assignment]
        yield
    finally:
        supervisor._COMMAND = former
        server.kill()
        server.wait()


def read_seeds(kind: str, folder: Path) -> list[tuple[str, bytes, tuple[str, ...]]]:
    """Name, content and `--input` options of each seed, made in an empty folder."""
    folder.mkdir()
    subprocess.run([sys.executable, HERE / "convert_seeds.py", kind, folder], check=True, stderr=subprocess.DEVNULL)
    paths = sorted(path for path in folder.iterdir() if path.suffix != ".inputs")
    options = [tuple(path.with_suffix(".inputs").read_text().splitlines()) for path in paths]
    return [(path.name, path.read_bytes(), inputs) for path, inputs in zip(paths, options, strict=True)]


def fuzz(kind: str, seconds: float, first: int, folder: Path, ends: Counter[str]) -> int:
    """Convert spoiled copies for so long, the seeds' own time not counted, and count how they ended.

    Returns:
        How many did not end as they should.
    """
    work = folder / "work"
    work.mkdir()
    seeds = read_seeds(kind, folder / "seeds")
    with fork_server(kind, folder):
        for name, content, inputs in seeds:
            end = convert(content, Path(name).suffix, inputs, work)
            assert end == "converted", f"The seed {name} itself: {end}"
        until = time.monotonic() + seconds
        for number in itertools.count(first):
            if time.monotonic() > until:
                break
            name, content, inputs = seeds[number % len(seeds)]
            data = mutations.mutate(content, [each for _, each, _ in seeds], random.Random(number))
            try:
                ends[convert(data, Path(name).suffix, inputs, work)] += 1
            except FindingError as finding:
                ends["FINDINGS"] += 1
                (FOUND / f"convert-{kind}-{number}-{name}").write_bytes(data)
                print(f"{kind} {number} {name}: {finding}", flush=True)
    return ends["FINDINGS"]


def main(kind: str, seconds: str, first: str = "0") -> int:
    """Returns the exit status."""
    # What ends this process must not end it before it has told what it saw.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    FOUND.mkdir(parents=True, exist_ok=True)
    ends: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="transload-fuzz-") as folder,
        contextlib.suppress(KeyboardInterrupt, SystemExit),
    ):
        fuzz(kind, float(seconds), int(first), Path(folder), ends)
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    facts = {
        "kind": kind,
        "spoiled copies": sum(ends.values()),
        "processor seconds": round(sum(each.ru_utime + each.ru_stime for each in used)),
        "ends": dict(ends.most_common()),
    }
    print(json.dumps(facts, indent=2))
    return 1 if ends["FINDINGS"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
