"""The C++ loader takes the tuned variant that Python takes, and like it only where the variant fits and is whole."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from ctypes import byref, c_char_p, c_int, c_int64, c_size_t, c_void_p, string_at
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from loader import FLOAT32, Loader, LoaderError, run_command
from onnx import TensorProto, helper, numpy_helper
from packages import linear_component, rebuild

from transload.convert.passes.tuned_sets import make_graphs
from transload.runtime.configuration import Configuration
from transload.runtime.model import load
from transload.runtime.tuning.build import optimised_files, store_entry
from transload.runtime.tuning.cache import entry_path
from transload.runtime.tuning.embed import embed_variant
from transload.runtime.tuning.entry import TuningRecord, read_entry
from transload.runtime.tuning.key import make_key
from transload.serialize import Component, Package, PackageFile, open_package
from transload.serialize.archive_writer import Bytes, Content
from transload.serialize.errors import PackageError
from transload.serialize.folder import FileContent
from transload.serialize.interface import Interface, Proof, SourceRecord, Tensor

WIDTH = 256
X = np.linspace(-1, 1, 3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)
ONE_THREAD = Configuration(threads=1)

Change = Callable[[dict[str, Content]], object]


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((WIDTH, WIDTH)).astype(np.float32)


@pytest.fixture
def package(weight: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageFile:
    """A package, beside a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return open_package(Package("m", (linear_component("forward", weight, weight[0]),)).save(tmp_path / "m.tload"))


def record_of(package: PackageFile, configuration: Configuration) -> TuningRecord:
    key = make_key(package, "forward")
    assert key is not None
    return TuningRecord(key, configuration, "m", "forward", 2.0, 1.0)


@contextlib.contextmanager
def files_of(package: PackageFile, configuration: Configuration, *, prepacked: bool) -> Iterator[dict[str, Content]]:
    model, folder = package.model_proto("forward").SerializeToString(), package.path.parent
    with optimised_files(model, folder, configuration, folder, prepacked=prepacked) as contents:
        yield contents


