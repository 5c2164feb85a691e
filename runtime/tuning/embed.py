"""Writing a tuned variant into a package, for hosts that are like this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from transload.runtime.tuning.cache import embedded_name
from transload.runtime.tuning.entry import TUNING_NAME, TuningRecord
from transload.serialize.archive_writer import Bytes, Content, Digest, write_archive
from transload.serialize.layout import INTERFACE_NAME, MODEL_NAME
from transload.serialize.manifest import (
    MANIFEST_NAME,
    ExecutorInfo,
    OrtInfo,
    VariantEntry,
    with_members,
)
from transload.serialize.package_file import PackageFile
from transload.serialize.platform import replace_file
from transload.serialize.strict_json import decode_json, encode_json

NOT_FOR_ORT = "transload.tuned"
"""In place of an execution provider's name, so that ONNX Runtime's own package loader never takes the variant."""


def embed_variant(package: PackageFile, record: TuningRecord, contents: Mapping[str, Content], path: Path) -> Path:
    """Write the package to `path` with one tuned variant more; one with the same key is replaced.

    Args:
        package: The package as it is.
        record: What is known of the variant.
        contents: The variant's graph and weights, by their names in a package.
        path: The file to write; may be the package's own.

    Raises:
        UsageError: the folder cannot be written.
    """
    name = embedded_name(record.key)
    portable = package.variant(record.component).variant_directory
    folder = f"{record.component}/{name}"
    members: dict[str, Content] = {
        member: Bytes(package.read(member))
        for member in package.members
        if member != MANIFEST_NAME and not member.startswith(f"{folder}/")
    }
    members |= {f"{folder}/{file}": content for file, content in contents.items()}
    members[f"{folder}/{INTERFACE_NAME}"] = Bytes(package.read(f"{portable}/{INTERFACE_NAME}"))
    members[f"{folder}/{TUNING_NAME}"] = Bytes(encode_json(msgspec.to_builtins(record)))
    entry = VariantEntry(folder, NOT_FOR_ORT, ExecutorInfo(OrtInfo(MODEL_NAME, {}), INTERFACE_NAME))
    manifest = _with_variant(decode_json(package.read(MANIFEST_NAME), MANIFEST_NAME), record.component, name, entry)

    def make_index(digests: Mapping[str, Digest]) -> bytes:
        return encode_json(with_members(manifest, digests))

    with replace_file(path) as file:
        write_archive(file, members, MANIFEST_NAME, make_index)
    return path


def _with_variant(manifest: dict[str, Any], component: str, name: str, entry: VariantEntry) -> dict[str, Any]:
    found = manifest["components"][component]
    changed = found | {"variants": found["variants"] | {name: msgspec.to_builtins(entry)}}
    return manifest | {"components": manifest["components"] | {component: changed}}
