"""What the fuzzer calls: each takes any bytes and ends well or with an error of ours; all else is a finding."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import onnx

from transload.convert.detect import detect_source
from transload.convert.onnx.external_files import check_external_files
from transload.serialize.archive_writer import Bytes, Digest, write_archive
from transload.serialize.errors import TransloadError
from transload.serialize.external_data import point_into
from transload.serialize.interface import decode_interface, encode_interface
from transload.serialize.manifest import decode_manifest
from transload.serialize.model_contents import external_tensors
from transload.serialize.model_rules import check_model, check_size, read_model
from transload.serialize.package_file import PackageFile, open_package
from transload.serialize.vectors import decode_tensor
from transload.serialize.zip_records import Member

DATA = Member("model.onnx.data", 1 << 20, 0, 1 << 12, 0)

SEPARATOR = b"\n--member--\n"
"""Between the members in an input of `members`, which are those of `NAMES`."""

NAMES = (
    "manifest.json",
    "f/portable/interface.json",
    "f/portable/model.onnx",
    "f/portable/test_data_set_0/input_0.pb",
    "f/portable/test_data_set_0/output_0.pb",
    "f/portable/model.onnx.data",
)


def package(data: bytes) -> None:
    """A package file, opened without a look at its CRC-32s, which no fuzzer would guess."""
    with _file(data) as path:
        _read_all(open_package(path, integrity="none"))


def members(data: bytes) -> None:
    """A well-formed archive around any members."""
    contents = dict(zip(NAMES, data.split(SEPARATOR), strict=False))
    manifest = contents.pop("manifest.json", b"")
    file = io.BytesIO()

    def make_index(digests: Mapping[str, Digest]) -> bytes:
        return manifest

    write_archive(file, {name: Bytes(content) for name, content in contents.items()}, "manifest.json", make_index)
    package(file.getvalue())


def model(data: bytes) -> None:
    """A `model.onnx` of a package."""
    proto, has_external = read_model(data, "model.onnx")
    assert has_external is any(True for _ in external_tensors(proto))
    point_into(external_tensors(proto), "model.onnx", "model.onnx.data", DATA, Path("m.tload"))
    # What was accepted must come out of another parser as it went in.
    assert onnx.ModelProto.FromString(proto.SerializeToString()) == proto


def onnx_file(data: bytes) -> None:
    """A `.onnx` file of a stranger's, with any external data."""
    check_size(data, "m.onnx")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception:
        # The parser's own errors are turned into ours by whoever reads the file.
        return
    check_model(proto, "m.onnx", None)
    check_external_files(proto, Path("/nonexistent"))


def interface(data: bytes) -> None:
    """An `interface.json`; what is accepted is written and read again as the same."""
    found = decode_interface(data, "interface.json")
    assert decode_interface(encode_interface(found), "interface.json") == found


def manifest(data: bytes) -> None:
    """A `manifest.json`."""
    decode_manifest(data)


def vector(data: bytes) -> None:
    """A TensorProto of a vector set."""
    decode_tensor(data, "input_0.pb")


def source(data: bytes) -> None:
    """A file of any kind whose kind is to be found out."""
    with _file(data) as path:
        detect_source(path)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (package, members, model, onnx_file, interface, manifest, vector, source)
}


def call(name: str, data: bytes) -> None:
    """Call a target; errors of ours are good ends."""
    try:
        TARGETS[name](data)
    except TransloadError as error:
        # An error that cannot be shown would be a finding too.
        str(error).encode()


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[Path]:
    """The bytes as a file, for the length of a block."""
    handle, name = tempfile.mkstemp(prefix="transload-fuzz-")
    try:
        os.write(handle, data)
        os.close(handle)
        yield Path(name)
    finally:
        Path(name).unlink()


def _read_all(opened: PackageFile) -> None:
    for name in opened.component_names:
        opened.model_proto(name)
        opened.vectors(name)
    for name in opened.asset_names:
        opened.read_asset(name)
