"""`make mutation`: plants every fault in every model, and writes docs/mutation.md."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from benchmarks.mutation.models import MODELS
from benchmarks.mutation.one_model import ALARM_SEEDS, Alarm, run_one, use_one_thread
from benchmarks.mutation.operators import OPERATORS
from benchmarks.mutation.suite import Mutant

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutation.md"
PROCESSES = 2

EXPLANATIONS = {
    ("attention", "NaN turned to zero"): "the values that the weights are multiplied with hold the same NaN",
    ("ranking", "NaN turned to zero"): "ONNX Runtime's TopK puts NaN anywhere, so sets with NaN count as undefined",
}
"""Why a fault is not found, by model and fault."""

REASONS: dict[str, str] = {}
"""Why a model is refused without a fault."""


def main(names: list[str]) -> int:
    """Run the suite over the models named, or all of them; gives 1 where a survivor has no explanation."""
    known = [model.name for model in MODELS if not names or model.name in names]
    # Fresh processes of one thread each: the models are small, and frameworks do not survive a fork.
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), initializer=use_one_thread) as pool:
        results = list(pool.map(run_one, known))
    alarms = [alarm for each in results for alarm in each.alarms]
    mutants = [mutant for each in results for mutant in each.mutants]
    text = write_page(mutants, alarms, sum(not each.alarms for each in results))
    if not names:
        PAGE.write_text(text)
    print(text)
    unexplained = [each for each in survivors(mutants) if (each.model, each.operator) not in EXPLANATIONS]
    return int(bool(unexplained or alarms))


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
