"""A package as a folder: unpacked, opened by ONNX Runtime's own package loader, packed again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_runtime_packages import OrtError, open_folder
from packages import linear_component

from transload.serialize import Package, open_package, pack_folder, unpack_package
from transload.serialize.errors import PackageError, UsageError
from transload.serialize.folder import FileContent

Write = Callable[[bytes], Path]


@pytest.fixture
def folder(package_bytes: bytes, write: Write, tmp_path: Path) -> Path:
    return unpack_package(write(package_bytes), tmp_path / "unpacked")


def test_packing_an_unpacked_package_gives_the_same_file(folder: Path, package_bytes: bytes, tmp_path: Path) -> None:
    assert pack_folder(folder, tmp_path / "again.tload").read_bytes() == package_bytes


def test_onnx_runtime_s_own_package_loader_opens_the_folder(folder: Path) -> None:
    assert open_folder(folder, "forward") == (["forward"], 1)


def test_onnx_runtime_s_own_package_loader_finds_shared_weights(tmp_path: Path, weight: np.ndarray) -> None:
    components = (linear_component("encode", weight), linear_component("decode", weight))
    folder = unpack_package(Package("pair", components).save(tmp_path / "pair.tload"), tmp_path / "pair")
    assert open_folder(folder, "decode") == (["encode", "decode"], 1)


def test_the_second_opinion_can_say_no(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"layout"', '"lay-out"'))
    with pytest.raises(OrtError, match="unknown field 'lay-out'"):
        open_folder(folder, "forward")


def test_a_changed_file_gets_a_new_digest(folder: Path, tmp_path: Path) -> None:
    asset = folder / "forward/portable/labels.txt"
    asset.write_text("cat\ndog\n")
    opened = open_package(pack_folder(folder, tmp_path / "m.tload"), integrity="sha256")
    assert bytes(opened.read("forward/portable/labels.txt")) == b"cat\ndog\n"


def test_a_folder_whose_package_would_be_refused_is_not_packed(folder: Path, tmp_path: Path) -> None:
    (folder / "forward/portable/model.onnx.data").write_bytes(b"short")
    target = tmp_path / "m2.tload"
    with pytest.raises(PackageError, match="past the end"):
        pack_folder(folder, target)
    assert not target.exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_folder_with_a_symbolic_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "forward/portable/link").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match="not a folder or a regular file"):
        pack_folder(folder, tmp_path / "m2.tload")


def test_a_folder_with_a_hard_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of another folder")
    os.link(tmp_path / "secret", folder / "forward/portable/labels.txt")
    with pytest.raises(PackageError, match="without further links") as caught:
        pack_folder(folder, tmp_path / "m2.tload")
    assert (caught.value.rule, caught.value.member) == ("regular-file", "forward/portable/labels.txt")


def test_a_file_that_grows_while_it_is_packed_is_refused(folder: Path, tmp_path: Path) -> None:
    labels = folder / "forward/portable/labels.txt"
    labels.write_text("cat\n")
    content = FileContent(labels, labels.stat().st_size)
    labels.write_text("cat\ndog\n")
    with pytest.raises(PackageError, match="changed while it was packed"):
        list(content.chunks())


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no manifest"):
        pack_folder(tmp_path, tmp_path / "m2.tload")
    with pytest.raises(UsageError, match="not a folder"):
        pack_folder(tmp_path / "none", tmp_path / "m2.tload")


def test_unpacking_into_a_folder_with_files_is_refused(package_bytes: bytes, write: Write, tmp_path: Path) -> None:
    path = write(package_bytes)
    with pytest.raises(UsageError, match="not an empty folder"):
        unpack_package(path, tmp_path)


def test_unpacking_a_damaged_package_leaves_nothing(package_bytes: bytes, write: Write, tmp_path: Path) -> None:
    data = bytearray(package_bytes)
    path = write(package_bytes)
    data[open_package(path).members["forward/portable/model.onnx.data"].offset] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(PackageError, match="SHA-256"):
        unpack_package(path, tmp_path / "unpacked")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
