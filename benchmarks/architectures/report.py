"""Writing the outcomes as docs/architectures.md."""

from __future__ import annotations

import datetime
import importlib.metadata
import re
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architectures.md"

Row = dict[str, Any]

INTRODUCTION = """\
Written by `make conformance-torch`; do not edit. One small member of each family of timm and tiny random members of
transformers' model types: weights that are all equal are moved, batch normalizations calibrated, so that no layer is an
identity. Each is converted as `tl.convert_model(module, kwargs=arguments)`, with no description of its inputs: the
dimensions are found, and called dynamic only when the package gave the module's answers at other sizes. The proof is
`quick` (the example, one other size of all dimensions, one seed) unless more than six sets are named below."""

COMPARISON = """\
After the proof, a package is compared with its module once more, on inputs that the proof did not choose: `wrong` is
what differs there by more than a thousandth of the largest output, or in shape or places of NaN. `take one size only`
counts those whose own code refuses every other size; their lines are below."""

HEADER = (
    "| | architectures | proven | at two batch sizes | and at a second spatial or sequence size "
    "| take one size only | compared | wrong |"
)
FIXED_AXIS = re.compile(r"(\w+), axis (\d+), is always")


def write_report(rows: list[Row], names: tuple[str, ...]) -> None:
    """Replace the page by one about these outcomes, in the order of the names."""
    proofs = {row["name"]: row for row in rows if not row["raw"]}
    times = {row["name"]: row for row in rows if row["raw"] and "raw_s" in row}
    found = [proofs[name] for name in names if name in proofs]
    proven = [row for row in found if row["result"] == "proven"]
    packages = ("torch", "transformers", "onnxruntime", "transload", "timm")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    lines = [
        "# Architectures",
        "",
        *INTRODUCTION.splitlines(),
        "",
        f"{datetime.datetime.now(tz=datetime.UTC).date()}, {versions}:",
        "",
        HEADER,
        "|---|---|---|---|---|---|---|---|",
        *(_summary(family, found, names) for family in ("timm", "transformers")),
        "",
        f"Ways taken: {_count(row['way'] for row in proven)}.",
        "",
        *COMPARISON.splitlines(),
        "",
        *_times(times),
        "## Proven",
        "",
        "Error is the largest absolute one over all input sets that were tried; seconds are with the proof.",
        "",
        "| architecture | way | dynamic | sets | largest error | seconds |",
        "|---|---|---|---|---|---|",
        *(_proven(row) for row in proven),
        "",
        "## Sizes that are fixed",
        "",
        "Where the module itself takes one size only, with its line.",
        "",
        *(_fixed(row) for row in proven if not _takes_second_size(row)),
        "",
        "## Refused",
        "",
        "| architecture | reason |",
        "|---|---|",
        *(f"| {row['name']} | {_cell(row.get('reason', ''))} |" for row in found if row["result"] != "proven"),
        "",
        "## Ways that were wrong",
        "",
        "Where another way than the first was taken, what was wrong with those before it.",
        "",
        *(f"- {row['name']}: {_cell(note)}" for row in proven for note in row["notes"] if note.startswith("By way of")),
        "",
    ]
    PAGE.write_text("\n".join(lines))


def _summary(family: str, found: list[Row], names: tuple[str, ...]) -> str:
    rows = [row for row in found if row["name"].startswith(f"{family}/")]
    proven = [row for row in rows if row["result"] == "proven"]
    batch = [row for row in proven if _is_dynamic(row, 0)]
    second = [row for row in batch if _takes_second_size(row)]
    wrong = sum(row["result"] == "wrong" for row in rows)
    anew = sum("difference" in row for row in rows)
    tried = f"{len(rows)} of {sum(name.startswith(f'{family}/') for name in names)} tried"
    single = sum(_refuses_second_size(row) for row in batch if not _takes_second_size(row))
    return f"| {family} | {tried} | {len(proven)} | {len(batch)} | {len(second)} | {single} | {anew} | {wrong} |"


def _is_dynamic(row: Row, axis: int) -> bool:
    first = next(iter(row["inputs"].values()), [])
    return axis < len(first) and isinstance(first[axis], str)


def _takes_second_size(row: Row) -> bool:
    return any(isinstance(dim, str) for dims in row["inputs"].values() for dim in dims[1:])


def _refuses_second_size(row: Row) -> bool:
    """Whether the module's own code refuses every other size of every axis behind batch and channels."""
    places = {(name, int(axis)) for note in row["notes"] for name, axis in FIXED_AXIS.findall(note)}
    sizes = {
        (name, axis)
        for name, dims in row["inputs"].items()
        for axis in range(1, len(dims))
        if not (axis == 1 and len(dims) == 4)
    }
    return bool(sizes) and sizes <= places


def _count(values: Any) -> str:
    return ", ".join(f"{value} {count}" for value, count in Counter(values).most_common())


def _times(times: dict[str, Row]) -> list[str]:
    if not times:
        return []
    ours, theirs = (sum(row[key] for row in times.values()) for key in ("ours_s", "raw_s"))
    return [
        f"Conversion without proof, summed over {len(times)} architectures that `torch.onnx.export(dynamo=True)`",
        f"converts too, each pair in one process: {ours:.0f} s by transload, {theirs:.0f} s by torch,",
        f"ratio {ours / theirs:.2f}.",
        "",
    ]


def _proven(row: Row) -> str:
    dims = ", ".join(f"`{dim}`" for dim in row["dynamic"])
    sets = sum(row["cases"].values())
    return f"| {row['name']} | {row['way']} | {dims} | {sets} | {row['error']:.1e} | {row['seconds']:.0f} |"


def _fixed(row: Row) -> str:
    notes = [note for note in row["notes"] if "other sizes fail at" in note or "is fixed at" in note]
    return f"- {row['name']}: {_cell('; '.join(notes))}"


def _cell(text: str) -> str:
    """A text for a table, with files named as from the folder of their package, and without addresses."""
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    text = re.sub(r"/\S*?/(site-packages|build/conformance)/", "", text.partition("  next: ")[0])
    return textwrap.shorten(text.replace("|", "\\|"), 400, placeholder=" …")
