"""The key of a tuned variant: everything that must be the same for it to be the same model, as fast, here."""

from __future__ import annotations

import functools
import hashlib

import msgspec
import onnxruntime as ort

from transload.runtime.platform import describe_cpu, machine_name
from transload.serialize.layout import MODEL_NAME, asset_uri
from transload.serialize.package_file import PackageFile, data_name
from transload.serialize.platform import count_cpus

TUNING_VERSION = "2"
"""Raised when the layout of entries or the meaning of their fields changes; older entries are then never used."""


class TuningKey(msgspec.Struct, frozen=True):
    """What a tuned variant fits.

    `model` is the SHA-256 of the portable variant's graph and weights, in the form of a shared asset's name;
    `runtime` ONNX Runtime's version and build; `machine` the architecture; `cpu` the SHA-256 of the processor's
    description; `cpus` how many processors a process may use; `device` what it runs on.
    """

    version: str
    model: str
    runtime: str
    machine: str
    cpu: str
    cpus: int
    device: str

    @property
    def text(self) -> str:
        """The key as text: one `field: value` line for each field, in the order of the class."""
        return "".join(f"{name}: {getattr(self, name)}\n" for name in self.__struct_fields__)

    @property
    def digest(self) -> str:
        """SHA-256 of the text, as lowercase hex: the name of the entry."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def make_key(package: PackageFile, component: str, device: str = "cpu") -> TuningKey | None:
    """The key of a component here and now; None where the processor cannot be told, so that nothing may be tuned."""
    cpu = _cpu_digest()
    if not cpu:
        return None
    return TuningKey(
        TUNING_VERSION, model_digest(package, component), runtime_build(), machine_name(), cpu, count_cpus(), device
    )


def model_digest(package: PackageFile, component: str) -> str:
    """The identity of a component's graph and weights, from the manifest's SHA-256 of both.

    Not the package's own digest: that changes when a tuned variant is embedded, or a vector set is added.
    """
    variant = package.variant(component)
    members = package.manifest.additional_metadata.transload.members
    names = {MODEL_NAME: f"{variant.variant_directory}/{MODEL_NAME}", "weights": data_name(variant)}
    return asset_uri({name: members[member].sha256 for name, member in names.items() if member in members})


def runtime_build() -> str:
    """ONNX Runtime's version and build, in one line."""
    return f"{ort.__version__} {' '.join(ort.get_build_info().split())}"


@functools.cache
def _cpu_digest() -> str:
    description = describe_cpu()
    return hashlib.sha256(description.encode()).hexdigest() if description else ""
