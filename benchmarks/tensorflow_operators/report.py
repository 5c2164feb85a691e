"""docs/operators-tensorflow.md: what became of each program, by us and by tf2onnx alone."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.tensorflow_operators.case import UPSTREAM_OPSET, Outcome
from transload.convert.options import DEFAULT_OPSET

PAGE = Path(__file__).parents[2] / "docs" / "operators-tensorflow.md"

INTRODUCTION = """\
# Operators of TensorFlow

Written by `make conformance-tensorflow`; do not edit. Each program of `tests/convert/tensorflow/tensorflow_programs`, a
small function of TensorFlow or a layer of Keras, is saved as a SavedModel, converted, and proven as
[numerics.md](numerics.md) says, with the full proof. Beside it the same program goes through tf2onnx alone
(`tf2onnx.convert.from_function`), is run in ONNX Runtime once, on the example, and compared with TensorFlow within ten
times the tolerance.
"""

RULES = """\
## How

tf2onnx is the operator library. Two folders correct it from outside:

- `convert/tensorflow/decompositions`: operations rewritten in others of TensorFlow's before tf2onnx sees them. Complex
  numbers become pairs of real ones there, and lists (TensorArray) that no scan of ONNX's can hold become tensors.
- `convert/tensorflow/operators`: operations that we write as ONNX in tf2onnx's place, by its registry of handlers.

An operation that neither knows is refused by its name, all of a model's at once. Graphs are written at opset
18, which is where tf2onnx stops. A model with operators that came later (StringConcat, StringSplit, RegexFullMatch, and
Equal of strings) is written at opset 19 or 20, and `--opset` raises any model up to 23.
"""


def read_report() -> dict[str, tuple[Outcome, Outcome]]:
    """What the page says of each program: our outcome, and that of tf2onnx alone."""
    reasons: dict[str, dict[str, str]] = {"Refused": {}, "Failed": {}, "Wrong with tf2onnx alone": {}}
    kinds: dict[str, tuple[str, str]] = {}
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| `"):
            name, *cells = (cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            if section == "All programs":
                kinds[name.strip("`")] = cells[0], cells[1]
            else:
                reasons[section][name.strip("`")] = cells[0]
    ours = reasons["Refused"] | reasons["Failed"]
    wrong = reasons["Wrong with tf2onnx alone"]
    return {
        name: (Outcome(name, mine, ours.get(name, "")), Outcome(name, theirs, wrong.get(name, "")))
        for name, (mine, theirs) in kinds.items()
    }


def write_report(ours: Sequence[Outcome], upstream: Sequence[Outcome], count: int, anew: int | None = None) -> None:
    """Write the page; there are `count` programs in all, of which `anew` were run now and the others before."""
    kinds, others = Counter(each.kind for each in ours), Counter(each.kind for each in upstream)
    converted = len(upstream) - others["not converted"]
    ran = converted - others["not run"]
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("tensorflow-cpu", "tf2onnx", "onnxruntime", "transload")
    )
    lines = [
        INTRODUCTION,
        f"{datetime.date.today()}, {versions}, opset {DEFAULT_OPSET} (tf2onnx alone {UPSTREAM_OPSET})"
        + (":" if anew is None else f";\n{anew} programs were run then, the others at one time or another before:"),
        "",
        f"| {len(ours)} of {count} programs | transload | tf2onnx alone |",
        "|---|---|---|",
        f"| right (ours: proven) | {kinds['proven']} | {others['right']} |",
        f"| converted | only what is proven | {converted} |",
        f"| ran | only what is proven | {ran} |",
        f"| refused with a reason | {kinds['refused']} | |",
        f"| failed | {kinds['failed']} | |",
        "| another answer than TensorFlow's, without a word "
        f"| none can be: a package that differs is not written | {others['wrong']} |",
        "",
        RULES,
        "## Refused",
        "",
        "| program | reason |",
        "|---|---|",
        *(f"| `{each.name}` | {_cell(each.reason)} |" for each in ours if each.kind == "refused"),
        "",
    ]
    failed = [each for each in ours if each.kind == "failed"]
    if failed:
        lines += ["## Failed", "", "| program | reason |", "|---|---|"]
        lines += [*(f"| `{each.name}` | {_cell(each.reason)} |" for each in failed), ""]
    lines += [
        "## Wrong with tf2onnx alone",
        "",
        "| program | what differs | transload |",
        "|---|---|---|",
        *(
            f"| `{theirs.name}` | {_cell(theirs.reason)} | {mine.kind} |"
            for mine, theirs in zip(ours, upstream, strict=True)
            if theirs.kind == "wrong"
        ),
        "",
        "## All programs",
        "",
        "| program | transload | tf2onnx alone |",
        "|---|---|---|",
        *(f"| `{mine.name}` | {mine.kind} | {theirs.kind} |" for mine, theirs in zip(ours, upstream, strict=True)),
        "",
    ]
    PAGE.write_text("\n".join(lines))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:240]
