"""docs/operators-tensorflow.md: what became of each program, by us and by tf2onnx alone."""

from __future__ import annotations

import datetime
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


def write_report(ours: Sequence[Outcome], upstream: Sequence[Outcome], count: int) -> None:
    """Write the page; there are `count` programs in all."""
    kinds, others = Counter(each.kind for each in ours), Counter(each.kind for each in upstream)
    converted = len(upstream) - others["not converted"]
    ran = converted - others["not run"]
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("tensorflow-cpu", "tf2onnx", "onnxruntime", "transload")
    )
    lines = [
        INTRODUCTION,
        f"{datetime.date.today()}, {versions}, opset {DEFAULT_OPSET} (tf2onnx alone {UPSTREAM_OPSET}):",
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
