"""Choosing the execution providers of a session: `auto`, `cpu`, `cuda`, `cuda:1`."""

from __future__ import annotations

import re
from typing import Any

import onnxruntime as ort

from transload.serialize.errors import UsageError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

Providers = list[str | tuple[str, dict[str, Any]]]


def choose_providers(device: str) -> Providers:
    """ONNX Runtime's providers for a device, best first, the CPU always last.

    `auto` takes a GPU where this build of ONNX Runtime offers one.

    Raises:
        UsageError: the device is not known, or this build of ONNX Runtime has no provider for it.
    """
    available = ort.get_available_providers()
    if device == "cpu":
        return [CPU]
    if device == "auto":
        return [CUDA, CPU] if CUDA in available else [CPU]
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise UsageError(f"Unknown device {device!r}.", hint="Choose auto, cpu, cuda or cuda:N.")
    if CUDA not in available:
        raise UsageError(
            f"This build of ONNX Runtime has no {CUDA}; it has {', '.join(available)}.",
            hint="Install onnxruntime-gpu, or choose --device cpu or auto.",
        )
    return [(CUDA, {"device_id": match[1] or "0"}), CPU]
