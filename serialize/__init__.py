"""The package: archive, manifest, interface, weights and vectors. Imports nothing else of transload."""

from transload.serialize.folder import pack_folder, unpack_package
from transload.serialize.package import Component, Package
from transload.serialize.package_file import PackageFile, open_package
from transload.serialize.vectors import VectorSet

__all__ = [
    "Component",
    "Package",
    "PackageFile",
    "VectorSet",
    "open_package",
    "pack_folder",
    "unpack_package",
]
