"""manifest.json: an ONNX Runtime model package manifest (schema 1.0) with transload's own part in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import msgspec

from transload.serialize.archive_writer import Digest
from transload.serialize.errors import PackageError
from transload.serialize.layout import SIGNATURE_NAME
from transload.serialize.strict_json import convert_json, decode_json

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = "1.0"
FORMAT_VERSION = "1.0"
KNOWN_FEATURES: frozenset[str] = frozenset()
"""Features that a package may list as required to be read; a reader refuses a package with one that it lacks."""

FOLDER_OPTION = "session.model_external_initializers_file_folder_path"
PORTABLE = "portable"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ASSET = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LICENSE = re.compile(r"[A-Za-z0-9.+:() -]{1,256}")
"""The characters of SPDX licence expressions (SPDX 3.0, annex B)."""

RESERVED_NAMES = frozenset({"shared_assets", MANIFEST_NAME, SIGNATURE_NAME})


class OrtInfo(msgspec.Struct, frozen=True):
    """What ONNX Runtime's own package loader reads: the model file and string session options."""

    model_file: str
    session_options: dict[str, str] = {}


class ExecutorInfo(msgspec.Struct, frozen=True):
    """One entry for each program that can run the variant; `transload` names the interface file."""

    ort: OrtInfo
    transload: str


class VariantEntry(msgspec.Struct, frozen=True):
    """One build of a component: its folder, and the execution provider by which ONNX Runtime picks it."""

    variant_directory: str
    ep: str
    executor_info: ExecutorInfo


class ComponentEntry(msgspec.Struct, frozen=True):
    """One callable, with its variants by name."""

    variants: dict[str, VariantEntry]


