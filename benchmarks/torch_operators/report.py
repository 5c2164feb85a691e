"""Writing the outcomes as docs/operators-torch.md."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections import Counter
from pathlib import Path

from benchmarks.torch_operators.case import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators-torch.md"

OUT_OF_SCOPE = ("random", "not dense", "no samples", "not traced")

WORDS = {
    "right": "converted, and equal to torch on every sample",
    "ambiguous": "converted, and equal where the result is unique",
    "refused": "refused with a reason",
    "wrong": "converted, ran, differed",
    "crashed": "ended the process, or gave no answer",
    "random": "draws random numbers, or returns memory as it was",
    "not dense": "takes or returns something else than dense tensors",
    "no samples": "torch's database has no samples that run on the CPU",
    "not traced": "torch itself cannot trace, save or load it",
}


def write_report(outcomes: list[Outcome]) -> None:
    """Replace the page by one about these outcomes."""
    counts = Counter(outcome.kind for outcome in outcomes)
    in_scope = sum(count for kind, count in counts.items() if kind not in OUT_OF_SCOPE)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "onnxruntime", "transload"))
    lines = [
        "# Operators of PyTorch",
        "",
        "Written by `make conformance`; do not edit. Every operator of torch's own test database (`op_db`): its first",
        "three CPU float32 samples and the first of an integer or bool dtype, wrapped in a module, traced, saved, loaded,",
        "translated, run in ONNX Runtime, compared with the file as [numerics.md](numerics.md) says. The samples' sizes",
        "are fixed, as a trace fixes them. An operator is right when all its samples are.",
        "",
        f"{datetime.datetime.now(tz=datetime.UTC).date()}, {versions}, opset 20:",
        "",
        "| outcome | operators | |",
        "|---|---|---|",
    ]
    lines += [f"| {kind} | {counts[kind]} | {text} |" for kind, text in WORDS.items() if counts[kind]]
    lines += [
        "",
        f"{counts['right']} of the {in_scope} operators with deterministic, dense outputs are right.",
        "",
    ]
    for kind, text in WORDS.items():
        found = [outcome for outcome in outcomes if outcome.kind == kind]
        if not found:
            continue
        lines += [f"## {kind[0].upper()}{kind[1:]}: {text}", ""]
        if kind == "right":
            lines += [", ".join(f"`{outcome.name}`" for outcome in found), ""]
            continue
        lines += ["| operator | reason |", "|---|---|"]
        lines += [f"| `{outcome.name}` | {_cell(outcome.detail)} |" for outcome in found] + [""]
    PAGE.write_text("\n".join(lines))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:220]
