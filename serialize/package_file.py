"""An opened package file: checked on opening, mapped, its parts read on demand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, get_args

import onnx

from transload.serialize.archive import Archive, open_archive
from transload.serialize.errors import PackageError, UsageError
from transload.serialize.external_data import point_into
from transload.serialize.interface import (
    Interface,
    Tensor,
    check_fit,
    decode_interface,
    input_tensors,
    output_tensors,
)
from transload.serialize.layout import (
    DATA_NAME,
    INTERFACE_NAME,
    MODEL_NAME,
    SHARED_DATA_NAME,
    SIGNATURE_NAME,
    asset_uri,
)
from transload.serialize.manifest import (
    FOLDER_OPTION,
    MANIFEST_NAME,
    PORTABLE,
    Manifest,
    VariantEntry,
    asset_folder,
    decode_manifest,
)
from transload.serialize.model_contents import external_tensors
from transload.serialize.model_rules import read_model
from transload.serialize.strict_json import MAX_JSON_BYTES
from transload.serialize.vectors import Array, VectorSet, check_tensors, decode_tensor, member_names
from transload.serialize.zip_records import Member

if TYPE_CHECKING:
    from transload.serialize.package import Package

Integrity = Literal["none", "crc32", "sha256"]


@dataclass(frozen=True)
class PackageFile:
    """A package on disk whose structure and manifest were checked. Views into it keep the mapping alive."""

    archive: Archive
    manifest: Manifest
    integrity: Integrity
    _checked: set[str] = field(default_factory=set, repr=False, compare=False)
    _interfaces: dict[str, Interface] = field(default_factory=dict, repr=False, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nothing to release by hand: the mapping goes when its last view goes.
        return None

    @property
    def path(self) -> Path:
        """The file, with symbolic links resolved."""
        return self.archive.path

    @property
    def size_bytes(self) -> int:
        """The size of the whole file."""
        return len(self.archive.mapping)

    @property
    def members(self) -> Mapping[str, Member]:
        """Every member by name, in the file's order."""
        return self.archive.members

    @property
    def digest(self) -> str:
        """The package's identity: SHA-256 of the manifest, which holds the SHA-256 of everything else."""
        return hashlib.sha256(self.archive.view(MANIFEST_NAME)).hexdigest()

    @property
    def component_names(self) -> tuple[str, ...]:
        """The components, in the manifest's order."""
        return tuple(self.manifest.components)

    def read(self, name: str) -> memoryview:
        """A member's content, checked against its CRC-32 on first use unless the integrity is `none`.

        Raises:
            PackageError: there is no such member, or it is damaged.
        """
        if self.integrity != "none" and name not in self._checked:
            self.archive.check_crc32(name)
            self._checked.add(name)
        return self.archive.view(name)

    def variant(self, component: str) -> VariantEntry:
        """The entry of a component's `portable` variant.

        Raises:
            UsageError: there is no such component.
        """
        if component not in self.manifest.components:
            raise UsageError(
                f"The package has no component {component!r}.",
                hint=f"It has: {', '.join(self.component_names)}.",
            )
        return self.manifest.components[component].variants[PORTABLE]

    def interface(self, component: str) -> Interface:
        """A component's interface."""
        name = f"{self.variant(component).variant_directory}/{INTERFACE_NAME}"
        if name not in self._interfaces:
            self._interfaces[name] = decode_interface(self.read(name), name)
        return self._interfaces[name]

    def model_bytes(self, component: str) -> memoryview:
        """A component's `model.onnx` as it is stored."""
        return self.read(f"{self.variant(component).variant_directory}/{MODEL_NAME}")

    def data_member(self, component: str) -> Member | None:
        """Where a component's weights lie, checked as `read` does; None where it has none."""
        name = data_name(self.variant(component))
        if name in self.members:
            self.read(name)
        return self.members.get(name)

    def model_proto(self, component: str, *, check_weights: bool = True) -> onnx.ModelProto:
        """A component's model whose external data points into the package file itself.

        Its `location` is the package's file name: give ONNX Runtime `path.parent` as the folder of external data.
        `check_weights=False` leaves the check of the weights' CRC-32 to a call of `data_member`.

        Raises:
            PackageError: the model is damaged, or its external data leaves its place.
        """
        variant = self.variant(component)
        member = f"{variant.variant_directory}/{MODEL_NAME}"
        interface = self.interface(component)
        model, has_external = read_model(self.model_bytes(component), member, interface.operator_domains)
        location = data_name(variant).rsplit("/", 1)[1]
        data = self.data_member(component) if check_weights else self.members.get(data_name(variant))
        if has_external:
            # Another walk over the whole model.
            point_into(external_tensors(model), member, location, data, self.path)
        _check_fit(interface, model, component)
        return model

    def vectors(self, component: str) -> tuple[VectorSet, ...]:
        """A component's recorded inputs and outputs."""
        interface = self.interface(component)
        folder = self.variant(component).variant_directory
        sets: list[VectorSet] = []
        unread = {name for name in self.members if name.startswith(f"{folder}/test_data_set_")}
        while any(name.startswith(f"{folder}/test_data_set_{len(sets)}/") for name in unread):
            inputs = self._read_vectors(folder, len(sets), "input", input_tensors(interface), unread)
            outputs = self._read_vectors(folder, len(sets), "output", output_tensors(interface), unread)
            sets.append(VectorSet(inputs, outputs))
        if unread:
            raise PackageError("The file belongs to no vector set.", member=min(unread), rule="vectors")
        return tuple(sets)

    def _read_vectors(
        self, folder: str, index: int, kind: str, tensors: tuple[Tensor, ...], unread: set[str]
    ) -> Mapping[str, Array]:
        unique = list({tensor.name: tensor for tensor in tensors}.values())
        names = member_names(folder, index, kind, len(unique))
        found = [decode_tensor(self.read(name), name) for name in names]
        unread.difference_update(names)
        return check_tensors(found, unique, f"{folder}/test_data_set_{index}")

    @property
    def asset_names(self) -> tuple[str, ...]:
        """The files that come with the model (labels, a tokenizer), by relative path."""
        return tuple(name.removeprefix(self._asset_prefix) for name in self.members if self._is_asset(name))

    def read_asset(self, name: str) -> bytes:
        """A file that comes with the model, checked as `read` does.

        Raises:
            UsageError: there is no such file.
            PackageError: it is damaged.
        """
        if name not in self.asset_names:
            raise UsageError(
                f"The package has no asset {name!r}.", hint=f"It has: {', '.join(self.asset_names) or 'none'}."
            )
        return bytes(self.read(f"{self._asset_prefix}{name}"))

    @property
    def _asset_prefix(self) -> str:
        return f"{asset_folder(self.manifest.additional_metadata.transload.assets or '')}/"

    def _is_asset(self, name: str) -> bool:
        return self.manifest.additional_metadata.transload.assets is not None and name.startswith(self._asset_prefix)

    def to_package(self) -> Package:
        """The package in memory, its weights still lying in this file."""
        # Imported here: running a package must not pay for onnx_ir, which takes longer to import than most models
        # take to load (it loads sympy).
        import onnx_ir as ir

        from transload.serialize.package import Component, Package

        components = []
        for name in self.component_names:
            model = ir.from_proto(self.model_proto(name))
            ir.external_data.set_base_dir(model.graph, self.path.parent)
            components.append(Component(name, self.interface(name), model, self.vectors(name)))
        assets = {name: self.read_asset(name) for name in self.asset_names}
        own = self.manifest.additional_metadata.transload
        return Package(
            self.manifest.package_name,
            tuple(components),
            resources=(self,),
            assets=assets,
            license=own.license,
            tools=own.tools,
        )


