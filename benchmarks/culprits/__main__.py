"""`make culprits`: plants faults in ten models, looks for each with `transload debug`, and writes docs/culprits.md."""

from __future__ import annotations

import datetime
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.culprits.models import SUBJECTS
from benchmarks.culprits.suite import FAULTS, Answer, search_faults

PAGE = Path(__file__).resolve().parents[2] / "docs" / "culprits.md"
MAX_SOURCE_RUNS = 8


def main(arguments: list[str]) -> int:
    """Search in the models named, or in all; a number among the arguments is another seed. Gives 1 after a miss.

    The page is written for all models and the seed 0 only.
    """
    names = [each for each in arguments if not each.isdigit()]
    seed = next((int(each) for each in arguments if each.isdigit()), 0)
    answers = []
    for subject in (each for each in SUBJECTS if not names or each.name in names):
        with tempfile.TemporaryDirectory(prefix="transload-") as folder:
            for answer in search_faults(subject, Path(folder), seed):
                answers.append(answer)
                print(f"{answer.model}, {answer.operator}: {answer.named}, {_verdict(answer)}", file=sys.stderr)
    text = write_page(answers, seed)
    if not arguments:
        PAGE.write_text(text)
    print(text)
    return int(any(_verdict(answer) != "right" for answer in answers))


def _verdict(answer: Answer) -> str:
    if not answer.is_right:
        return f"wrong, it was {', '.join(answer.right)}"
    return "right" if answer.source_runs <= MAX_SOURCE_RUNS else f"right, after {answer.source_runs} runs"


def write_page(answers: list[Answer], seed: int) -> str:
    """The page for docs."""
    frameworks = {subject.name: subject.framework for subject in SUBJECTS}
    models = list(dict.fromkeys(answer.model for answer in answers))
    right = sum(answer.is_right for answer in answers)
    alone = sum(answer.region == 1 for answer in answers)
    within = sum(answer.region > 1 for answer in answers)
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "torch", "tensorflow-cpu"))
    lines = [
        "# Finding planted faults",
        "",
        f"`make culprits` on {datetime.date.today().isoformat()} ({versions}), seed {seed}. In each of",
        f"{len(models)} models, of both frameworks, {FAULTS} faults of unlike kinds (those of",
        "`make mutation`) were planted one at a time, at random nodes, such that an output changes on one",
        "of the check's input sets. `transload debug` was given the spoiled graph, the source and that input set.",
        "",
        f"**{right} of {len(answers)}** times it named the spoiled node, or one that was put in behind it, with",
        f"at most {max(answer.source_runs for answer in answers)} runs of the source.",
        "",
        "A fresh capture of the source does not have the fault here, which settles a choice between nodes whose",
        "results the source does not show. Where the converter itself makes a fault, the capture has it too. With",
        f"each fault planted in both, the source's values alone singled out the node in {alone} of {len(answers)}",
        f"cases, left a choice between several, all of which are listed, in {within}, and missed it in",
        f"{len(answers) - alone - within}; the last column says how many are left.",
        "",
        "| model | framework | fault | node | named | source runs | inputs | left without a fresh capture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in answers:
        cells = [each.model, frameworks[each.model], each.operator, ", ".join(f"`{name}`" for name in each.right)]
        cells += [f"`{each.named}`" if each.named else "none", str(each.source_runs), each.inputs]
        lines.append(f"| {' | '.join([*cells, str(each.region) if each.region else 'missed'])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
