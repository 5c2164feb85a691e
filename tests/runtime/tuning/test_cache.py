"""A tuned variant is used on the host, runtime and model that it was made for, whole, and never otherwise."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from packages import WIDTH, linear_component

from transload.convert.passes.tuned_sets import make_graphs
from transload.runtime.configuration import Configuration
from transload.runtime.model import load
from transload.runtime.tuning import key as key_module
from transload.runtime.tuning.build import optimised_files, portable_files, store_entry
from transload.runtime.tuning.cache import clear_cache, entry_path, find_tuned, list_cache, tuned_folder
from transload.runtime.tuning.embed import embed_variant
from transload.runtime.tuning.entry import TunedVariant, TuningRecord, read_entry
from transload.runtime.tuning.key import make_key
from transload.runtime.tuning.tune import Tuning, embed_component, tune_component
from transload.runtime.verify import verify
from transload.serialize import Component, Package, PackageFile, VectorSet, open_package, pack_folder, unpack_package
from transload.serialize.errors import MismatchError, PackageError, UsageError
from transload.serialize.interface import Interface, Proof, SourceRecord, State, Tensor, Tolerance

X = np.linspace(-1, 1, 3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((WIDTH, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def path(weight: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Package("m", (linear_component("forward", weight),)).save(tmp_path_factory.mktemp("m") / "m.tload")


@pytest.fixture
def package(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageFile:
    """The package, beside a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return open_package(path)


@pytest.fixture
def tuned(package: PackageFile) -> Tuning:
    return tune_component(package, "forward", seconds_per_trial=0.01)