def open_package(path: str | Path, integrity: Integrity = "crc32") -> PackageFile:
    """Open a package file and check what can be checked without reading weights.

    Args:
        path: The file.
        integrity: `crc32` checks each member when it is used, `sha256` every member now, `none` nothing.

    Raises:
        UsageError: the file cannot be read.
        PackageError: it breaks a rule of docs/format.md.
    """
    if integrity not in get_args(Integrity):
        raise UsageError(f"Unknown integrity {integrity!r}.", hint=f"Choose one of {', '.join(get_args(Integrity))}.")
    archive = open_archive(Path(path))
    if MANIFEST_NAME not in archive.members:
        raise PackageError(
            "The ZIP file has no manifest.json: it is not a package.",
            member=MANIFEST_NAME,
            rule="manifest-schema",
        )
    if integrity != "none":
        archive.check_crc32(MANIFEST_NAME)
    manifest = decode_manifest(archive.view(MANIFEST_NAME))
    package = PackageFile(archive, manifest, integrity)
    _check_members(package)
    for component in package.component_names:
        _check_files(package, component)
    _check_assets(package)
    if integrity == "sha256":
        check_sha256(package)
    return package


def check_sha256(package: PackageFile) -> None:
    """Compare every member with the manifest's SHA-256.

    Raises:
        PackageError: one differs.
    """
    for name, entry in package.manifest.additional_metadata.transload.members.items():
        if package.archive.sha256(name) != entry.sha256:
            raise PackageError("The content does not match its SHA-256 in the manifest.", member=name, rule="sha256")


