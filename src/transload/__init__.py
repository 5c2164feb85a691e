"""transload: trained models out of PyTorch and TensorFlow, into one proven package, run anywhere."""

from importlib.metadata import version

from transload.api import convert_model
from transload.runtime import Model, load, verify
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

__version__ = version("transload")

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
