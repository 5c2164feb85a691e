"""Pairs of ONNX files, one of them with a planted fault, and what each comparison says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
from polygraphy.comparator import Comparator, CompareFunc
from polygraphy.logger import G_LOGGER

from benchmarks.mutation.models import Model
from benchmarks.mutation.operators import OPERATORS
from benchmarks.mutation.suite import plant_faults
from transload.convert.compare.comparison import compare_models
from transload.convert.equivalence.graph_runs import open_in_runtime
from transload.convert.options import ConvertOptions
from transload.serialize.errors import TransloadError

G_LOGGER.module_severity = G_LOGGER.CRITICAL


@dataclass(frozen=True)
class Verdict:
    """Whether each comparison found one fault; `note` is what ours says where the wrong file does not even run, which
    counts as found on either side."""

    model: str
    operator: str
    node: str
    found_by_polygraphy: bool
    found_by_us: bool
    note: str = ""


def compare_pairs(model: Model, folder: Path, seed: int) -> Iterator[Verdict]:
    """One random place of each kind of fault; what ONNX Runtime refuses is left out."""
    capture = model.capture()
    right, wrong = folder / "right.onnx", folder / "wrong.onnx"
    _save(capture.model, right)
    for planted in plant_faults(capture, seed, list(OPERATORS.values()), 1):
        if open_in_runtime(planted.model) is None:
            continue
        _save(planted.model, wrong)
        found, note = _ask_ourselves(right, wrong)
        yield Verdict(model.name, planted.operator.name, planted.node, ask_polygraphy(right, wrong), found, note)


def _save(model: ir.Model, path: Path) -> None:
    ir.save(ir.external_data.load_to_model(model.clone()), path)


def ask_polygraphy(right: Path, wrong: Path) -> bool:
    """Whether `polygraphy run --onnxrt` with its default inputs and tolerances finds a difference, or fails."""
    runners = [OnnxrtRunner(SessionFromOnnx(str(path))) for path in (right, wrong)]
    try:
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            results = Comparator.run(runners)
            return not bool(Comparator.compare_accuracy(results, compare_func=CompareFunc.simple()))
    except Exception:
        # A graph that loads and cannot run: ONNX Runtime's own exceptions come through.
        return True


def _ask_ourselves(right: Path, wrong: Path) -> tuple[bool, str]:
    try:
        return not compare_models(str(right), str(wrong), ConvertOptions()).passed, ""
    except TransloadError as error:
        return True, error.what
