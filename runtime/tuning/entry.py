"""A tuned variant as it is stored: `tuning.json`, the optimised graph, and its weights with their pre-packed copies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import onnx

from transload.runtime.configuration import Configuration
from transload.runtime.tuning.key import TuningKey
from transload.serialize.archive import Archive, open_archive
from transload.serialize.archive_writer import Content, Digest, write_archive
from transload.serialize.errors import PackageError
from transload.serialize.layout import DATA_NAME, MODEL_NAME
from transload.serialize.model_contents import external_tensors
from transload.serialize.model_rules import needed_bytes, read_model
from transload.serialize.operator_domains import RUNTIME_DOMAINS
from transload.serialize.strict_json import convert_json, decode_json, encode_json
from transload.serialize.zip_records import Member, alignment_of

TUNING_NAME = "tuning.json"
RULE = "tuned-variant"

_PREPACKED = re.compile(r"prepacked_\d+")


class TuningRecord(msgspec.Struct, frozen=True):
    """What is known of a tuned variant.

    Args:
        key: What it fits.
        configuration: How its session is made. The graph is optimised already, so `level` tells how it came about.
        package_name, component: What was tuned, for people.
        baseline_ms, tuned_ms: Medians of the untuned and the tuned session, in one run, in milliseconds.
    """

    key: TuningKey
    configuration: Configuration
    package_name: str
    component: str
    baseline_ms: float
    tuned_ms: float


@dataclass(frozen=True)
class TunedVariant:
    """A tuned variant inside an archive: a cache entry, or a package in which it is embedded below `folder`."""

    archive: Archive
    record: TuningRecord
    folder: str = ""

    def member(self, name: str) -> Member | None:
        """Where one of the variant's files lies; None where there is no such file."""
        return self.archive.members.get(self.folder + name)

    def check_weights(self) -> None:
        """Compare the weights with their CRC-32.

        Raises:
            PackageError: they are damaged.
        """
        if self.member(DATA_NAME) is not None:
            self.archive.check_crc32(self.folder + DATA_NAME)

    def model_bytes(self) -> bytes:
        """The graph, its external data pointing into the archive's file.

        Raises:
            PackageError: it is damaged.
        """
        name = self.folder + MODEL_NAME
        self.archive.check_crc32(name)
        model, _ = read_model(self.archive.view(name), name, RUNTIME_DOMAINS)
        # ONNX Runtime takes the size of pre-packed weights on trust, and a package may come from anywhere.
        prepacked = not self.folder
        _point_into(external_tensors(model), name, self.member(DATA_NAME), self.archive.path, prepacked=prepacked)
        data: bytes = model.SerializeToString()
        return data


def write_entry(file: IO[bytes], record: TuningRecord, contents: Mapping[str, Content]) -> None:
    """Write an entry of the cache. `contents` are the graph and its weights, by their names in a package."""

    def make_index(digests: Mapping[str, Digest]) -> bytes:
        members = {name: {"size": digest.size_bytes, "sha256": digest.sha256} for name, digest in digests.items()}
        fields: dict[str, object] = msgspec.to_builtins(record)
        return encode_json(fields | {"members": members})

    write_archive(file, contents, TUNING_NAME, make_index)


def read_entry(path: Path) -> TunedVariant:
    """Open an entry of the cache; its graph and weights are not read yet.

    Raises:
        PackageError: it is damaged.
        UsageError: it cannot be read.
    """
    return read_variant(open_archive(path), "")


def read_variant(archive: Archive, folder: str) -> TunedVariant:
    """A tuned variant whose files lie below `folder` (with its final `/`) in an archive.

    Raises:
        PackageError: it is damaged.
    """
    name = folder + TUNING_NAME
    data = archive.view(name)
    archive.check_crc32(name)
    record = convert_json(decode_json(data, name), TuningRecord, name, RULE)
    if folder + MODEL_NAME not in archive.members:
        raise PackageError("The tuned variant has no graph.", member=name, rule=RULE)
    return TunedVariant(archive, record, folder)


def _point_into(
    tensors: Iterable[onnx.TensorProto], model_member: str, data: Member | None, archive: Path, *, prepacked: bool
) -> None:
    """Rewrite external data, and pre-packed copies where there may be any, to lie in the archive's file.

    ONNX Runtime writes them as `prepacked_N = KEY|OFFSET;LENGTH;CHECKSUM[|OFFSET;LENGTH;CHECKSUM …]`
    (onnxruntime/core/framework/tensor_external_data_info.cc).
    """
    for tensor in tensors:
        fields = {entry.key: entry.value for entry in tensor.external_data}
        if data is None or len(fields) != len(tensor.external_data):
            raise PackageError("Its external data is contradictory.", member=model_member, rule=RULE)
        place = _move(f"{fields.pop('offset', '0')};{fields.pop('length', '')}", data, model_member)
        offset, length = place.split(";")
        if int(length) != needed_bytes(tensor):
            raise PackageError("Its external data has another size than its shape.", member=model_member, rule=RULE)
        moved = {"location": archive.name, "offset": offset, "length": length}
        if fields.pop("location", "") != DATA_NAME:
            raise PackageError(f"Its external data must lie in {DATA_NAME}.", member=model_member, rule=RULE)
        for key, value in fields.items():
            if not (prepacked and _PREPACKED.fullmatch(key)):
                raise PackageError(f"Unknown field {key!r} of external data.", member=model_member, rule=RULE)
            kernel, *places = value.split("|")
            moved[key] = "|".join([kernel, *(_move(place, data, model_member) for place in places)])
        del tensor.external_data[:]
        for key, value in moved.items():
            tensor.external_data.add(key=key, value=value)


def _move(place: str, data: Member, model_member: str) -> str:
    """`OFFSET;LENGTH[;CHECKSUM]` in the weights file as the same in the archive."""
    offset, _, rest = place.partition(";")
    length = rest.partition(";")[0]
    if not (offset.isdecimal() and length.isdecimal() and int(offset) + int(length) <= data.size_bytes):
        raise PackageError("Its external data leaves the weights.", member=model_member, rule=RULE)
    if int(offset) % alignment_of(int(length)):
        # ONNX Runtime's kernels would take the process down.
        raise PackageError("Its external data is not aligned.", member=model_member, rule=RULE)
    return f"{data.offset + int(offset)};{rest}"
