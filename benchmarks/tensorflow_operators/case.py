"""One program: saved, converted and proven by us, and converted and run by tf2onnx alone."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tensorflow_programs.program import Program, make_module, save_program

from transload.convert.options import Proof, make_example
from transload.convert.pipeline import convert_source
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow.framework import silence, tf
from transload.runtime.comparison import DEFAULT_TOLERANCES
from transload.serialize.errors import TransloadError, UnsupportedError, UsageError

UPSTREAM_OPSET = 18


@dataclass(frozen=True)
class Outcome:
    """How a program fared.

    `kind` is, for us, `proven`, `refused` (with a reason for each operation) or `failed`; for tf2onnx alone `right`,
    `wrong` (another answer than TensorFlow's), `not run` (ONNX Runtime does not take its graph) or `not converted`.
    """

    name: str
    kind: str
    reason: str = ""


def convert_program(each: Program, proof: Proof) -> Outcome:
    """Save a program as a SavedModel, convert that, and prove the package."""
    with tempfile.TemporaryDirectory() as scratch:
        with silence():
            path = save_program(each, Path(scratch) / "model")
        try:
            convert_source(Source(SourceKind.SAVED_MODEL, path), replace(each.options(), proof=proof))
        except UnsupportedError as error:
            reasons = dict.fromkeys(f"{op.name}: {op.reason}" for op in error.operations)
            return Outcome(each.name, "refused", "; ".join(reasons) or error.what)
        except UsageError as error:
            # Nobody can compare with what TensorFlow itself does not run on this machine.
            return Outcome(each.name, "refused", f"{error.what} {error.where}")
        except TransloadError as error:
            return Outcome(each.name, "failed", str(error))
    return Outcome(each.name, "proven")


def convert_upstream(each: Program) -> Outcome:
    """Convert a program with tf2onnx's own `from_function`, and run it once on the inputs from which we begin."""
    from tf2onnx import convert

    module = make_module(each)
    feed = _make_feed(each)
    try:
        expected = {name: value.numpy() for name, value in module.serve(*map(tf.constant, feed.values())).items()}
    except tf.errors.OpError as error:
        return Outcome(each.name, "not run", f"TensorFlow itself refuses: {_line(error)}")
    try:
        with _silence_loggers(), silence():
            model, _ = convert.from_function(module.serve, input_signature=list(each.specs), opset=UPSTREAM_OPSET)
    except Exception as error:
        # tf2onnx raises anything, and so does ONNX Runtime's loader below; both are outcomes here.
        return Outcome(each.name, "not converted", _line(error))
    if foreign := sorted({node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx.ml")}):
        return Outcome(each.name, "not converted", f"{', '.join(foreign)} are not ONNX's")
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = {value.name for value in session.get_inputs()}
        found = session.run(None, {name: value for name, value in feed.items() if name in names})
    except Exception as error:
        return Outcome(each.name, "not run", _line(error))
    # tf2onnx gives results in the order of their names.
    for ours, (name, value) in zip(found, sorted(expected.items()), strict=False):
        if difference := _compare(ours, value):
            return Outcome(each.name, "wrong", f"{name}: {difference}")
    return Outcome(each.name, "right" if len(found) == len(expected) else "wrong")


def _make_feed(each: Program) -> dict[str, Any]:
    """The example, with unknown sizes of 2, as our front end makes it up."""
    from transload.convert.options import InputSpec

    given = each.options().example or {}
    specs = [
        InputSpec(
            spec.name, "string" if spec.dtype == tf.string else spec.dtype.name, tuple(n or 2 for n in spec.shape)
        )
        for spec in each.specs
    ]
    return {spec.name: given[spec.name] if spec.name in given else make_example((spec,))[spec.name] for spec in specs}


def _compare(ours: Any, theirs: Any) -> str:
    """What differs; '' where nothing does that a tolerance does not cover."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if theirs.dtype == object:
        theirs = np.array([each.decode() for each in theirs.ravel()], dtype=object).reshape(theirs.shape)
    if ours.shape != theirs.shape:
        return f"the shape is {ours.shape} instead of {theirs.shape}"
    if ours.dtype != theirs.dtype:
        return f"the type is {ours.dtype} instead of {theirs.dtype}"
    if str(theirs.dtype) not in DEFAULT_TOLERANCES:
        return "" if np.array_equal(ours, theirs) else "values differ"
    bound = DEFAULT_TOLERANCES[str(theirs.dtype)]
    same = np.allclose(ours, theirs, rtol=10 * bound.rtol, atol=10 * bound.atol, equal_nan=True)
    return "" if same else f"off by up to {np.nanmax(np.abs(np.nan_to_num(ours - theirs))):.2g}"


@contextlib.contextmanager
def _silence_loggers() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
