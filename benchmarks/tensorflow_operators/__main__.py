"""Run the programs and write docs/operators-tensorflow.md.

python -m benchmarks.tensorflow_operators                     # all of them, with tf2onnx alone beside, and the page
python -m benchmarks.tensorflow_operators signals. recurrent  # those whose names contain one of these, printed
python -m benchmarks.tensorflow_operators --update signals.   # and their rows of the page written anew

Ends with 1 when other programs fail than those of known_failures.py.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tensorflow_programs.program import load_programs, sample_programs

from benchmarks.tensorflow_operators.case import Outcome, convert_program, convert_upstream
from benchmarks.tensorflow_operators.known_failures import compare_failures
from benchmarks.tensorflow_operators.report import read_report, write_report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="parts of programs' names")
    parser.add_argument("--per-family", type=int, default=sys.maxsize, help="at most so many programs of each family")
    parser.add_argument("--update", action="store_true", help="write the page, other rows as they were")
    options = parser.parse_args()
    ours: list[Outcome] = []
    upstream: list[Outcome] = []
    for each in sample_programs(options.per_family):
        name = each.name
        if options.patterns and not any(part in name for part in options.patterns):
            continue
        ours.append(convert_program(each, "full"))
        upstream.append(convert_upstream(each))
        print(f"{name}: {ours[-1].kind} {ours[-1].reason} (tf2onnx alone: {upstream[-1].kind})", flush=True)
    print("ours:", dict(Counter(each.kind for each in ours)))
    print("tf2onnx alone:", dict(Counter(each.kind for each in upstream)))
    if not options.patterns:
        write_report(ours, upstream, len(load_programs()))
    elif options.update:
        found = {one.name: (one, other) for one, other in zip(ours, upstream, strict=True)}
        rows = read_report() | found
        known = [rows[name] for name in load_programs() if name in rows]
        write_report([one for one, _ in known], [other for _, other in known], len(load_programs()), len(found))
    unexpected = compare_failures({each.name for each in ours if each.kind == "failed"}, {each.name for each in ours})
    for line in unexpected:
        print(line, file=sys.stderr)
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
