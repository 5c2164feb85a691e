"""Running a .onnx file in OpenVINO, in float32, tuned for latency."""

from __future__ import annotations

import openvino

from transload.convert.peers.runners import Run


def open_model(source: str, threads: int) -> Run:
    """A .onnx file."""
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    request = openvino.Core().compile_model(source, "CPU", settings).create_infer_request()
    return lambda feed: request.infer(dict(feed), share_inputs=True, share_outputs=True)
