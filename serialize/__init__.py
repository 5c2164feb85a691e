"""The package: archive, manifest, interface, weights and vectors. Imports nothing else of transload."""

from typing import TYPE_CHECKING, Any

from transload.serialize.folder import pack_folder, unpack_package
from transload.serialize.package_file import PackageFile, open_package
from transload.serialize.vectors import VectorSet

if TYPE_CHECKING:
    from transload.serialize.package import Component, Package

__all__ = [
    "Component",
    "Package",
    "PackageFile",
    "VectorSet",
    "open_package",
    "pack_folder",
    "unpack_package",
]


def __getattr__(name: str) -> Any:
    # Imported on first use: only writing a package needs onnx_ir, which takes longer to import than all else.
    if name not in ("Component", "Package"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module("transload.serialize.package"), name)
    globals()[name] = value
    return value
