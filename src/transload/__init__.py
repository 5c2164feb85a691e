"""transload: trained models out of PyTorch and TensorFlow, into one proven package, run anywhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Official builds of ONNX Runtime send usage data to Microsoft (its Privacy.md) and keep an identifier of the machine in
# the user's cache. Running somebody's model must not; who wants it sets the variable to 0 before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from transload.api import convert_model
    from transload.runtime.model import Model, load
    from transload.runtime.verify import verify
    from transload.serialize import Package
    from transload.serialize.errors import (
        ExecutionError,
        MismatchError,
        PackageError,
        SourceError,
        TransloadError,
        UnsupportedError,
        UsageError,
        WorkerError,
    )

__all__ = [
    "ExecutionError",
    "MismatchError",
    "Model",
    "Package",
    "PackageError",
    "SourceError",
    "TransloadError",
    "UnsupportedError",
    "UsageError",
    "WorkerError",
    "__version__",
    "convert_model",
    "load",
    "verify",
]

_HOMES = {
    "convert_model": "transload.api",
    "Model": "transload.runtime.model",
    "load": "transload.runtime.model",
    "verify": "transload.runtime.verify",
    "Package": "transload.serialize",
}
"""The modules of the names above; all others are errors."""


def __getattr__(name: str) -> Any:
    # Imported on first use: onnxruntime and, for conversions, onnx_ir take longer to import than all of transload.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    import importlib.metadata

    if name == "__version__":
        value: Any = importlib.metadata.version("transload")
    else:
        value = getattr(importlib.import_module(_HOMES.get(name, "transload.serialize.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
