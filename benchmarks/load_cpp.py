"""Load to first output, private memory and sharing of the C++ loader beside ONNX Runtime's C++ API on the plain .onnx.

    make bench-load-cpp

The model is load.py's of 470 MB. Each opening is a process of its own (cpp_loader/tests/opening.cpp), the contestants
alternating; page caches are warm. Private memory is what a process wrote (Anonymous in /proc/PID/smaps_rollup) from
before opening until after the first call. `tuned` is the variant that `transload tune` made, in the
cache. PSS is that of four processes which hold the model at once, summed, with
programs and libraries, by the size of the file. Every process must come to the same answer.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from load import ENVIRONMENT, ROWS, SHAPES, make_files, medians, open_once, shared_bytes, tune

from transload.convert.peers.race import Worker, start_command

PROGRAM = Path(__file__).resolve().parents[1] / "build" / "cpp" / "tests" / "opening"


@dataclass(frozen=True)
class Way:
    """One way to open the model."""

    loader: str
    path: Path
    prepack: str

    def start(self, threads: int) -> AbstractContextManager[Worker]:
        """A process that opens it so."""
        words = [self.loader, str(self.path), str(ROWS), str(threads), self.prepack]
        return start_command(self.loader, str(self.path), [str(PROGRAM), *words], ENVIRONMENT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=500, choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--seconds", type=float, default=0.3, help="how long `transload tune` measures each alternative"
    )
    options = parser.parse_args()
    plain, package, _ = make_files(options.size)
    tune(package, options.seconds)
    ways = [
        Way(loader, path, prepack)
        for prepack in ("off", "on")
        for loader, path in (("transload", package), ("onnxruntime", plain))
    ]
    ways.insert(0, Way("transload", package, "tuned"))
    opened = [[open_once(way.start(options.threads)) for way in ways] for _ in range(options.rounds)]
    figures = [medians(openings) for openings in zip(*opened, strict=True)]
    if any(not math.isclose(each["sum"], figures[0]["sum"], rel_tol=1e-5) for each in figures):
        raise SystemExit(f"The answers differ: {[each['sum'] for each in figures]}.")
    shared = [shared_bytes(partial(way.start, options.threads)) for way in ways]

    version = importlib.metadata.version("onnxruntime")
    today = datetime.datetime.now(tz=datetime.UTC).date()
    weights = plain.stat().st_size
    print(
        f"{today}, {weights / 1e6:.0f} MB, {options.rounds} rounds, {options.threads} threads, onnxruntime {version}\n"
    )
    print(
        "| opened by | pre-packing | load ms | first output ms | times sooner | private / weights | PSS of 4 / file |"
    )
    print("|---|---|---|---|---|---|---|")
    # The way that people take: ONNX Runtime with its defaults.
    usual = figures[-1]["first_output_s"]
    for way, each, pss in zip(ways, figures, shared, strict=True):
        print(
            f"| {way.loader} | {way.prepack} | {each['load_s'] * 1e3:.0f} "
            f"| {each['first_output_s'] * 1e3:.0f} | {usual / each['first_output_s']:.2f} "
            f"| {each['private_bytes'] / weights:.3f} | {pss / way.path.stat().st_size:.2f} |"
        )


if __name__ == "__main__":
    main()
