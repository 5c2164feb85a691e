"""`make comparators`: compares healthy and spoiled ONNX files with both tools, and writes docs/comparators.md."""

from __future__ import annotations

import datetime
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.comparators.pairs import Verdict, ask_polygraphy, compare_pairs
from benchmarks.mutation.models import MODELS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "comparators.md"


def main(names: list[str]) -> int:
    """Compare for the models named, or for all of them; gives 1 where polygraphy finds what ours does not."""
    torch.set_num_threads(1)
    verdicts = []
    for model in (each for each in MODELS if not names or each.name in names):
        with tempfile.TemporaryDirectory(prefix="transload-") as folder:
            found = list(compare_pairs(model, Path(folder), seed=0))
            right = Path(folder, "right.onnx")
            if ask_polygraphy(right, right):
                print(f"{model.name}: polygraphy sees a difference between the file and itself", file=sys.stderr)
        verdicts += found
        print(f"{model.name}: {_count(found)}", file=sys.stderr)
    text = write_page(verdicts)
    if not names:
        PAGE.write_text(text)
    print(text)
    return int(any(each.found_by_polygraphy and not each.found_by_us for each in verdicts))


def _count(verdicts: list[Verdict]) -> Counter[tuple[bool, bool]]:
    return Counter((each.found_by_us, each.found_by_polygraphy) for each in verdicts)


def write_page(verdicts: list[Verdict]) -> str:
    """The page for docs."""
    count = _count(verdicts)
    missed = [each for each in verdicts if each.found_by_polygraphy and not each.found_by_us]
    versions = ", ".join(f"{name} {version(name)}" for name in ("polygraphy", "onnxruntime", "onnx"))
    lines = [
        "# Two ways of comparing ONNX files",
        "",
        f"`make comparators` on {datetime.date.today().isoformat()} ({versions}). Each kind of fault of",
        "`make mutation` was planted at one random place of each model's graph. The right file and the",
        "wrong one were compared by `transload compare`, and by polygraphy as `polygraphy run --onnxrt` does it: its",
        "default inputs (one random set, dynamic sizes 1) and its default tolerances. A file that cannot run counts as",
        "found. Some of these faults change nothing at all.",
        "",
        f"| of {len(verdicts)} pairs | polygraphy finds it | polygraphy does not |",
        "|---|---|---|",
        f"| transload finds it | {count[True, True]} | {count[True, False]} |",
        f"| transload does not | {count[False, True]} | {count[False, False]} |",
        "",
    ]
    if missed:
        lines += ["Found by polygraphy alone:", "", "| model | fault | node | what ours says |", "|---|---|---|---|"]
        lines += [f"| {e.model} | {e.operator} | `{e.node}` | {e.note or 'the models agree'} |" for e in missed]
        lines.append("")
    lines += [
        "| model | pairs | both | transload alone | polygraphy alone | neither |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(each.model for each in verdicts):
        own = _count([each for each in verdicts if each.model == name])
        cells = [own.total(), own[True, True], own[True, False], own[False, True], own[False, False]]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
