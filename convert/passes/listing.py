"""What passes there are, in the order in which they run, for `transload passes`."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass

import onnx_ir as ir

from transload.convert.passes.sequence import portable_passes
from transload.convert.passes.tuned_sets import PASS_SETS


@dataclass(frozen=True)
class PassEntry:
    """One pass: the set it belongs to, its class, the package that it comes from, and what it does in a sentence."""

    pass_set: str
    name: str
    package: str
    summary: str


def list_passes() -> tuple[PassEntry, ...]:
    """The passes of the portable variant, then those that only tuned variants go through."""
    entries = [_describe("portable", type(each)) for each in portable_passes()]
    entries += [_describe(name, each) for name, passes in PASS_SETS.items() for each in passes]
    return tuple(entries)


def _describe(pass_set: str, kind: type[ir.passes.PassBase]) -> PassEntry:
    package = kind.__module__.partition(".")[0]
    # Of ours the module says it best, "A pass: …"; of others the class.
    text = inspect.getdoc(sys.modules[kind.__module__] if package == "transload" else kind) or ""
    summary = text.partition("\n\n")[0].replace("\n", " ").partition(": ")[2 if package == "transload" else 0]
    return PassEntry(pass_set, kind.__name__, package, summary)
