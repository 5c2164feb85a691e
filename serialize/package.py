"""A package in memory, and how its parts become the members of one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import onnx_ir as ir

from transload.serialize.archive_writer import Bytes, Content, Digest, write_archive
from transload.serialize.errors import PackageError
from transload.serialize.interface import (
    Interface,
    check_fit,
    check_operator_domains,
    encode_interface,
    input_tensors,
    output_tensors,
)
from transload.serialize.layout import DATA_NAME, INTERFACE_NAME, MODEL_NAME, SHARED_DATA_NAME, asset_uri
from transload.serialize.manifest import (
    FOLDER_OPTION,
    MANIFEST_NAME,
    PORTABLE,
    ComponentEntry,
    ExecutorInfo,
    OrtInfo,
    VariantEntry,
    asset_folder,
    check_component_name,
    make_manifest,
    with_members,
)
from transload.serialize.platform import replace_file
from transload.serialize.strict_json import encode_json
from transload.serialize.vectors import VectorSet, encode_tensor, member_names
from transload.serialize.weights import (
    DataFile,
    canonical_tensors,
    encode_model,
    external_values,
    lay_out_tensors,
)

CPU_PROVIDER = "CPUExecutionProvider"


@dataclass(frozen=True)
class Component:
    """One callable: its interface, its graph (the `portable` variant), and recorded vectors."""

    name: str
    interface: Interface
    model: ir.Model
    vectors: tuple[VectorSet, ...] = ()


@dataclass(frozen=True)
class Package:
    """One or more components. Weights stay lazy until `save`; `resources` keeps what they are read from alive.

    `assets` are the files that come with the model, by relative path: labels, a tokenizer. `license` is the model's, as
    an SPDX expression; `tools` has the version of each program that made the package.
    """

    name: str
    components: tuple[Component, ...]
    resources: tuple[object, ...] = field(default=(), repr=False, compare=False)
    assets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    license: str | None = None
    tools: Mapping[str, str] = field(default_factory=dict, repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the package; after a crash at any moment `path` holds what it held before, or the whole package.

        The same package gives the same bytes, in any process and on any day.

        Raises:
            UsageError: the folder cannot be written.
            PackageError: a component's name cannot stand in a package, its interface does not fit its graph, or its
            graph breaks a rule of the format; or the licence is no SPDX expression.
        """
        path = Path(path)
        contents, entries = _plan(self.components)
        uri = _add_assets(contents, self.assets)
        manifest = msgspec.to_builtins(
            make_manifest(self.name, entries, assets=uri, license=self.license, tools=self.tools)
        )

        def make_index(digests: Mapping[str, Digest]) -> bytes:
            return encode_json(with_members(manifest, digests))

        with replace_file(path) as file:
            write_archive(file, contents, MANIFEST_NAME, make_index)
        return path


def _plan(components: Iterable[Component]) -> tuple[dict[str, Content], dict[str, ComponentEntry]]:
    """Every member but the manifest, and the manifest's entry for each component."""
    components = tuple(components)
    names = [component.name for component in components]
    if len(set(names)) != len(names) or not names:
        raise PackageError("A package needs components with different names.", rule="manifest-schema")
    for component in components:
        check_component_name(component.name)
        check_operator_domains(component.interface, component.name)
        graph = component.model.graph
        inputs = [str(value.name) for value in graph.inputs]
        outputs = [str(value.name) for value in graph.outputs]
        check_fit(component.interface, inputs, outputs, set(graph.initializers), component.name)
    canonical = canonical_tensors(component.model for component in components)
    contents: dict[str, Content] = {}
    entries: dict[str, ComponentEntry] = {}
    for group in _sharing_groups(components, canonical):
        data = lay_out_tensors(_unique_tensors(group, canonical))
        place_of = {id(tensor): offset for offset, tensor in data.tensors}
        offsets = {key: place_of[id(tensor)] for key, tensor in canonical.items() if id(tensor) in place_of}
        location, options = _add_data(contents, group, data)
        for component in group:
            folder = f"{component.name}/{PORTABLE}"
            member = f"{folder}/{MODEL_NAME}"
            contents[member] = Bytes(
                encode_model(component.model, offsets, location, member, component.interface.operator_domains)
            )
            contents[f"{folder}/{INTERFACE_NAME}"] = Bytes(encode_interface(component.interface))
            contents.update(_encode_vectors(component, folder))
            info = ExecutorInfo(OrtInfo(MODEL_NAME, options), INTERFACE_NAME)
            entries[component.name] = ComponentEntry({PORTABLE: VariantEntry(folder, CPU_PROVIDER, info)})
    return contents, {name: entries[name] for name in names}


def _add_data(contents: dict[str, Content], group: list[Component], data: DataFile) -> tuple[str, dict[str, str]]:
    """Put a group's weights where they belong; the name by which models call them, and their session options."""
    if len(group) == 1:
        if data.size_bytes:
            contents[f"{group[0].name}/{PORTABLE}/{DATA_NAME}"] = data
        return DATA_NAME, {}
    uri = asset_uri({SHARED_DATA_NAME: data.sha256()})
    contents[f"{asset_folder(uri)}/{SHARED_DATA_NAME}"] = data
    return SHARED_DATA_NAME, {FOLDER_OPTION: uri}


def _add_assets(contents: dict[str, Content], assets: Mapping[str, bytes]) -> str | None:
    """Put the files that come with the model into a shared asset; gives its name."""
    if not assets:
        return None
    uri = asset_uri({name: hashlib.sha256(data).hexdigest() for name, data in assets.items()})
    contents.update({f"{asset_folder(uri)}/{name}": Bytes(data) for name, data in assets.items()})
    return uri


def _sharing_groups(
    components: tuple[Component, ...], canonical: dict[int, ir.TensorProtocol]
) -> list[list[Component]]:
    """Components that have a tensor in common, directly or through others, in one list each."""
    groups: list[tuple[set[int], list[Component]]] = []
    for component in components:
        used = {id(canonical[id(value.const_value)]) for value in external_values(component.model)}
        joined = [group for group in groups if group[0] & used]
        groups = [group for group in groups if not group[0] & used]
        tensors = used.union(*(group[0] for group in joined))
        groups.append((tensors, [*(item for group in joined for item in group[1]), component]))
    return [group for _, group in groups]


def _unique_tensors(group: list[Component], canonical: dict[int, ir.TensorProtocol]) -> list[ir.TensorProtocol]:
    unique: dict[int, ir.TensorProtocol] = {}
    for component in group:
        for value in external_values(component.model):
            tensor = canonical[id(value.const_value)]
            unique[id(tensor)] = tensor
    return list(unique.values())


def _encode_vectors(component: Component, folder: str) -> dict[str, Content]:
    members: dict[str, Content] = {}
    for index, vectors in enumerate(component.vectors):
        for kind, tensors, arrays in (
            ("input", input_tensors(component.interface), vectors.inputs),
            ("output", output_tensors(component.interface), vectors.outputs),
        ):
            unique = list(dict.fromkeys(tensor.name for tensor in tensors))
            paths = member_names(folder, index, kind, len(unique))
            for path, name in zip(paths, unique, strict=True):
                members[path] = Bytes(encode_tensor(name, arrays[name]))
    return members
