"""What `RecurrentLayersPass` gains: a GRU layer of Keras as a loop, and as ONNX's operator.

python recurrent_layers.py

Both graphs in ONNX Runtime, one thread, sessions taking turns; the median over rounds of the ratio of fastest calls.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.passes.recurrent_layers import RecurrentLayersPass
from transload.convert.pipeline import capture_source

CASES = ((64, 100, 1), (256, 50, 1), (128, 100, 8))
"""Units, steps and rows."""

FEATURES, ROUNDS, CALLS = 64, 15, 5


def open_graph(model: ir.Model) -> ort.InferenceSession:
    """A session on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(ir.to_proto(model).SerializeToString(), options)


def fastest_call(session: ort.InferenceSession, feed: dict[str, np.ndarray[Any, Any]]) -> float:
    """Seconds of the fastest of some calls."""
    took = []
    for _ in range(CALLS):
        start = time.perf_counter()
        session.run(None, feed)
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    print("| units | steps | rows | loop / operator |")
    print("|---|---|---|---|")
    for units, steps, rows in CASES:
        x = keras.Input((steps, FEATURES))
        [capture] = capture_source(detect_source(keras.Model(x, keras.layers.GRU(units)(x))), ConvertOptions())
        loop = open_graph(capture.model)
        assert RecurrentLayersPass()(capture.model).modified
        operator = open_graph(capture.model)
        batch = np.random.default_rng(0).standard_normal((rows, steps, FEATURES)).astype(np.float32)
        feed = {loop.get_inputs()[0].name: batch}
        ratios = [fastest_call(loop, feed) / fastest_call(operator, feed) for _ in range(ROUNDS)]
        print(f"| {units} | {steps} | {rows} | {statistics.median(ratios):.1f} |", flush=True)


if __name__ == "__main__":
    main()