def edit(path: Path, change: Callable[[bytearray], object]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def flip(path: Path, place: int) -> None:
    def change(data: bytearray) -> None:
        data[place] ^= 1

    edit(path, change)


def test_without_a_tuned_variant_the_portable_one_is_loaded(package: PackageFile) -> None:
    assert load(package.path).variant == "portable"


def test_the_tuned_variant_is_loaded_and_gives_the_same_answer(package: PackageFile, tuned: Tuning) -> None:
    model = load(package.path)
    assert model.variant == "tuned"
    expected = load(package.path, tuned=False)
    assert expected.variant == "portable"
    np.testing.assert_allclose(model(X)["logits"], expected(X)["logits"], rtol=1e-5, atol=1e-5)


def test_a_call_that_the_tuned_variant_refuses_is_answered_by_the_portable_one(
    package: PackageFile, tuned: Tuning
) -> None:
    graph = make_graphs(package, "forward")["linear-as-convolution"]
    with optimised_files(graph.model, graph.folder, Configuration(), tuned.path.parent) as contents:
        store_entry(tuned.path, tuned.record, contents)
    model = load(package.path)
    assert model.variant == "tuned"
    expected = load(package.path, tuned=False)
    np.testing.assert_allclose(model(X)["logits"], expected(X)["logits"], rtol=1e-5, atol=1e-5)
    # ONNX Runtime has no convolution of images without pixels.
    assert model(X[:0])["logits"].shape == expected(X[:0])["logits"].shape == (0, WIDTH)


def test_the_portable_variant_is_loaded_where_optimisations_are_off(package: PackageFile, tuned: Tuning) -> None:
    assert load(package.path, optimize=False).variant == "portable"


def test_the_entry_holds_pre_packed_weights_at_pages(tuned: Tuning) -> None:
    entry = read_entry(tuned.path)
    model = onnx.ModelProto.FromString(entry.model_bytes())
    fields = {item.key: item.value for tensor in model.graph.initializer for item in tensor.external_data}
    assert int(fields["offset"]) % 4096 == 0
    if tuned.report.best.prepack:
        packed_offset, packed_length, _ = fields["prepacked_0"].split("|")[1].split(";")
        assert int(packed_offset) % 4096 == 0
        data = entry.member("model.onnx.data")
        assert data is not None
        assert data.offset <= int(packed_offset) <= data.offset + data.size_bytes - int(packed_length)


@pytest.mark.parametrize("member", ["model.onnx", "model.onnx.data", "tuning.json"])
def test_a_damaged_entry_is_not_used(package: PackageFile, tuned: Tuning, member: str) -> None:
    found = read_entry(tuned.path).member(member)
    assert found is not None
    flip(tuned.path, found.offset + found.size_bytes // 2)
    assert load(package.path).variant == "portable"


def test_damaged_weights_of_an_entry_are_an_error_where_it_is_opened_by_hand(tuned: Tuning) -> None:
    found = read_entry(tuned.path).member("model.onnx.data")
    assert found is not None
    flip(tuned.path, found.offset)
    with pytest.raises(PackageError, match="CRC-32"):
        read_entry(tuned.path).check_weights()


@pytest.mark.parametrize("size", [0, 100, -1])
def test_an_entry_that_was_cut_off_is_not_used(package: PackageFile, tuned: Tuning, size: int) -> None:
    os.truncate(tuned.path, size if size >= 0 else tuned.size_bytes + size)
    assert load(package.path).variant == "portable"


def test_an_entry_of_another_build_of_onnx_runtime_is_not_used(
    package: PackageFile, tuned: Tuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_module, "runtime_build", lambda: "1.31.2 another build")
    assert load(package.path).variant == "portable"


def test_an_entry_of_another_processor_is_not_used(
    package: PackageFile, tuned: Tuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_module, "_cpu_digest", lambda: "0" * 64)
    assert load(package.path).variant == "portable"


def test_an_entry_for_another_number_of_processors_is_not_used(
    package: PackageFile, tuned: Tuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_module, "count_cpus", lambda: 999)
    assert load(package.path).variant == "portable"


def test_an_entry_of_another_model_is_not_used_under_this_one_s_name(
    package: PackageFile, tuned: Tuning, weight: np.ndarray, tmp_path: Path
) -> None:
    other = open_package(Package("m", (linear_component("forward", weight * 2),)).save(tmp_path / "other.tload"))
    key = make_key(other, "forward")
    assert key is not None
    assert entry_path(key) != tuned.path
    shutil.copy(tuned.path, entry_path(key))
    assert load(other.path).variant == "portable"
    np.testing.assert_allclose(load(other.path)(X)["logits"], X @ weight * 2, rtol=1e-4, atol=1e-4)


def test_an_entry_that_others_may_write_is_not_used(package: PackageFile, tuned: Tuning) -> None:
    tuned.path.chmod(0o666)
    assert load(package.path).variant == "portable"
    assert [entry.record for entry in list_cache()] == [None]


def test_the_name_of_the_component_s_package_does_not_matter(
    package: PackageFile, tuned: Tuning, tmp_path: Path
) -> None:
    copy = shutil.copy(package.path, tmp_path / "copy.tload")
    assert load(copy).variant == "tuned"


def test_threads_of_the_caller_win_over_tuned_ones(package: PackageFile, tuned: Tuning) -> None:
    assert load(package.path, threads=1)._session.get_session_options().intra_op_num_threads == 1


def test_external_data_that_leaves_the_weights_is_refused(package: PackageFile, tuned: Tuning) -> None:
    def claim(change: Callable[[str], str], wanted: str) -> None:
        model = onnx.ModelProto.FromString(package.model_proto("forward").SerializeToString())
        tensor = next(tensor for tensor in model.graph.initializer if tensor.external_data)
        del tensor.external_data[:]
        size = WIDTH * WIDTH * 4
        for key, value in (("location", "model.onnx.data"), ("offset", "0"), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
        tensor.external_data.add(key="prepacked_0", value=change(f"MatMul+1|0;{size};0"))
        contents = portable_files(package, "forward")
        contents["model.onnx"] = dataclasses.replace(contents["model.onnx"], data=model.SerializeToString())  # type: ignore[type-var]
        with pytest.raises(PackageError, match=wanted):
            store_entry(tuned.path, tuned.record, contents).model_bytes()
        assert load(package.path).variant == "portable"

    claim(lambda text: text.replace("|0;", "|4096;"), "leaves the weights")
    claim(lambda text: text.replace("|0;", "|-1;"), "leaves the weights")
    claim(lambda text: "MatMul+1|8;4;0", "not aligned")


def test_an_entry_for_another_provider_keeps_the_portable_graph(package: PackageFile, tuned: Tuning) -> None:
    configuration = Configuration(threads=1, provider="AzureExecutionProvider")
    record: TuningRecord = msgspec.structs.replace(tuned.record, configuration=configuration)
    store_entry(tuned.path, record, portable_files(package, "forward"))
    model = load(package.path)
    assert (model.variant, model.providers[0]) == ("tuned", "AzureExecutionProvider")
    np.testing.assert_allclose(model(X)["logits"], load(package.path, tuned=False)(X)["logits"], rtol=1e-5, atol=1e-5)


def test_listing_and_clearing(package: PackageFile, tuned: Tuning) -> None:
    (entry,) = list_cache()
    assert entry.path == tuned.path
    assert entry.record == tuned.record
    assert tuned_folder().stat().st_mode & 0o077 == 0
    assert [entry.path for entry in clear_cache()] == [tuned.path]
    assert list_cache() == ()
    assert load(package.path).variant == "portable"


def test_an_embedded_variant_is_used_without_a_cache(package: PackageFile, tuned: Tuning, tmp_path: Path) -> None:
    out = embed_component(package, tuned, tmp_path / "with.tload")
    clear_cache()
    opened = open_package(out, integrity="sha256")
    assert sorted(opened.manifest.components["forward"].variants) == [
        "portable",
        f"tuned-{tuned.record.key.digest[:16]}",
    ]
    assert load(out).variant == "tuned"
    np.testing.assert_allclose(load(out)(X)["logits"], load(out, tuned=False)(X)["logits"], rtol=1e-5, atol=1e-5)
    verify(out)


def test_an_embedded_variant_has_no_pre_packed_weights(package: PackageFile, tuned: Tuning, tmp_path: Path) -> None:
    clear_cache()
    variant = find_tuned(open_package(embed_component(package, tuned, tmp_path / "with.tload")), "forward")
    assert isinstance(variant, TunedVariant)
    assert b"prepacked" not in variant.model_bytes()


def test_an_embedded_variant_with_pre_packed_weights_is_not_used(
    package: PackageFile, tuned: Tuning, tmp_path: Path
) -> None:
    """ONNX Runtime takes their size on trust, and a package may come from anywhere."""
    configuration = Configuration(threads=1)
    record: TuningRecord = msgspec.structs.replace(tuned.record, configuration=configuration)
    graph = package.model_proto("forward").SerializeToString()
    with optimised_files(graph, package.path.parent, configuration, tmp_path) as contents:
        out = embed_variant(package, record, contents, tmp_path / "with.tload")
    clear_cache()
    assert load(out).variant == "portable"


def test_embedding_twice_gives_one_variant_and_packing_gives_the_same_file(
    package: PackageFile, tuned: Tuning, tmp_path: Path
) -> None:
    once = embed_component(package, tuned, tmp_path / "once.tload")
    twice = embed_component(open_package(once), tuned, tmp_path / "twice.tload")
    assert once.read_bytes() == twice.read_bytes()
    unpack_package(once, tmp_path / "folder")
    assert pack_folder(tmp_path / "folder", tmp_path / "again.tload").read_bytes() == once.read_bytes()


def test_an_embedded_variant_for_another_host_is_not_used(
    package: PackageFile, tuned: Tuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = embed_component(package, tuned, tmp_path / "with.tload")
    clear_cache()
    monkeypatch.setattr(key_module, "_cpu_digest", lambda: "0" * 64)
    assert load(out).variant == "portable"


def test_without_recorded_inputs_there_must_be_given_ones(
    weight: np.ndarray, package: PackageFile, tmp_path: Path
) -> None:
    silent = dataclasses.replace(linear_component("forward", weight * 3), vectors=())
    opened = open_package(Package("m", (silent,)).save(tmp_path / "silent.tload"))
    with pytest.raises(UsageError, match="no recorded inputs"):
        tune_component(opened, "forward")
    tune_component(opened, "forward", inputs={"x": X}, seconds_per_trial=0.01)
    assert load(opened.path).variant == "tuned"


def test_a_package_that_does_not_give_its_recorded_outputs_is_not_tuned(
    weight: np.ndarray, package: PackageFile, tmp_path: Path
) -> None:
    honest = linear_component("forward", weight)
    vectors = dataclasses.replace(honest.vectors[0], outputs={"y": honest.vectors[0].outputs["y"] + 1})
    lying = dataclasses.replace(honest, vectors=(vectors,))
    opened = open_package(Package("m", (lying,)).save(tmp_path / "lying.tload"))
    with pytest.raises(MismatchError, match="recorded outputs"):
        tune_component(opened, "forward", seconds_per_trial=0.01)
    assert list_cache() == ()


def test_where_the_processor_cannot_be_told_nothing_is_tuned(
    package: PackageFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_module, "_cpu_digest", lambda: "")
    with pytest.raises(UsageError, match="processor"):
        tune_component(package, "forward")


def counting_component() -> Component:
    """`y = x + count`, where `count` is state that grows by one with each call."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["count", "one"], ["next"]), helper.make_node("Add", ["x", "next"], ["y"])],
        "counting",
        [value("x", TensorProto.FLOAT, ["n"]), value("count", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, ["n"]), value("next", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.zeros(1, np.float32), "count"),
            numpy_helper.from_array(np.ones(1, np.float32), "one"),
        ],
    )
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    vector, scalar = ("n",), (1,)
    interface = Interface(
        component="forward",
        inputs={"x": Tensor("x", "float32", vector)},
        outputs=Tensor("y", "float32", vector),
        tolerances={name: Tolerance(1e-6, 1e-6) for name in ("y", "next")},
        source=SourceRecord("onnx", "onnx", "1.23.2"),
        proof=Proof("none"),
        state=(State("count", Tensor("count", "float32", scalar), Tensor("next", "float32", scalar)),),
    )
    x, count = np.arange(3, dtype=np.float32), np.full(1, 5, np.float32)
    return Component(
        "forward", interface, model, (VectorSet({"x": x, "count": count}, {"y": x + 6, "next": count + 1}),)
    )


def test_state_begins_at_its_initial_value_and_is_carried_in_a_tuned_variant(
    package: PackageFile, tmp_path: Path
) -> None:
    opened = open_package(Package("m", (counting_component(),)).save(tmp_path / "counting.tload"))
    tune_component(opened, "forward", threads=1, seconds_per_trial=0.001)
    model = load(opened.path)
    assert model.variant == "tuned"
    stream = model.stream()
    x = np.zeros(1, np.float32)
    assert [float(stream(x)[0]) for _ in range(3)] == [1, 2, 3]
    assert float(model(x)[0]) == 1


MEASURE_PRIVATE_MEMORY = """
import re, sys
from pathlib import Path
import numpy as np
import transload.runtime.model as runtime
def anonymous_kib():
    return int(re.search(r"Anonymous:\\s+(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1])
runtime.load(sys.argv[1], threads=1, tuned=False)
before = anonymous_kib()
model = runtime.load(sys.argv[2], threads=1, tuned=sys.argv[3] == "tuned")
model(np.ones((1, 2048), np.float32))
print(model.variant, anonymous_kib() - before)
"""


def test_a_tuned_variant_takes_less_private_memory_than_an_eighth_of_its_weights(
    package: PackageFile, tmp_path: Path
) -> None:
    weight = np.random.default_rng(3).standard_normal((2048, 2048)).astype(np.float32) / 45
    component = linear_component("forward", weight)
    vectors = dataclasses.replace(component.vectors[0], outputs={"y": load_outputs(component, tmp_path)})
    component = dataclasses.replace(component, vectors=(vectors,))
    large = open_package(Package("m", (component,)).save(tmp_path / "large.tload"))
    tune_component(large, "forward", threads=1, seconds_per_trial=0.001)
    private = {}
    for variant in ("tuned", "portable"):
        command = [sys.executable, "-c", MEASURE_PRIVATE_MEMORY, str(package.path), str(large.path), variant]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert found[0] == variant
        private[variant] = int(found[1]) * 1024
    assert private["tuned"] < 0.12 * weight.nbytes
    assert private["portable"] > 0.9 * weight.nbytes


def load_outputs(component: Component, folder: Path) -> np.ndarray:
    """What ONNX Runtime gives, since numpy sums in another order."""
    path = Package("m", (component,)).save(folder / "outputs.tload")
    (outputs,) = load(path, tuned=False).run(None, component.vectors[0].inputs)
    return outputs
