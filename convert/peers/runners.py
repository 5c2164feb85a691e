"""The runtimes that can be measured, and the module of each; a module imports its runtime when it is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Run = Callable[[Mapping[str, Any]], object]
"""Runs the model once on numpy arrays by input name."""

RUNNERS: Mapping[str, str] = {
    "transload": "transload.convert.peers.package_runner",
    "onnxruntime": "transload.convert.peers.onnx_runner",
    "openvino": "transload.convert.peers.openvino_runner",
    "torch": "transload.convert.peers.torch_runner",
    "tensorflow": "transload.convert.peers.tensorflow_runner",
}
"""Each module has `open_model(source, threads) -> Run`; 0 threads leave the choice to the runtime."""
