"""What `save` writes: the same bytes every time, equal tensors once, and a model package that others can open."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from packages import WIDTH, linear_component

from transload.runtime.model import load
from transload.serialize import Component, Package, open_package
from transload.serialize.errors import PackageError, UsageError
from transload.serialize.folder import pack_folder, unpack_package
from transload.serialize.layout import asset_uri


def test_saving_twice_gives_the_same_bytes(package: Package, package_bytes: bytes, tmp_path: Path) -> None:
    assert package.save(tmp_path / "again.tload").read_bytes() == package_bytes


SAVE_IN_ANOTHER_PROCESS = """
import sys
import numpy as np
from packages import linear_component
from transload.serialize import Package
weight = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
Package("linear", (linear_component("forward", weight),)).save(sys.argv[1])
"""


def test_another_process_with_another_hash_seed_gives_the_same_bytes(package_bytes: bytes, tmp_path: Path) -> None:
    target = tmp_path / "other.tload"
    environment = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(Path(__file__).parent), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", SAVE_IN_ANOTHER_PROCESS, str(target)], check=True, env=environment)
    assert target.read_bytes() == package_bytes


def test_a_package_that_is_opened_and_saved_again_keeps_its_bytes(
    package_bytes: bytes, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    opened = open_package(write(package_bytes)).to_package()
    assert opened.save(tmp_path / "copy.tload").read_bytes() == package_bytes


def test_a_package_can_be_saved_over_the_file_that_it_was_opened_from(
    package_bytes: bytes, write: Callable[[bytes], Path]
) -> None:
    path = write(package_bytes)
    open_package(path).to_package().save(path)
    assert path.read_bytes() == package_bytes


def test_the_manifest_holds_the_sha256_of_every_other_member(
    package_bytes: bytes, write: Callable[[bytes], Path]
) -> None:
    path = write(package_bytes)
    listed = open_package(path).manifest.additional_metadata.transload.members
    with zipfile.ZipFile(path) as archive:
        found = {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name != "manifest.json"
        }
    assert {name: entry.sha256 for name, entry in listed.items()} == found


def test_unzipped_models_run_in_plain_onnx_runtime(
    package_bytes: bytes, write: Callable[[bytes], Path], weight: np.ndarray, tmp_path: Path
) -> None:
    with zipfile.ZipFile(write(package_bytes)) as archive:
        archive.extractall(tmp_path / "unzipped")
    model = tmp_path / "unzipped/forward/portable/model.onnx"
    onnx.checker.check_model(str(model), full_check=True)
    x = np.ones((2, WIDTH), np.float32)
    (y,) = ort.InferenceSession(str(model)).run(None, {"x": x})
    np.testing.assert_allclose(y, x @ weight, rtol=1e-5, atol=1e-5)


def test_tensors_of_one_kibibyte_and_more_are_external_and_smaller_ones_are_not(
    tmp_path: Path, weight: np.ndarray
) -> None:
    for columns, is_external in ((256, True), (255, False)):
        component = linear_component("forward", weight[:, :columns], np.ones(columns, np.float32))
        path = Package("m", (component,)).save(tmp_path / f"{columns}.tload")
        model = onnx.ModelProto.FromString(bytes(open_package(path).model_bytes("forward")))
        bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
        assert bool(bias.external_data) is is_external


def offsets(path: Path) -> dict[str, int]:
    model = open_package(path).model_proto("forward")
    return {
        tensor.name: next(int(entry.value) for entry in tensor.external_data if entry.key == "offset")
        for tensor in model.graph.initializer
    }


def test_large_tensors_lie_at_pages_and_small_ones_at_cache_lines_of_the_file(
    tmp_path: Path, weight: np.ndarray
) -> None:
    component = linear_component("forward", weight, np.ones(WIDTH, np.float32))
    found = offsets(Package("m", (component,)).save(tmp_path / "m.tload"))
    assert found["weight"] % 4096 == 0
    assert found["bias"] % 64 == 0


def test_equal_tensors_are_stored_once(tmp_path: Path) -> None:
    row = np.arange(256, dtype=np.float32)
    component = linear_component("forward", np.tile(row, (1, 1)), row)
    found = offsets(Package("m", (component,)).save(tmp_path / "m.tload"))
    assert found["weight"] == found["bias"]


def test_tensors_that_differ_in_their_last_byte_are_both_stored(tmp_path: Path) -> None:
    row = np.arange(4096, dtype=np.float32)
    other = row.copy()
    other[-1] += 1
    found = offsets(Package("m", (linear_component("forward", row[None], other),)).save(tmp_path / "m.tload"))
    assert found["weight"] != found["bias"]


@pytest.fixture(scope="module")
def shared(weight: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bias = np.ones(WIDTH, np.float32)
    components = (linear_component("encode", weight), linear_component("decode", weight.copy(), bias))
    return Package("pair", components).save(tmp_path_factory.mktemp("shared") / "pair.tload")


def test_weights_of_two_components_are_one_shared_asset(shared: Path, weight: np.ndarray) -> None:
    data = [member for member in open_package(shared).members.values() if member.size_bytes >= weight.nbytes]
    assert len(data) == 1
    assert data[0].name.startswith("shared_assets/sha256-")
    assert data[0].size_bytes < 1.1 * weight.nbytes


@pytest.mark.parametrize(("component", "bias"), [("encode", 0), ("decode", 1)])
def test_each_component_over_shared_weights_runs(shared: Path, weight: np.ndarray, component: str, bias: int) -> None:
    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_allclose(load(shared, component)(x)["logits"], x @ weight + bias, rtol=1e-5, atol=1e-5)


def test_components_that_share_nothing_keep_their_own_weights(tmp_path: Path, weight: np.ndarray) -> None:
    components = (linear_component("encode", weight), linear_component("decode", weight + 1))
    path = Package("pair", components).save(tmp_path / "pair.tload")
    assert not [name for name in open_package(path).members if name.startswith("shared_assets/")]


def test_the_asset_s_name_follows_onnx_runtime_s_rule() -> None:
    # sha256 of the line "<sha256 of 'abc'>  weights.data\n", computed with coreutils.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    line = f"{abc}  weights.data\n".encode()
    assert asset_uri({"weights.data": abc}) == "sha256:" + hashlib.sha256(line).hexdigest()


def test_files_that_come_with_the_model_are_one_asset(weight: np.ndarray, tmp_path: Path) -> None:
    files = {"tokenizer.json": b"{}", "labels/en.txt": "Körper\n".encode()}
    path = Package("m", (linear_component("forward", weight),), assets=files).save(tmp_path / "m.tload")
    opened = open_package(path, integrity="sha256")
    assert {name: opened.read_asset(name) for name in opened.asset_names} == files
    uri = asset_uri({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    assert opened.manifest.additional_metadata.transload.assets == uri
    assert opened.to_package().save(tmp_path / "again.tload").read_bytes() == path.read_bytes()
    assert unpack_package(path, tmp_path / "folder") == tmp_path / "folder"
    assert pack_folder(tmp_path / "folder", tmp_path / "packed.tload").read_bytes() == path.read_bytes()
    with pytest.raises(UsageError, match=r"no asset 'vocab.txt'(.|\n)*labels/en.txt, tokenizer.json"):
        opened.read_asset("vocab.txt")


def test_a_package_without_such_files_has_no_asset(package: Package, tmp_path: Path) -> None:
    opened = open_package(package.save(tmp_path / "m.tload"))
    assert opened.asset_names == ()
    assert b'"assets"' not in bytes(opened.read("manifest.json"))


def test_components_with_one_name_are_refused(weight: np.ndarray, tmp_path: Path) -> None:
    component = linear_component("forward", weight)
    with pytest.raises(PackageError, match="different names"):
        Package("m", (component, component)).save(tmp_path / "m.tload")


@pytest.mark.parametrize("name", ["", "a/b", "..", "shared_assets", "manifest.json", "ä"])
def test_a_component_name_that_is_no_folder_is_refused(weight: np.ndarray, tmp_path: Path, name: str) -> None:
    with pytest.raises(PackageError, match="not allowed"):
        Package("m", (linear_component(name, weight),)).save(tmp_path / "m.tload")
    assert not list(tmp_path.iterdir())


def test_an_interface_that_does_not_fit_the_graph_is_refused(weight: np.ndarray, tmp_path: Path) -> None:
    component = linear_component("forward", weight)
    other = linear_component("forward", weight).interface
    renamed = Component("forward", other, component.model)
    component.model.graph.inputs[0].name = "z"
    with pytest.raises(PackageError, match=r"inputs \['x'\] are not the graph's \['z'\]"):
        Package("m", (renamed,)).save(tmp_path / "m.tload")


class PowerCutError(Exception):
    pass


def test_a_save_that_fails_half_way_leaves_the_old_file_and_nothing_else(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.tload"
    path.write_bytes(b"old")

    def fail(handle: int) -> None:
        raise PowerCutError

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PowerCutError):
        package.save(path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("m.tload", b"old")]


def test_a_save_syncs_the_file_before_the_rename_and_the_folder_after_it(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.tload"
    seen: list[tuple[str, bool]] = []
    fsync = os.fsync

    def record(handle: int) -> None:
        seen.append((Path(f"/proc/self/fd/{handle}").resolve().name.rsplit(".", 1)[-1], path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", record)
    package.save(path)
    assert seen == [("tmp", False), (tmp_path.name, True)]


def test_saving_into_a_missing_folder_is_a_usage_error(package: Package, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot write"):
        package.save(tmp_path / "none" / "m.tload")


def test_a_model_that_a_reader_would_refuse_is_not_written(weight: np.ndarray, tmp_path: Path) -> None:
    component = linear_component("forward", weight)
    next(iter(component.model.graph)).domain = "com.microsoft"
    with pytest.raises(PackageError) as caught:
        Package("m", (component,)).save(tmp_path / "m.tload")
    assert (caught.value.rule, caught.value.member) == ("onnx-domains", "forward/portable/model.onnx")
    assert list(tmp_path.iterdir()) == []
