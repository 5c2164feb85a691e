"""The report of a comparison as one HTML page that needs nothing but itself: no network, no scripts, no fonts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from transload.convert.compare.errors import DECADES
from transload.convert.compare.result import ComparedComponent, ComparedOutput, ComparedSet, Comparison
from transload.runtime.comparison import OutputComparison

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #59636e; --line: #d1d9e0; --fill: #f4f6f8;
  --good: #1a7f37; --bad: #c2222c; --bar: #3b73b9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #10151b; --faint: #9aa5b1; --line: #333c46;
  --fill: #1a2129; --good: #4ac26b; --bad: #ff7b72; --bar: #6ea8fe; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
.verdict { padding: .75rem 1rem; border-left: .4rem solid var(--good); background: var(--fill); font-weight: 600; }
.verdict.bad { border-color: var(--bad); }
.good { color: var(--good); } .bad { color: var(--bad); } .faint { color: var(--faint); font-weight: normal; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; min-width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.text { white-space: normal; min-width: 14rem; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } pre { white-space: pre-wrap; background: var(--fill); padding: .6rem; font-size: .8rem; }
.histogram { display: flex; align-items: flex-end; gap: 2px; height: 6.5rem; max-width: 36rem; }
.histogram div { flex: 1; display: flex; flex-direction: column; justify-content: flex-end; height: 100%; }
.histogram i { display: block; background: var(--bar); min-height: 0; }
.histogram span { font-size: .6rem; color: var(--faint); text-align: center; height: 1rem; white-space: nowrap; }
"""


def write_page(comparison: Comparison) -> str:
    """The whole page."""
    one, other = escape(comparison.reference.name), escape(comparison.ours.name)
    sets = [each for component in comparison.components for each in component.sets]
    body = [
        f"<h1>{one} and {other}</h1>",
        _verdict(comparison, sets),
        _table(
            ("", "model", "kind", "run by"),
            [
                ("A, the reference", comparison.reference.name, comparison.reference.kind, comparison.reference.engine),
                ("B", comparison.ours.name, comparison.ours.kind, comparison.ours.engine),
            ],
        ),
        *(_component(each, alone=len(comparison.components) == 1) for each in comparison.components),
        f'<p class="faint">Compared in {comparison.seconds:.1f} s.</p>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{one} and {other}: {'the same' if comparison.passed else 'not the same'}</title>"
        f"<style>{_STYLE}</style></head><body>\n{''.join(body)}\n</body></html>\n"
    )


def _verdict(comparison: Comparison, sets: list[ComparedSet]) -> str:
    undefined = sum(each.case.result == "undefined" for each in sets)
    rest = f" {undefined} more have no defined answer in A." if undefined else ""
    if comparison.passed:
        text = f"The same: {len(sets) - undefined} input sets agree.{rest}"
        return f'<p class="verdict">{text}</p>'
    differing = [each for each in sets if not each.passed]
    text = (
        f"Not the same: {len(differing)} of {len(sets) - undefined} input sets differ.{rest}"
        if sets
        else "Not the same."
    )
    blames = dict.fromkeys(each.blame for each in comparison.components if each.blame)
    lines = "".join(f'<br><span class="faint">{escape(blame)}</span>' for blame in blames)
    return f'<p class="verdict bad">{text}{lines}</p>'


def _component(component: ComparedComponent, *, alone: bool) -> str:
    parts = [] if alone else [f"<h2>{escape(component.reference)} and {escape(component.ours)}</h2>"]
    if component.problem:
        parts.append(f'<p class="bad">{escape(component.problem)}</p>')
        return "".join(parts)
    parts += ["<h2>Outputs, over all input sets</h2>", _outputs(component)]
    parts += ["<h2>Input sets</h2>", *(_set(each) for each in component.sets)]
    parts += ["<h2>Coverage</h2>", _coverage(component)]
    if component.notes:
        parts += ["<h2>Notes</h2><ul>", *(f"<li>{escape(note)}</li>" for note in component.notes), "</ul>"]
    pairs = [(match.reference, match.ours) for match in (*component.inputs, *component.outputs)]
    parts += ["<h2>Tensors</h2>", _table(("in A", "in B"), pairs)]
    return "".join(parts)