def data_name(variant: VariantEntry) -> str:
    """The member in which a variant's weights lie, if it has any."""
    uri = variant.executor_info.ort.session_options.get(FOLDER_OPTION)
    if uri is None:
        return f"{variant.variant_directory}/{DATA_NAME}"
    return f"{asset_folder(uri)}/{SHARED_DATA_NAME}"


def _check_members(package: PackageFile) -> None:
    listed = package.manifest.additional_metadata.transload.members
    for name in sorted(set(listed) ^ (set(package.members) - {MANIFEST_NAME, SIGNATURE_NAME})):
        where = "the manifest lists" if name in listed else "the archive holds"
        raise PackageError(f"Manifest and archive disagree: only {where} this member.", member=name, rule="members")
    if SIGNATURE_NAME in package.members and package.members[SIGNATURE_NAME].size_bytes > MAX_JSON_BYTES:
        raise PackageError("The signature has too many bytes.", member=SIGNATURE_NAME, rule="json-size")
    for name, entry in listed.items():
        if package.members[name].size_bytes != entry.size:
            raise PackageError("Its size is not the one in the manifest.", member=name, rule="members")


def _check_files(package: PackageFile, component: str) -> None:
    if PORTABLE not in package.manifest.components[component].variants:
        raise PackageError(
            f"The component {component!r} has no {PORTABLE!r} variant.",
            member=MANIFEST_NAME,
            rule="manifest-schema",
        )
    for variant in package.manifest.components[component].variants.values():
        for file in (MODEL_NAME, INTERFACE_NAME):
            name = f"{variant.variant_directory}/{file}"
            if name not in package.members:
                raise PackageError("The manifest needs this member.", member=name, rule="members")
        if variant.executor_info.ort.session_options and data_name(variant) not in package.members:
            raise PackageError("The manifest needs this member.", member=data_name(variant), rule="members")


def _check_assets(package: PackageFile) -> None:
    listed = package.manifest.additional_metadata.transload.members
    assets: dict[str, dict[str, str]] = {}
    for name, entry in listed.items():
        if name.startswith("shared_assets/"):
            match = re.fullmatch(r"shared_assets/sha256-([0-9a-f]{64})/(.+)", name)
            if match is None:
                raise PackageError("Not a shared asset's name.", member=name, rule="shared-assets")
            assets.setdefault(f"sha256:{match[1]}", {})[match[2]] = entry.sha256
    own = package.manifest.additional_metadata.transload.assets
    if own is not None and own not in assets:
        raise PackageError("The manifest needs this folder.", member=asset_folder(own), rule="members")
    for uri, files in assets.items():
        if asset_uri(files) != uri:
            raise PackageError(
                "The folder's name is not the hash of its files.",
                member=asset_folder(uri),
                rule="shared-assets",
            )


def _check_fit(interface: Interface, model: onnx.ModelProto, component: str) -> None:
    graph = model.graph
    inputs, outputs = ([value.name for value in values] for values in (graph.input, graph.output))
    # Names that are only in one of the two do not matter, and there may be many.
    names = set(inputs) if len(inputs) < len(graph.initializer) else None
    initializers = {tensor.name for tensor in graph.initializer if names is None or tensor.name in names}
    check_fit(interface, inputs, outputs, initializers, component)