class MemberEntry(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 (lowercase hex) of a member."""

    size: int
    sha256: str


class TransloadEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """transload's part: versions, features that a reader must know, and the digests of all other members.

    `assets` names the shared asset with the files that come with the model (labels, a tokenizer), if there are any.
    `license` is the model's, as an SPDX expression; `tools` has the version of each program that made the package.
    """

    format_version: str
    producer: str
    required_features: tuple[str, ...]
    members: dict[str, MemberEntry]
    assets: str | None = None
    license: str | None = None
    tools: dict[str, str] = {}


class Metadata(msgspec.Struct, frozen=True):
    """ONNX Runtime's place for what is not its own."""

    transload: TransloadEntry


class Manifest(msgspec.Struct, frozen=True):
    """The whole manifest. ONNX Runtime refuses unknown fields on the top levels, so ours are in `Metadata`."""

    schema_version: str
    package_name: str
    layout: str
    components: dict[str, ComponentEntry]
    additional_metadata: Metadata


def make_manifest(
    package_name: str,
    components: dict[str, ComponentEntry],
    *,
    assets: str | None = None,
    license: str | None = None,
    tools: Mapping[str, str] = MappingProxyType({}),
) -> Manifest:
    """A manifest whose list of members is still empty. `assets` is the asset's `sha256:<hex>`.

    Raises:
        PackageError: the licence is no SPDX expression.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise _refuse(f"The licence {license!r} is not an SPDX expression such as Apache-2.0.")
    sorted_tools = dict(sorted(tools.items()))
    entry = TransloadEntry(FORMAT_VERSION, f"transload {version('transload')}", (), {}, assets, license, sorted_tools)
    return Manifest(SCHEMA_VERSION, package_name, PORTABLE, components, Metadata(entry))


def with_members(manifest: dict[str, Any], digests: Mapping[str, Digest]) -> dict[str, Any]:
    """The manifest (as JSON objects) with these members, sorted by name; a signature is not listed."""
    members = {
        name: {"size": digests[name].size_bytes, "sha256": digests[name].sha256}
        for name in sorted(digests, key=str.encode)
        if name != SIGNATURE_NAME
    }
    metadata = manifest["additional_metadata"]
    own = metadata["transload"] | {"members": members}
    return manifest | {"additional_metadata": metadata | {"transload": own}}


def decode_manifest(data: bytes | memoryview) -> Manifest:
    """Read and check a manifest; whether its members are there is for the package to check.

    Raises:
        PackageError: its version or a required feature is not known, or it does not follow the schema.
    """
    raw = decode_json(data, MANIFEST_NAME)
    _check_versions(raw)
    manifest = convert_json(raw, Manifest, MANIFEST_NAME, "manifest-schema")
    if manifest.layout != PORTABLE:
        raise _refuse(f"The layout is {manifest.layout!r}, not {PORTABLE!r}.")
    if not manifest.components:
        raise _refuse("The package has no component.")
    for name, component in manifest.components.items():
        check_component_name(name)
        if not component.variants:
            raise _refuse(f"The component {name!r} has no variant.")
        for variant_name, variant in component.variants.items():
            _check_variant(name, variant_name, variant)
    own = manifest.additional_metadata.transload
    if own.assets is not None and not _ASSET.fullmatch(own.assets):
        raise _refuse(f"The assets are {own.assets!r}, not sha256:<hex>.")
    if own.license is not None and not _LICENSE.fullmatch(own.license):
        raise _refuse(f"The licence {own.license!r} is not an SPDX expression.")
    for member, entry in own.members.items():
        if entry.size < 0 or not _SHA256.fullmatch(entry.sha256):
            raise PackageError("Its entry in the manifest is malformed.", member=member, rule="members")
    return manifest


def check_component_name(name: str) -> None:
    """Refuse a component name that cannot be a folder in a package.

    Raises:
        PackageError: with the rule `manifest-schema`.
    """
    if not _NAME.fullmatch(name) or name.lower() in RESERVED_NAMES:
        raise _refuse(f"The component or variant name {name!r} is not allowed.")


def asset_folder(uri: str) -> str:
    """The folder of the shared asset `sha256:<hex>` inside the package."""
    return f"shared_assets/{uri.replace(':', '-')}"


def _check_versions(raw: dict[str, Any]) -> None:
    own = raw.get("additional_metadata")
    own = own.get("transload") if isinstance(own, dict) else None
    if not isinstance(own, dict):
        raise PackageError(
            "This is a ZIP file, or an ONNX Runtime model package, but not a transload package.",
            member=MANIFEST_NAME,
            rule="manifest-schema",
        )
    found = {"schema_version": raw.get("schema_version"), "format_version": own.get("format_version")}
    for field, known in (("schema_version", SCHEMA_VERSION), ("format_version", FORMAT_VERSION)):
        value = found[field]
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,6}\.[0-9]{1,6}", value):
            raise _refuse(f"{field} is {value!r}, not a version.")
        if value.split(".")[0] != known.split(".")[0]:
            raise PackageError(
                f"The package has {field} {value}; this reader understands {known} and later minor versions.",
                member=MANIFEST_NAME,
                rule=field.replace("_", "-"),
                hint="Open it with a newer transload.",
            )
    features = own.get("required_features", [])
    unknown = (
        [name for name in features if not isinstance(name, str) or name not in KNOWN_FEATURES]
        if isinstance(features, list)
        else []
    )
    if unknown:
        raise PackageError(
            f"The package (format {own['format_version']}) needs features that this reader lacks: {unknown}.",
            member=MANIFEST_NAME,
            rule="required-features",
            hint="Open it with a newer transload.",
        )


def _check_variant(component: str, name: str, variant: VariantEntry) -> None:
    check_component_name(name)
    if variant.variant_directory.split("/")[0] != component or variant.variant_directory.count("/") != 1:
        raise _refuse(f"The variant {component}/{name} lies in {variant.variant_directory!r}.")
    check_component_name(variant.variant_directory.split("/")[1])
    info = variant.executor_info
    if info.ort.model_file != "model.onnx" or info.transload != "interface.json":
        raise _refuse(f"The variant {component}/{name} names files other than model.onnx and interface.json.")
    for option, value in info.ort.session_options.items():
        # Any other session option could make ONNX Runtime write files or load libraries.
        if option != FOLDER_OPTION or not _ASSET.fullmatch(value):
            raise _refuse(f"The variant {component}/{name} sets the session option {option!r} to {value!r}.")


def _refuse(what: str) -> PackageError:
    return PackageError(what, member=MANIFEST_NAME, rule="manifest-schema")
