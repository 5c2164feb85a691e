"""Running a .onnx file in ONNX Runtime, as one would without transload."""

from __future__ import annotations

import onnxruntime

from transload.convert.peers.runners import Run


def open_model(source: str, threads: int) -> Run:
    """A .onnx file; inputs go by position, since exporters name them as they like."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda feed: session.run(None, dict(zip(names, feed.values(), strict=True)))
