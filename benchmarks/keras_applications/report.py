"""Writing the outcomes as docs/keras-applications.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.keras_applications.case import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "keras-applications.md"

COLUMNS = (
    *("model", "side", "weights MB", "proof", "raw CPU s", "ours CPU s", "ratio", "raw MB", "ours MB", "bound MB"),
    *("raw ms", "ours ms", "ratio"),
)
MEMORY_FACTOR = 3
TIME_LIMIT = 0.7
LATENCY_LIMIT = 1.02
"""What counts as no worse: two timings of one graph differ by so much."""


def write_report(outcomes: Sequence[Outcome], missing: Sequence[str]) -> None:
    """Replace the page by one about these outcomes, and name the models that were not run."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.weights_bytes, outcome.name))
    lines = [
        "# Models of keras.applications",
        "",
        "Written by `make conformance-keras`; do not edit. Each model with random weights, calibrated so that",
        "errors show, at its smallest legal input, as a SavedModel. `raw` is `tf2onnx.convert --saved-model`,",
        "`ours` `transload convert --proof none`, each alone in its process. Memory is the largest process's",
        "resident set; the bound is TensorFlow's own load of the SavedModel, in a process that imports nothing",
        "else, plus three times the weights. Latency is that of one image in ONNX Runtime on one thread, the two",
        "graphs taking turns; its ratio is that of the fastest calls. The largest error is absolute, over all input",
        "sets, inputs of large magnitude among them; see [numerics.md](numerics.md). Both sides of a row were measured",
        "one after the other on a shared machine: only ratios mean something.",
        "",
        *(f"- {count} models: {each}." for each, count in sorted(Counter(o.measured for o in outcomes).items())),
        *_summary(ordered, missing),
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *map(_row, ordered),
        "",
    ]
    PAGE.write_text("\n".join(lines))


def _summary(outcomes: Sequence[Outcome], missing: Sequence[str]) -> list[str]:
    larger = [outcome for outcome in outcomes[len(outcomes) // 2 :] if not outcome.raw_error]
    timed = [outcome for outcome in outcomes if outcome.latency_ratio]
    ratios = sorted(outcome.time_ratio for outcome in larger)
    fast = _count(larger, lambda each: each.time_ratio <= TIME_LIMIT)
    spread = f" (ratios {ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else ""
    lines = [
        f"- {_count(outcomes, lambda each: each.proven)} are proven, at several batch sizes.",
        f"- {_count(outcomes, lambda each: each.ours_peak_bytes <= _bound(each))} stay within the bound of memory.",
        f"- {fast} of the larger half take at most {TIME_LIMIT} of tf2onnx's processor time{spread}.",
        f"- {_count(timed, lambda each: each.latency_ratio <= LATENCY_LIMIT)} are no slower than tf2onnx's graph, "
        f"within {LATENCY_LIMIT - 1:.0%}.",
    ]
    failed = [outcome.name for outcome in outcomes if outcome.raw_error]
    if failed:
        lines.append(f"- tf2onnx fails, or ONNX Runtime does not load its graph: {', '.join(failed)}.")
    if missing:
        lines.append(f"- Not run: {', '.join(missing)}.")
    return lines


def _count(outcomes: Sequence[Outcome], holds: Callable[[Outcome], bool]) -> str:
    return f"{sum(bool(holds(outcome)) for outcome in outcomes)} of {len(outcomes)}"


def _bound(outcome: Outcome) -> int:
    return outcome.load_peak_bytes + MEMORY_FACTOR * outcome.weights_bytes


def _row(outcome: Outcome) -> str:
    mark = "" if outcome.proven else "**not proven**: "
    raw = "failed | " if outcome.raw_error else f"{outcome.raw_cpu_s:.1f} | "
    ratio = "" if outcome.raw_error else f"{outcome.time_ratio:.2f}"
    timed = f"{outcome.raw_ms:.1f} | {outcome.ours_ms:.1f} | {outcome.latency_ratio:.3f}"
    return (
        f"| {outcome.name} | {outcome.size} | {outcome.weights_bytes / 1e6:.0f} | {mark}{_cell(outcome.proof)} | {raw}"
        f"{outcome.ours_cpu_s:.1f} | {ratio} | {outcome.raw_peak_bytes / 1e6:.0f} | "
        f"{outcome.ours_peak_bytes / 1e6:.0f} | {_bound(outcome) / 1e6:.0f} | "
        f"{timed if outcome.latency_ratio else ' | | '} |"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
