"""Signatures are converted straight from a SavedModel's files; TensorFlow loads it where these do not say enough."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow_models import run_capture, save

import transload as tl
from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.pipeline import convert_source
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow import conversion, saved_model, separated_weights, stored_capture
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import SourceError

FLOATS = tf.TensorSpec([None, 4], tf.float32, name="x")
X = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
UNPROVEN = ConvertOptions(proof="none")


@pytest.fixture(autouse=True)
def separated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the smallest models were large."""
    monkeypatch.setattr(conversion, "SEPARATE_BYTES", 0)
    monkeypatch.setattr(stored_capture, "SEPARATE_BYTES", 0)
    monkeypatch.setattr(separated_weights, "WEIGHT_BYTES", 32)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The SavedModels that TensorFlow loaded."""
    found: list[Path] = []
    load = saved_model._load

    def record(path: Path, options: ConvertOptions) -> Any:
        found.append(path)
        return load(path, options)

    monkeypatch.setattr(saved_model, "_load", record)
    return found


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A product with a variable, and a sum with a captured tensor and a small variable."""
    kernel, bias = tf.Variable(np.arange(16, dtype=np.float32).reshape(4, 4)), tf.Variable(3.0)
    offset = tf.constant(np.arange(4, dtype=np.float32))
    return save(
        tmp_path / "dense", lambda x: {"y": x @ kernel + offset, "z": x * bias}, FLOATS, variables=[kernel, bias]
    )


def capture(path: Path, options: ConvertOptions = UNPROVEN) -> list[Capture]:
    return saved_model.capture(Source(SourceKind.SAVED_MODEL, path), options)


def convert(path: Path, target: Path) -> bytes:
    convert_source(Source(SourceKind.SAVED_MODEL, path), UNPROVEN).save(target)
    return target.read_bytes()


def test_nothing_is_loaded_until_the_source_is_asked(dense: Path, loads: list[Path]) -> None:
    (found,) = capture(dense)
    ours = run_capture(found, {"x": X})
    assert not loads
    expected = {"y": X @ np.arange(16, dtype=np.float32).reshape(4, 4) + np.arange(4), "z": X * 3}
    for name, array in expected.items():
        np.testing.assert_allclose(ours[name], array, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.reference.run({"x": X})[name], array, rtol=1e-5, atol=1e-5)
    assert loads == [dense]


@pytest.mark.parametrize("name", ["dense", "saved_model"])
def test_the_package_is_that_of_the_loaded_model(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, loads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path: Path = request.getfixturevalue(name)
    stored = convert(path, tmp_path / "stored.tload")
    assert not loads
    monkeypatch.setattr(saved_model, "read_stored", lambda *_: {})
    assert convert(path, tmp_path / "loaded.tload") == stored
    assert loads == [path]


def test_what_is_wrong_with_the_weights_is_found_by_the_proof(dense: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(self: Any, key: str) -> Any:
        return self._reader.get_tensor(key) + 1

    monkeypatch.setattr("transload.convert.tensorflow.stored_signature.StoredVariables._read", swapped)
    with pytest.raises(tl.MismatchError, match=r"\by\b"):
        convert_source(Source(SourceKind.SAVED_MODEL, dense), ConvertOptions())


def test_signatures_share_variables_of_one_shape_under_one_name(tmp_path: Path, loads: list[Path]) -> None:
    module = tf.Module()
    module.a, module.b = (tf.Variable(np.full((4, 4), value, np.float32), name="kernel") for value in (2, 5))
    module.first = tf.function(lambda x: {"y": x @ module.a}, input_signature=[FLOATS])
    module.second = tf.function(lambda x: {"y": x @ module.b - x @ module.a}, input_signature=[FLOATS])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"first": module.first, "second": module.second})
    first, second = capture(tmp_path / "m")
    np.testing.assert_allclose(run_capture(first, {"x": X})["y"], X @ np.full((4, 4), 2), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(run_capture(second, {"x": X})["y"], X @ np.full((4, 4), 3), rtol=1e-5, atol=1e-5)
    assert not loads


def test_a_function_that_assigns_is_loaded(tmp_path: Path, loads: list[Path]) -> None:
    count = tf.Variable(0.0)
    path = save(tmp_path / "m", lambda x: {"y": x + count.assign_add(1.0)}, FLOATS, variables=[count])
    (found,) = capture(path)
    assert loads == [path]
    assert len(found.state) == 1


def test_a_table_of_strings_is_loaded(tmp_path: Path, loads: list[Path]) -> None:
    entries = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2])
    table = tf.lookup.StaticHashTable(entries, 0)
    words = tf.TensorSpec([None], tf.string, name="words")
    path = save(tmp_path / "m", lambda words: {"ids": table.lookup(words)}, words, variables=[table])
    capture(path)
    assert loads == [path]


def test_a_checkpoint_of_another_model_is_left_to_tensorflow(dense: Path, tmp_path: Path) -> None:
    kernel = tf.Variable(np.ones((5, 4), np.float32))
    other = save(tmp_path / "m", lambda x: {"y": x @ kernel}, tf.TensorSpec([None, 5], tf.float32), variables=[kernel])
    shutil.rmtree(dense / "variables")
    shutil.copytree(other / "variables", dense / "variables")
    with pytest.raises(SourceError, match="cannot load dense"):
        capture(dense)


def test_damaged_weights_are_refused(dense: Path, tmp_path: Path) -> None:
    [data] = (dense / "variables").glob("*.data-*")
    content = bytearray(data.read_bytes())
    place = bytes(content).index(np.arange(16, dtype=np.float32).tobytes())
    content[place + 4] ^= 1
    data.write_bytes(content)
    with pytest.raises(SourceError, match="dense"):
        convert(dense, tmp_path / "out.tload")
    assert not (tmp_path / "out.tload").exists()


def test_a_file_that_contradicts_itself_is_left_to_tensorflow(dense: Path) -> None:
    proto = saved_model.read_saved_model(dense)
    assert stored_capture.read_stored(proto, dense, UNPROVEN)
    for function in proto.meta_graphs[0].object_graph_def.concrete_functions.values():
        function.bound_inputs[0] = 999
    assert not stored_capture.read_stored(proto, dense, UNPROVEN)
