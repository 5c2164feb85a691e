"""One function for each runtime: it opens a model and gives a function that runs it on a feed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Run = Callable[[Mapping[str, Any]], object]
"""Runs the model once on numpy arrays by input name."""

RUNNERS: Mapping[str, str] = {
    "transload": "transload.convert.peers.runners:open_transload",
    "onnxruntime": "transload.convert.peers.runners:open_onnxruntime",
    "openvino": "transload.convert.peers.runners:open_openvino",
    "torch": "transload.convert.peers.runners:open_torch",
    "tensorflow": "transload.convert.peers.runners:open_tensorflow",
}
"""Where the function of each runtime is found; imported only in the runtime's own process."""


def open_transload(source: str, threads: int) -> Run:
    """A package, as `tl.load` opens it. `source` is `FILE` or `FILE#COMPONENT`."""
    from transload.runtime import load

    path, _, component = source.partition("#")
    model = load(path, component or None, threads=threads or None, device="cpu")
    return lambda feed: model.run(None, feed)


def open_onnxruntime(source: str, threads: int) -> Run:
    """A .onnx file in ONNX Runtime, as one would without transload."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)


def open_openvino(source: str, threads: int) -> Run:
    """A .onnx file in OpenVINO, in float32, tuned for latency."""
    import openvino

    core = openvino.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    request = core.compile_model(source, "CPU", settings).create_infer_request()
    return lambda feed: request.infer(dict(feed), share_inputs=True, share_outputs=True)


def open_torch(source: str, threads: int) -> Run:
    """A TorchScript file or a .pt2 file in PyTorch; inputs go by position."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    if Path(source).suffix == ".pt2":
        model: Any = torch.export.load(source).module()
    else:
        model = torch.jit.freeze(torch.jit.load(source).eval())  # type: ignore[no-untyped-call]

    def run(feed: Mapping[str, Any]) -> object:
        with torch.inference_mode():
            return model(*(torch.from_numpy(array) for array in feed.values()))

    return run


def open_tensorflow(source: str, threads: int) -> Run:
    """A signature of a SavedModel in TensorFlow; `source` is `FOLDER` or `FOLDER#SIGNATURE`."""
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    path, _, name = source.partition("#")
    loaded = tf.saved_model.load(path)
    signature = loaded.signatures[name or "serving_default"]

    def run(feed: Mapping[str, Any]) -> object:
        outputs = signature(**{key: tf.constant(array) for key, array in feed.items()})
        return [value.numpy() for value in outputs.values()]

    # The signature does not keep what it was loaded from alive.
    run.loaded = loaded  # type: ignore[attr-defined]
    return run