def _outputs(component: ComparedComponent) -> str:
    """One row for each output, with its worst input set; then how its errors are spread."""
    found: dict[str, list[tuple[ComparedSet, ComparedOutput]]] = {}
    for each in component.sets:
        for output in each.outputs:
            found.setdefault(output.row.name, []).append((each, output))
    rows, charts = [], []
    for name, items in found.items():
        defined = [item for item in items if item[0].case.result != "undefined"] or items
        worst_set, worst = max(defined, key=lambda item: (not item[1].row.passed, item[1].row.max_abs_error))
        rows.append((name, _word(worst.row, worst_set), *_figures(worst.row), worst_set.case.name))
        total = [sum(counts) for counts in zip(*(o.histogram for _, o in defined if o.histogram), strict=True)]
        if total:
            charts.append(f"<h3>{escape(name)}: absolute errors</h3>{_histogram(total)}")
    header = ("output", "result", *_FIGURES, "worst input set")
    return _table(header, rows) + "".join(charts)


_FIGURES = ("max abs error", "max rel error", "99th percentile", "cosine", "missed")


def _figures(row: OutputComparison) -> tuple[str, ...]:
    return (
        f"{row.max_abs_error:.3g}",
        f"{row.max_rel_error:.3g}",
        f"{row.p99_abs_error:.3g}",
        f"{row.cosine:.9f}",
        f"{row.missed} of {row.size}",
    )


def _word(row: OutputComparison, each: ComparedSet) -> str:
    if each.case.result == "undefined":
        return "undefined in A"
    return ("equal within noise" if row.by_noise else "equal") if row.passed else "DIFFERS"


def _set(each: ComparedSet) -> str:
    word = {"equal": "equal", "noise": "equal within the noise of A", "undefined": "undefined in A"}.get(
        each.case.result, "DIFFERS"
    )
    tone = "bad" if not each.passed else "faint" if each.case.result == "undefined" else "good"
    inputs = ", ".join(f"{name}: {text}" for name, text in each.inputs.items())
    parts = [
        f"<summary>{escape(each.case.name)}: <b class={tone}>{word}</b> "
        f'<span class="faint">max abs error {each.case.max_abs_error:.3g}</span></summary>',
        f'<p class="faint">{escape(inputs)}</p>',
        f"<p>{escape(each.case.note)}</p>" if each.case.note and each.passed else "",
        f"<pre>{escape(chr(10).join(each.report))}</pre>" if each.report else "",
    ]
    rows = []
    for output in each.outputs:
        runs = "" if output.optimized is None else "on" if output.optimized else "off"
        rows.append((output.row.name, runs, _word(output.row, each), *_figures(output.row), output.row.reason))
    parts.append(_table(("output", "optimisations", "result", *_FIGURES, "reason"), rows) if rows else "")
    worst = [
        (output.row.name, str(list(item.index)), item.ours, item.reference, f"{item.abs_error:.3g}")
        for output in each.outputs
        if output.optimized is not False or not output.row.passed
        for item in output.worst
    ]
    if worst:
        parts += ["<h3>Worst elements</h3>", _table(("output", "index", "B", "A", "abs error"), worst)]
    return f"<details{'' if each.passed else ' open'}>{''.join(parts)}</details>"


def _coverage(component: ComparedComponent) -> str:
    items = [f"{name}: sizes {', '.join(map(str, sizes))}" for name, sizes in component.sizes.items()]
    items += component.branches
    if not items:
        return "<p>No dimension may vary, and the graph has no branches or loops.</p>"
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _histogram(counts: list[int]) -> str:
    """Bars by decade; heights are logarithmic, so that one wrong element among a million shows."""
    labels = ["0", *(f"1e{power}" for power in DECADES), f">1e{DECADES[-1]}"]
    most = max(count.bit_length() for count in counts) or 1
    bars = []
    for index, (count, label) in enumerate(zip(counts, labels, strict=True)):
        height = round(85 * count.bit_length() / most)
        word = label if index % 3 == 0 else ""
        title = f"{count} elements, error up to {label}"
        bars.append(f'<div title="{escape(title)}"><i style="height:{height}%"></i><span>{escape(word)}</span></div>')
    summary = ", ".join(f"{label}: {count}" for label, count in zip(labels, counts, strict=True) if count)
    return f'<div class="histogram" role="img" aria-label="{escape(summary)}">{"".join(bars)}</div>'


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = ' class="bad"' if text == "DIFFERS" else ' class="text"' if len(text) > 40 else ""
    return f"<td{kind}>{escape(text)}</td>"
