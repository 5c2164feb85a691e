"""`make mutation`: plants every fault in every model, and writes docs/mutation.md."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.mutation.models import MODELS, Model
from benchmarks.mutation.operators import OPERATORS
from benchmarks.mutation.suite import Mutant, check, run_model
from transload.serialize.errors import MismatchError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutation.md"
ALARM_SEEDS = 20

EXPLANATIONS = {
    ("mlp", "cut off at 50"): "a hidden value above 50 saturates the softmax behind it with and without the fault",
    ("attention", "NaN turned to zero"): "the values that the weights are multiplied with hold the same NaN",
    ("branching", "comparison with equality, or without"): "no input set that is tried sums to 1.5 exactly",
    ("losses", "NaN turned to zero"): "the vector that the norm divides holds the same NaN, and is summed",
    ("shaping", "narrowed to float16"): "a batch counter is exact in float16 up to 2048; no batch so large is tried",
    (
        "activations",
        "comparison with equality, or without",
    ): "at the threshold both sides of softplus round to one number",
    ("tf-image", "NaN turned to zero"): "ONNX Runtime's MaxPool loses NaN by itself, so these sets count as undefined",
}
"""Why a fault is not found, by model and fault."""

REASONS = {
    "ranking": "which of equal elements `torch.topk` names first is not defined, and ONNX has a rule for it",
    "integers": "floor division takes the remainder off first, which overflows at the lowest integer",
}
"""Why a model is refused without a fault."""


@dataclass(frozen=True)
class Alarm:
    """The check refused a model without a fault, with so many of the seeds."""

    model: str
    what: str
    seeds: int


def main(names: list[str]) -> int:
    """Run the suite over the models named, or all of them; gives 1 where a survivor has no explanation."""
    models = [model for model in MODELS if not names or model.name in names]
    alarms = [alarm for model in models for alarm in find_alarms(model)]
    healthy = [model for model in models if model.name not in {alarm.model for alarm in alarms}]
    mutants = [mutant for model in healthy for mutant in _say(model.name, list(run_model(model, seed=0)))]
    text = write_page(mutants, alarms, len(healthy))
    if not names:
        PAGE.write_text(text)
    print(text)
    unexplained = [each for each in survivors(mutants) if (each.model, each.operator) not in EXPLANATIONS]
    return int(bool(unexplained or alarms))


def find_alarms(model: Model) -> Iterator[Alarm]:
    """What the check says of a model without a fault."""
    capture = model.capture()
    seeds: dict[str, int] = Counter()
    for seed in range(ALARM_SEEDS):
        try:
            check(capture, model.options(seed))
        except MismatchError as error:
            seeds[error.what.splitlines()[0]] += 1
    yield from (Alarm(model.name, what, count) for what, count in seeds.items())
    print(f"{model.name}: {ALARM_SEEDS} seeds without a fault, {sum(seeds.values())} alarms", file=sys.stderr)


def _say(name: str, found: list[Mutant]) -> list[Mutant]:
    print(f"{name}: {dict(Counter(each.outcome for each in found))}", file=sys.stderr)
    return found


def survivors(mutants: list[Mutant]) -> list[Mutant]:
    """The faults that were not found although they change something."""
    return [each for each in mutants if each.outcome == "survived"]


def _explain(each: Mutant) -> str:
    return EXPLANATIONS.get((each.model, each.operator), "unknown")


def _alarm_lines(alarms: list[Alarm]) -> list[str]:
    if not alarms:
        return []
    return [
        "## Refused without a fault",
        "",
        "No fault was planted in these, since catching it would mean nothing.",
        "",
        "| model | seeds | what the check says | why |",
        "|---|---|---|---|",
        *(f"| {each.model} | {each.seeds} | {each.what} | {REASONS.get(each.model, 'unknown')} |" for each in alarms),
        "",
    ]


def write_page(mutants: list[Mutant], alarms: list[Alarm], models: int) -> str:
    """The page for docs."""
    counts = Counter(each.outcome for each in mutants)
    missed = survivors(mutants)
    share = counts["caught"] / max(1, counts["caught"] + len(missed))
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "torch", "tensorflow-cpu"))
    lines = [
        "# Planted faults",
        "",
        f"`make mutation` on {datetime.date.today().isoformat()} ({versions}). {len(OPERATORS)} kinds of fault were",
        f"planted at up to two random places of each of {models} small models' graphs, and each graph was checked.",
        "",
        "| outcome | mutants |",
        "|---|---|",
        f"| caught | {counts['caught']} |",
        f"| survived | {len(missed)} |",
        f"| refused by ONNX Runtime | {counts['refused']} |",
        f"| proven to change nothing | {counts['equivalent']} |",
        "",
        f"**{100 * share:.1f} % caught** of those that change something. Without a fault, over {ALARM_SEEDS} seeds of",
        f"each model: {sum(alarm.seeds for alarm in alarms)} false alarms.",
        "",
        *_alarm_lines(alarms),
        "## What was not found",
        "",
        "| model | fault | node | why |",
        "|---|---|---|---|",
        *(f"| {each.model} | {each.operator} | `{each.node}` | {_explain(each)} |" for each in missed),
        "",
        "## What changes nothing",
        "",
        "| model | fault | node | proof |",
        "|---|---|---|---|",
        *(
            f"| {each.model} | {each.operator} | `{each.node}` | {each.note} |"
            for each in mutants
            if each.outcome == "equivalent"
        ),
        "",
        "## By kind of fault",
        "",
        "| fault | caught | survived | refused | equivalent |",
        "|---|---|---|---|---|",
    ]
    for name in OPERATORS:
        of_kind = Counter(each.outcome for each in mutants if each.operator == name)
        row = [str(of_kind[outcome]) for outcome in ("caught", "survived", "refused", "equivalent")]
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