def store(
    package: PackageFile, configuration: Configuration = ONE_THREAD, change: Change = lambda contents: None
) -> Path:
    """Put the tuned variant into the cache, as `transload tune` does, but for what `change` does to its files."""
    record = record_of(package, configuration)
    path = entry_path(record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files_of(package, configuration, prepacked=True) as contents:
        change(contents)
        store_entry(path, record, contents)
    return path


def embed(package: PackageFile, path: Path, *, prepacked: bool = False, **fields: Any) -> Path:
    record: TuningRecord = msgspec.structs.replace(record_of(package, ONE_THREAD), **fields)
    with files_of(package, ONE_THREAD, prepacked=prepacked) as contents:
        return embed_variant(package, record, contents, path)


def open_in_cpp(path: Path, options: Mapping[str, str] = {}, x: np.ndarray = X) -> tuple[str, bytes]:
    """The variant that the C++ loader takes, and the bytes of its output for `x`."""
    loader = Loader()
    package, settings, model, given = c_void_p(), c_void_p(), c_void_p(), c_void_p()
    loader.call("tl_package_open", str(path).encode(), c_int(1), byref(package))
    loader.call("tl_options_create", byref(settings))
    for key, value in {"threads": "1", **options}.items():
        loader.call("tl_options_set", settings, key.encode(), value.encode())
    loader.call("tl_model_open", package, None, settings, byref(model))
    shape = (c_int64 * x.ndim)(*x.shape)
    memory = x.ctypes.data_as(c_void_p)
    loader.call("tl_tensor_wrap", c_int(FLOAT32), shape, c_size_t(x.ndim), memory, c_size_t(x.nbytes), byref(given))
    names, inputs, outputs = (c_char_p * 1)(b"x"), (c_void_p * 1)(given), (c_void_p * 1)()
    loader.call("tl_model_run", model, names, inputs, c_size_t(1), None, c_size_t(1), outputs)
    result = c_void_p(outputs[0])
    data = string_at(loader.c.tl_tensor_data(result), loader.c.tl_tensor_size_bytes(result))
    variant = loader.c.tl_model_variant(model).decode()
    loader.c.tl_tensor_free(result)
    loader.c.tl_tensor_free(given)
    loader.c.tl_model_close(model)
    loader.c.tl_options_free(settings)
    loader.c.tl_package_close(package)
    return variant, data


def check_both(path: Path, expected: str, x: np.ndarray = X) -> None:
    """Both loaders take the variant that is expected, and give the same bits."""
    theirs = load(path, threads=1, device="cpu")
    assert theirs.variant == expected
    assert open_in_cpp(path, x=x) == (expected, theirs.run(None, {"x": x})[0].tobytes())


def test_without_a_tuned_variant_both_take_the_portable_one(package: PackageFile) -> None:
    check_both(package.path, "portable")


def test_both_take_the_variant_of_the_cache(package: PackageFile) -> None:
    stored = read_entry(store(package))
    assert b"prepacked_0" in stored.model_bytes()
    check_both(package.path, "tuned")


@pytest.mark.parametrize(
    "configuration",
    [
        Configuration(threads=2, level="extended"),
        Configuration(level="basic", arena=False),
        Configuration(prepack=False),
        Configuration(flush_to_zero=True),
    ],
    ids=Configuration.text,
)
def test_both_take_it_whatever_its_configuration(package: PackageFile, configuration: Configuration) -> None:
    store(package, configuration)
    check_both(package.path, "tuned")


def test_a_call_that_the_tuned_variant_refuses_is_answered_by_the_portable_one(package: PackageFile) -> None:
    graph = make_graphs(package, "forward")["linear-as-convolution"]
    path = store(package)
    with optimised_files(graph.model, graph.folder, ONE_THREAD, path.parent) as contents:
        store_entry(path, record_of(package, ONE_THREAD), contents)
    assert b"ReorderInput" in read_entry(path).model_bytes()
    check_both(package.path, "tuned")
    # ONNX Runtime has no convolution of images without pixels.
    check_both(package.path, "tuned", X[:0])


def test_denormal_numbers_become_zero_where_the_configuration_says_so(package: PackageFile) -> None:
    tiny = np.zeros((1, WIDTH), np.float32)
    tiny[0, 0] = 1e-39
    store(package, Configuration(threads=1, flush_to_zero=True))
    check_both(package.path, "tuned", tiny)


def convolution_component() -> Component:
    """`y = relu(conv(x))`, which ONNX Runtime turns into an operator of its own, in a layout of its own."""
    kernel = np.random.default_rng(1).standard_normal((64, 64, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 64, size, size])]
        for name, size in (("x", 8), ("y", 6))
    ]
    graph = helper.make_graph(nodes, "graph", *values, [numpy_helper.from_array(kernel, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    x, y = Tensor("x", "float32", ("n", 64, 8, 8)), Tensor("y", "float32", ("n", 64, 6, 6))
    interface = Interface("forward", {"x": x}, y, {}, SourceRecord("onnx", "onnx", "1"), Proof("none"))
    return Component("forward", interface, ir.from_proto(model))


def test_operators_of_onnx_runtime_s_own_are_taken(package: PackageFile, tmp_path: Path) -> None:
    opened = open_package(Package("m", (convolution_component(),)).save(tmp_path / "conv.tload"))
    assert b"com.microsoft" in read_entry(store(opened)).model_bytes()
    check_both(opened.path, "tuned", np.linspace(-1, 1, 2 * 64 * 64, dtype=np.float32).reshape(2, 64, 8, 8))


def test_operators_of_onnx_runtime_s_own_are_taken_in_an_embedded_variant_and_nowhere_else(
    package: PackageFile, tmp_path: Path
) -> None:
    opened = open_package(Package("m", (convolution_component(),)).save(tmp_path / "conv.tload"))
    path = embed(opened, tmp_path / "with.tload")
    with zipfile.ZipFile(path) as archive:
        tuned = next(name for name in archive.namelist() if name.endswith("/model.onnx") and "/tuned-" in name)
        graph = archive.read(tuned)
    assert b"com.microsoft" in graph
    check_both(path, "tuned", np.linspace(-1, 1, 2 * 64 * 64, dtype=np.float32).reshape(2, 64, 8, 8))
    # The same graph in the place of the portable one.
    path.write_bytes(rebuild(path.read_bytes(), lambda members: members.update({"forward/portable/model.onnx": graph})))
    with pytest.raises(PackageError) as ours:
        open_package(path).model_proto("forward")
    with pytest.raises(LoaderError) as theirs:
        Loader().check(path)
    assert ours.value.rule == theirs.value.rule == "onnx-domains"


def test_switches_that_leave_tuned_variants_out(package: PackageFile) -> None:
    store(package)
    for options in ({"tuned": "0"}, {"optimize": "0"}, {"prepack": "0"}):
        assert open_in_cpp(package.path, options)[0] == "portable"


@pytest.mark.parametrize("member", ["tuning.json", "model.onnx", "model.onnx.data"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_damaged_entry_is_used_by_neither(package: PackageFile, member: str, share: float) -> None:
    path = store(package)
    found = read_entry(path).member(member)
    assert found is not None
    data = bytearray(path.read_bytes())
    data[found.offset + int(share * (found.size_bytes - 1))] ^= 4
    path.write_bytes(data)
    check_both(package.path, "portable")


@pytest.mark.parametrize("size", [0, 1, 100, 5000, -1])
def test_an_entry_that_was_cut_off_is_used_by_neither(package: PackageFile, size: int) -> None:
    path = store(package)
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)
    check_both(package.path, "portable")


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_an_entry_that_others_may_write_is_used_by_neither(package: PackageFile, mode: int) -> None:
    store(package).chmod(mode)
    check_both(package.path, "portable")


def rewrite(path: Path, change: Callable[[TuningRecord], TuningRecord], package: PackageFile) -> None:
    """Write the entry anew, with another record under the same name."""
    with files_of(package, ONE_THREAD, prepacked=True) as contents:
        store_entry(path, change(read_entry(path).record), contents)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1"},
        {"model": "sha256:" + "0" * 64},
        {"runtime": "1.31.2 another build"},
        {"machine": "riscv64"},
        {"cpu": "0" * 64},
        {"cpus": 999},
        {"device": "cuda"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_entry_of_another_key_is_used_by_neither(package: PackageFile, change: dict[str, Any]) -> None:
    path = store(package)
    rewrite(
        path, lambda record: msgspec.structs.replace(record, key=msgspec.structs.replace(record.key, **change)), package
    )
    check_both(package.path, "portable")


def edit_reference(**fields: str | None) -> Change:
    """Set fields of the first tensor's external data; None takes one away."""

    def change(contents: dict[str, Content]) -> None:
        graph = contents["model.onnx"]
        assert isinstance(graph, FileContent)
        model = onnx.load(graph.path, load_external_data=False)
        tensor = next(each for each in model.graph.initializer if each.external_data)
        found = {entry.key: entry.value for entry in tensor.external_data}
        del tensor.external_data[:]
        for key, value in (found | fields).items():
            if value is not None:
                tensor.external_data.add(key=key, value=value)
        contents["model.onnx"] = Bytes(model.SerializeToString())

    return change


@pytest.mark.parametrize(
    "fields",
    [
        {"offset": "-1"},
        {"offset": "1e3"},
        {"offset": str(1 << 40)},
        {"offset": str((1 << 64) - 1)},
        {"length": "4"},
        {"length": None},
        {"location": "/etc/passwd"},
        {"location": None},
        {"checksum": "0"},
        {"prepacked_x": "MatMul+1|0;4;0"},
        {"prepacked_": "MatMul+1|0;4;0"},
        {"prepacked_7": f"MatMul+1|0;{1 << 40};0"},
        {"prepacked_7": "MatMul+1|-1;4;0"},
        {"prepacked_7": "MatMul+1|8;4;0"},
        {"prepacked_7": "MatMul+1|0;4;0|9999999999;1;0"},
        {"prepacked_7": "MatMul+1|;;"},
        {"prepacked_7": "MatMul+1|"},
    ],
    ids=str,
)
def test_external_data_that_is_not_the_entry_s_own_is_used_by_neither(
    package: PackageFile, fields: dict[str, str | None]
) -> None:
    store(package, change=edit_reference(**fields))
    check_both(package.path, "portable")


def add_foreign_operator(contents: dict[str, Content]) -> None:
    graph = contents["model.onnx"]
    assert isinstance(graph, FileContent)
    model = onnx.load(graph.path, load_external_data=False)
    model.graph.node.append(helper.make_node("Anything", ["x"], ["z"], domain="com.example"))
    contents["model.onnx"] = Bytes(model.SerializeToString())


def test_an_operator_of_another_domain_is_used_by_neither(package: PackageFile) -> None:
    store(package, change=add_foreign_operator)
    check_both(package.path, "portable")


def test_an_entry_without_a_graph_is_used_by_neither(package: PackageFile) -> None:
    record = record_of(package, ONE_THREAD)
    with pytest.raises(PackageError, match="no graph"):
        store_entry(store(package), record, {"model.onnx.data": Bytes(b"0")})
    check_both(package.path, "portable")


def test_both_take_an_embedded_variant(package: PackageFile, tmp_path: Path) -> None:
    check_both(embed(package, tmp_path / "with.tload"), "tuned")


def test_the_cache_comes_before_an_embedded_variant(package: PackageFile, tmp_path: Path) -> None:
    """The cache's entry is damaged where only its session tells; neither goes on to the embedded variant."""
    out = embed(package, tmp_path / "with.tload")
    store(open_package(out), change=edit_reference(length="4"))
    check_both(out, "portable")


def test_an_embedded_variant_takes_the_place_of_a_damaged_entry(package: PackageFile, tmp_path: Path) -> None:
    out = embed(package, tmp_path / "with.tload")
    os.truncate(store(open_package(out)), 100)
    check_both(out, "tuned")


def test_an_embedded_variant_with_pre_packed_weights_is_used_by_neither(package: PackageFile, tmp_path: Path) -> None:
    """ONNX Runtime takes their size on trust."""
    check_both(embed(package, tmp_path / "with.tload", prepacked=True), "portable")


def test_an_embedded_variant_of_another_key_is_used_by_neither(package: PackageFile, tmp_path: Path) -> None:
    key = msgspec.structs.replace(record_of(package, ONE_THREAD).key, cpus=999)
    check_both(embed(package, tmp_path / "with.tload", key=key), "portable")


def test_where_xdg_cache_home_is_relative_the_home_folder_counts(
    package: PackageFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert store(package).is_relative_to(tmp_path / "home" / ".cache")
    check_both(package.path, "tuned")


def test_verify_replays_the_portable_variant_and_bench_runs_the_tuned_one(package: PackageFile) -> None:
    def spoil(contents: dict[str, Content]) -> None:
        data = contents["model.onnx.data"]
        assert isinstance(data, FileContent)
        contents["model.onnx.data"] = Bytes(bytes(data.size_bytes))

    store(package, Configuration(prepack=False), spoil)
    assert open_in_cpp(package.path) == ("tuned", bytes(3 * WIDTH * 4))
    assert run_command("verify", package.path).returncode == 0
    assert "tuned variant" in run_command("bench", package.path, "--calls", "1").stdout
