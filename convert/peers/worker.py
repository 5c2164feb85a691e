"""The process in which one runtime runs: one JSON request a line on stdin, one JSON answer a line on stdout.

    python -m transload.convert.peers.worker RUNNER SOURCE THREADS INPUTS.npz

First answers how long opening and the first call took, then each line `{"inputs": FILE, "seconds": S}` with the time of
every call. Waits between requests without using a processor, so that runtimes can take turns.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

MIN_CALLS = 3


def main() -> None:
    """Serve requests until stdin ends."""
    runner, source, threads, inputs = sys.argv[1:]
    # Whatever runtimes print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    feed = read_inputs(inputs)
    open_model = importlib.import_module(runner).open_model
    before = private_bytes()
    start = time.perf_counter()
    run = open_model(source, int(threads))
    opened = time.perf_counter()
    run(feed)
    first = time.perf_counter()
    answer(
        answers,
        {
            "load_s": opened - start,
            "first_output_s": first - start,
            "private_bytes": private_bytes() - before,
            "peak_bytes": peak_bytes(),
        },
    )
    for line in sys.stdin:
        request = json.loads(line)
        answer(answers, {"calls_s": time_calls(run, read_inputs(request["inputs"]), request["seconds"])})


def read_inputs(path: str) -> dict[str, Any]:
    """The arrays of a .npz file, in the file's order."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def time_calls(run: Any, feed: dict[str, Any], seconds: float) -> list[float]:
    """The seconds of each call, for so long; the first call, which may allocate for a new shape, is not counted."""
    run(feed)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < MIN_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        run(feed)
        took.append(time.perf_counter() - start)
    return took


def answer(file: Any, value: object) -> None:
    """One line of JSON."""
    file.write(json.dumps(value) + "\n")
    file.flush()


def private_bytes() -> int:
    """Memory that is this process's alone: what it wrote, not what it maps."""
    match = re.search(r"^Anonymous:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    return 1024 * int(match[1]) if match else 0


def peak_bytes() -> int:
    """The largest resident set so far."""
    match = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(match[1]) if match else 0


if __name__ == "__main__":
    main()
