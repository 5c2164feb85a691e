"""Convert and prove many architectures, one process each, and write docs/architectures.md.

python -m benchmarks.architectures                          # what has no result yet, then the page
python -m benchmarks.architectures --only transformers/bert # these anew, printed
python -m benchmarks.architectures --raw                    # times beside torch.onnx.export, for what has none yet
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.architectures.names import NAMES
from benchmarks.architectures.one import convert, prepare_process, time_capture
from benchmarks.architectures.report import write_report

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "conformance" / "architectures.jsonl"
LIMIT_S = 300
LIMIT_BYTES = 16 << 30


def run_one(name: str, *, raw: bool = False, proof: str = "quick") -> dict[str, Any]:
    """The outcome of one architecture in a process of its own, forked from this one, which has imported all."""
    start = time.perf_counter()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryFile("w+") as output:
        process = context.Process(target=_serve, args=(theirs, output.fileno(), name, raw, proof))
        process.start()
        theirs.close()
        try:
            found = ours.recv() if ours.poll(LIMIT_S) else {"result": "crashed", "reason": f"no answer in {LIMIT_S} s"}
        except EOFError:
            process.join()
            output.seek(0)
            lines = output.read().strip().splitlines()[-3:]
            found = {"result": "crashed", "reason": f"exit code {process.exitcode}: {' | '.join(lines)[-600:]}"}
        process.kill()
        process.join()
    return {"name": name, "raw": raw, "wall_s": time.perf_counter() - start} | found


def _serve(pipe: Any, output: int, name: str, raw: bool, proof: Any) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    pipe.send(time_capture(name) if raw else convert(name, proof))


def read_results() -> dict[tuple[str, bool], dict[str, Any]]:
    """The last outcome of each, by name and by whether it is a timing."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {(row["name"], row["raw"]): row for row in rows}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="run these anew, print them")
    parser.add_argument("--raw", action="store_true", help="time conversions without proof beside torch's exporter")
    parser.add_argument("--proof", choices=["quick", "full"], default="quick", help="how much to try of each")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="begin no other after this time")
    parser.add_argument("--again", action="store_true", help="run those anew that are not proven")
    options = parser.parse_args()
    prepare_process()
    known = read_results()
    names = options.only or [
        name
        for name in NAMES
        if (name, options.raw) not in known
        or (options.again and known[name, options.raw].get("result", "proven") != "proven")
    ]
    start = time.perf_counter()
    for name in names:
        if options.limit and time.perf_counter() - start > options.limit:
            break
        found = run_one(name, raw=options.raw, proof=options.proof)
        with RESULTS.open("a") as file:
            file.write(json.dumps(found) + "\n")
        if options.only:
            print(json.dumps(found, indent=1))
        else:
            print(_line(found), flush=True)
    if not options.only:
        write_report(list(read_results().values()), NAMES)
    return 0


def _line(found: dict[str, Any]) -> str:
    if found["raw"]:
        return f"{found['name']}: {found.get('ours_s', 0):.1f} s, torch {found.get('raw_s', 0):.1f} s"
    detail = found.get("way") or found.get("reason", "")[:200].replace("\n", " | ")
    return f"{found['result']} {found['name']} {found['wall_s']:.0f} s {found.get('dynamic', '')} {detail}"


if __name__ == "__main__":
    sys.exit(main())
