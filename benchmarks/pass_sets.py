"""What each set of passes for tuning gives: its graph beside the portable one, in one process, call by call.

    cd benchmarks && python speed.py --prepare && python pass_sets.py

One thread, and its processor time rather than the clock's, so that other work on the machine disturbs little. `ratio`
is the median over pairs of calls of the set's time by the portable graph's; below 1, the set is faster.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import statistics
import time

import onnxruntime
from speed import BUILD, rename
from zoo import ZOO

from transload.convert.passes.tuned_sets import make_graphs
from transload.runtime.configuration import Configuration
from transload.runtime.tuning.search import Graph, open_graph
from transload.serialize import open_package


def measure(sessions: list[onnxruntime.InferenceSession], feed: dict[str, object], pairs: int) -> list[list[float]]:
    """The processor seconds of each call, the sessions taking turns, every other time in the other order."""
    took: list[list[float]] = [[] for _ in sessions]
    turns = list(zip(sessions, took, strict=True))
    for session in sessions:
        session.run(None, feed)
    for index in range(pairs):
        for session, figures in turns if index % 2 else reversed(turns):
            start = time.thread_time()
            session.run(None, feed)
            figures.append(time.thread_time() - start)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[found.name for found in ZOO])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    print(f"{datetime.datetime.now(tz=datetime.UTC).date()}, onnxruntime {importlib.metadata.version('onnxruntime')}\n")
    print("| model | batch | set | portable ms | set ms | ratio |")
    print("|---|---|---|---|---|---|")
    for found in (found for found in ZOO if found.name in options.models):
        folder = BUILD / "speed" / found.name
        package = open_package(folder / "model.tload")
        component = package.component_names[0]
        graphs = {"portable": Graph(package.model_proto(component).SerializeToString(), package.path.parent)}
        graphs |= make_graphs(package, component)
        sessions = [open_graph(graphs, Configuration(1, graph)) for graph in graphs]
        base, *others = measure(sessions, rename(found, folder, options.batch), options.pairs)
        for name, took in zip(list(graphs)[1:], others, strict=True):
            ratio = statistics.median(mine / other for mine, other in zip(took, base, strict=True))
            times = (f"{statistics.median(figures) * 1e3:.2f}" for figures in (base, took))
            print(f"| {found.name} | {options.batch} | {name} | {' | '.join(times)} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
