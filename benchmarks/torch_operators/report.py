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


def write_report(
    operators: list[Outcome],
    modules: list[Outcome],
    dynamic_operators: list[Outcome],
    dynamic_modules: list[Outcome],
) -> None:
    """Replace the page by one about these outcomes: with fixed sizes, and with dynamic ones."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "onnxruntime", "transload"))
    lines = [
        "# Operators and modules of PyTorch",
        "",
        "Written by `make conformance`; do not edit. Every operator of torch's own test database (`op_db`): its first",
        "three CPU float32 samples and the first of an integer or bool dtype, wrapped in a module, traced, saved,",
        "loaded, translated, run in ONNX Runtime, compared with the file as [numerics.md](numerics.md) says. Every",
        "module of its database of modules (`module_db`): the first three float32 samples in eval mode, likewise. What",
        "is right is right on all its samples. Sizes are fixed in the first two columns, and in the others all dynamic",
        "but those of 1, weights' sizes too.",
        "",
        f"{datetime.datetime.now(tz=datetime.UTC).date()}, {versions}, opset 20:",
        "",
        *_summary(operators, modules, dynamic_operators, dynamic_modules),
        "",
        f"{_right(operators)} operators and {_right(modules)} modules with deterministic, dense outputs are right.",
        "",
    ]
    for title, outcomes in (("Operators", operators), ("Modules", modules)):
        lines += _section(title, outcomes)
    fixed = {outcome.name: outcome.kind for outcome in [*operators, *modules]}
    lines += _differing([*dynamic_operators, *dynamic_modules], fixed)
    PAGE.write_text("\n".join(lines))


def _summary(*columns: list[Outcome]) -> list[str]:
    counts = [Counter(outcome.kind for outcome in outcomes) for outcomes in columns]
    lines = ["| outcome | operators | modules | operators, dynamic | modules, dynamic | |", "|---|---|---|---|---|---|"]
    return lines + [
        f"| {kind} | {' | '.join(str(each[kind]) for each in counts)} | {text} |"
        for kind, text in WORDS.items()
        if any(each[kind] for each in counts)
    ]


def _differing(outcomes: list[Outcome], fixed: dict[str, str]) -> list[str]:
    lines = ["## Right with fixed sizes alone", "", "| name | with dynamic sizes | reason |", "|---|---|---|"]
    lines += [
        f"| `{outcome.name}` | {outcome.kind} | {_cell(outcome.detail)} |"
        for outcome in outcomes
        if fixed[outcome.name] == "right" and outcome.kind != "right"
    ]
    return [*lines, ""]


def _right(outcomes: list[Outcome]) -> str:
    in_scope = [outcome for outcome in outcomes if outcome.kind not in OUT_OF_SCOPE]
    return f"{sum(outcome.kind == 'right' for outcome in in_scope)} of the {len(in_scope)}"


def _section(title: str, outcomes: list[Outcome]) -> list[str]:
    lines = []
    for kind, text in WORDS.items():
        found = [outcome for outcome in outcomes if outcome.kind == kind]
        if not found:
            continue
        lines += [f"## {title}: {kind}", "", f"{text[0].upper()}{text[1:]}.", ""]
        if kind == "right":
            lines += [", ".join(f"`{outcome.name}`" for outcome in found), ""]
            continue
        lines += ["| name | reason |", "|---|---|"]
        lines += [f"| `{outcome.name}` | {_cell(outcome.detail)} |" for outcome in found] + [""]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:220]
