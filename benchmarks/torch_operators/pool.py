"""Worker processes that run operators one by one and may crash."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Callable
from typing import Any

from benchmarks.torch_operators.case import Outcome

LIMIT_S = 300
WORKERS = 2


def run_all(names: list[str], run: Callable[[str], Outcome], verbose: bool = False) -> list[Outcome]:
    """The outcomes, in the order of the names; `run` gives that of one."""
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(names))
    found: dict[str, Outcome] = {}
    workers: dict[Any, tuple[Any, str | None, float]] = {}

    def start() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, run), daemon=True)
        process.start()
        theirs.close()
        workers[ours] = (process, None, 0.0)

    def assign(pipe: Any) -> None:
        process, _, _ = workers[pipe]
        name = waiting.pop()
        pipe.send(name)
        workers[pipe] = (process, name, time.monotonic())

    for _ in range(min(WORKERS, len(names))):
        start()
    for pipe in list(workers):
        if waiting:
            assign(pipe)
    while any(name for _, name, _ in workers.values()):
        ready = multiprocessing.connection.wait(list(workers), timeout=5)
        for pipe in list(workers):
            process, name, since = workers[pipe]
            if name is None:
                continue
            outcome = None
            if pipe in ready:
                try:
                    outcome = pipe.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    outcome = Outcome(name, "crashed", f"exit code {process.exitcode}")
            elif time.monotonic() - since > LIMIT_S:
                process.kill()
                outcome = Outcome(name, "crashed", f"no answer in {LIMIT_S} s")
            if outcome is None:
                continue
            found[name] = outcome
            if verbose or outcome.kind in ("wrong", "crashed"):
                print(f"{outcome.kind:10} {name}: {outcome.detail}", flush=True)
            if outcome.kind == "crashed":
                del workers[pipe]
                if waiting:
                    start()
                    assign(list(workers)[-1])
            elif waiting:
                assign(pipe)
            else:
                pipe.send(None)
                workers[pipe] = (process, None, 0.0)
    return [found[name] for name in names]


def _serve(pipe: Any, run: Callable[[str], Outcome]) -> None:
    import torch

    torch.set_num_threads(1)
    while (name := pipe.recv()) is not None:
        pipe.send(run(name))
