"""Measuring runtimes beside one another: each in its own process, taking turns, over several rounds."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from transload.serialize.errors import ExecutionError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Contestant:
    """A runtime and what it opens: a module by `runners.py`; `environment` is added to the process's own."""

    name: str
    runner: str
    source: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lap:
    """What one contestant did: seconds of each call, by round, in the order in which they were made."""

    contestant: str
    threads: int
    load_s: float
    first_output_s: float
    private_bytes: int
    peak_bytes: int
    rounds: tuple[tuple[float, ...], ...]

    @property
    def median_s(self) -> float:
        """The median of the rounds' medians, so that one disturbed round counts for little."""
        return statistics.median(statistics.median(calls) for calls in self.rounds)

    def percentile_s(self, percent: float) -> float:
        """A percentile over all calls."""
        return float(np.percentile([call for calls in self.rounds for call in calls], percent))


def race(
    contestants: Sequence[Contestant],
    feeds: Sequence[Mapping[str, Array]],
    *,
    threads: int,
    rounds: int,
    seconds: float,
) -> list[list[Lap]]:
    """For each feed, a lap of each contestant, in their order.

    Args:
        contestants: Who runs; each is opened once, on the first feed.
        feeds: The inputs, such as batches of several sizes.
        threads: Threads of each runtime; 0 leaves the choice to it.
        rounds: How often each takes its turn.
        seconds: How long a turn takes.

    Raises:
        ExecutionError: a runtime failed; its last words are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="transload-") as scratch, contextlib.ExitStack() as stack:
        files = [Path(scratch) / f"{index}.npz" for index in range(len(feeds))]
        for path, feed in zip(files, feeds, strict=True):
            np.savez(path, **dict(feed))  # type: ignore[arg-type]
        workers = [stack.enter_context(start(each, threads, files[0])) for each in contestants]
        laps = []
        for path in files:
            took: list[list[tuple[float, ...]]] = [[] for _ in workers]
            for _ in range(rounds):
                for worker, figures in zip(workers, took, strict=True):
                    figures.append(tuple(worker.ask({"inputs": str(path), "seconds": seconds})["calls_s"]))
            laps.append(
                [
                    Lap(worker.name, threads, **worker.opening, rounds=tuple(figures))
                    for worker, figures in zip(workers, took, strict=True)
                ]
            )
        return laps


@dataclass(frozen=True)
class Worker:
    """A process that has opened a model and run it once; `opening` is what it said of that."""

    name: str
    source: str
    process: subprocess.Popen[str]
    log: IO[str]
    opening: dict[str, Any] = field(default_factory=dict)

    def ask(self, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The next answer, to a request if one is given.

        Raises:
            ExecutionError: the process ended; its last words are in the message.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if request is not None:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            words = self.log.read().strip().splitlines() or ["(no message)"]
            raise ExecutionError(f"{self.name} failed: {words[-1]}", where=self.source)
        answer: dict[str, Any] = json.loads(line)
        return answer


def start(contestant: Contestant, threads: int, inputs: Path) -> AbstractContextManager[Worker]:
    """A contestant's process, for as long as the block lasts."""
    command = [sys.executable, "-m", "transload.convert.peers.worker"]
    command += [contestant.runner, contestant.source, str(threads), str(inputs)]
    environment = dict(contestant.environment)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    return start_command(contestant.name, contestant.source, command, environment)


@contextlib.contextmanager
def start_command(name: str, source: str, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Worker]:
    """A process that opens a model, runs it once, and answers as `worker.py` does, for as long as the block lasts."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | dict(environment),
        )
        try:
            worker = Worker(name, source, process, log)
            worker.opening.update(worker.ask())
            yield worker
        finally:
            process.kill()
            process.communicate()
