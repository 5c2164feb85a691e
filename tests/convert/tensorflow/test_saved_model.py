"""SavedModels: signatures under their own names, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorflow_models import TwoSignatures, run_capture, save

import transload as tl
from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.saved_model import capture
from transload.serialize.errors import SourceError, UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict, List, Nothing, Tensor, Tuple


def saved(path: Path) -> Source:
    return Source(SourceKind.SAVED_MODEL, path)


FLOATS = tf.TensorSpec([None, 4], tf.float32, name="x")
IDS = tf.TensorSpec([None], tf.int32, name="ids")
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) - 5
SERVING = ConvertOptions(signatures=("serving_default",))


def test_inputs_and_outputs_have_the_signature_s_names(saved_model: Path) -> None:
    (found,) = capture(saved(saved_model), SERVING)
    assert found.component == "serving_default"
    assert found.inputs == {
        "scale": Tensor("scale", "float32", ()),
        "x": Tensor("x", "float32", ("batch", 4)),
    }
    assert found.outputs == Dict(
        {"product": Tensor("product", "float32", (None, 3)), "sum": Tensor("sum", "float32", (None,))}
    )
    assert [value.name for value in found.model.graph.inputs] == ["scale", "x"]
    assert [value.name for value in found.model.graph.outputs] == ["product", "sum"]


@pytest.mark.parametrize("batch", [1, 5])
def test_the_graph_gives_what_tensorflow_gives_at_any_batch(
    saved_model: Path, two_signatures: TwoSignatures, batch: int
) -> None:
    x = np.random.default_rng(batch).standard_normal((batch, 4)).astype(np.float32)
    scale = np.array(0.5, np.float32)
    (found,) = capture(saved(saved_model), SERVING)
    expected = {name: value.numpy() for name, value in two_signatures.serve(x, scale).items()}
    ours = run_capture(found, {"x": x, "scale": scale})
    theirs = found.reference.run({"x": x, "scale": scale})
    assert set(ours) == set(theirs) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(theirs[name], value)


def test_every_signature_is_a_component(saved_model: Path, two_signatures: TwoSignatures) -> None:
    lookup, serving = capture(saved(saved_model), ConvertOptions())
    assert (lookup.component, serving.component) == ("lookup", "serving_default")
    assert (list(lookup.inputs), list(serving.inputs)) == (["ids"], ["scale", "x"])
    ids = np.array([1, 3], np.int32)
    np.testing.assert_array_equal(run_capture(lookup, {"ids": ids})["rows"], two_signatures.lookup(ids)["rows"])


def test_signatures_of_one_package_share_their_weights(tmp_path: Path) -> None:
    table = tf.Variable(np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32))
    module = tf.Module()
    module.table = table
    module.rows = tf.function(lambda ids: {"rows": tf.gather(table, ids)}, input_signature=[IDS])
    module.sums = tf.function(lambda ids: {"sums": tf.reduce_sum(tf.gather(table, ids), 0)}, input_signature=[IDS])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"rows": module.rows, "sums": module.sums})
    path = tl.convert_model(tmp_path / "m").save(tmp_path / "m.tload")
    assert table.numpy().nbytes < path.stat().st_size < 1.2 * table.numpy().nbytes
    ids = np.array([7, 1999], np.int32)
    np.testing.assert_array_equal(tl.load(path, "rows")(ids=ids)["rows"], table.numpy()[ids])
    np.testing.assert_allclose(tl.load(path, "sums")(ids=ids)["sums"], table.numpy()[ids].sum(0), rtol=1e-5, atol=1e-5)


def test_a_signature_that_repeats_another_is_left_out_with_a_note(image_model: keras.Model, tmp_path: Path) -> None:
    image_model.export(str(tmp_path / "m"), verbose=False)
    (found,) = capture(saved(tmp_path / "m"), ConvertOptions())
    assert found.component == "serving_default"
    assert found.notes == (
        "The signature 'serve' is the same function as 'serving_default', and is no component of its own.",
    )
    (asked,) = capture(saved(tmp_path / "m"), ConvertOptions(signatures=("serve",)))
    assert (asked.component, asked.notes) == ("serve", ())


def test_an_input_can_be_described_for_one_signature(saved_model: Path) -> None:
    options = ConvertOptions(inputs=(InputSpec("lookup.ids", "int32", (5,)), InputSpec("x", "float32", ("rows", 4))))
    lookup, serving = capture(saved(saved_model), options)
    assert lookup.inputs == {"ids": Tensor("ids", "int32", (5,))}
    assert serving.inputs["x"] == Tensor("x", "float32", ("rows", 4))
    with pytest.raises(UsageError, match="no input 'lost'"):
        capture(saved(saved_model), ConvertOptions(inputs=(InputSpec("lost", "float32", (5,)),)))


def test_the_signature_that_cannot_be_converted_is_named(tmp_path: Path) -> None:
    module = tf.Module()
    module.good = tf.function(lambda x: {"y": x + 1.0}, input_signature=[FLOATS])
    module.bad = tf.function(lambda x: {"y": tf.math.special.fresnel_cos(x)}, input_signature=[FLOATS])
    module.worse = tf.function(lambda x: {"y": tf.math.igamma(tf.abs(x), x + 9.0)}, input_signature=[FLOATS])
    functions = {"good": module.good, "bad": module.bad, "worse": module.worse}
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=functions)
    with pytest.raises(UnsupportedError, match=r"2 of 3(.|\n)*signature 'bad', 'worse'(.|\n)*--signature") as caught:
        capture(saved(tmp_path / "m"), ConvertOptions())
    assert {operation.name for operation in caught.value.operations} == {"FresnelCos", "Igamma"}
    (found,) = capture(saved(tmp_path / "m"), ConvertOptions(signatures=("good",)))
    assert found.component == "good"


class Codec(tf.Module):
    """`encode` with nested structures, a constant argument and keys that are not sorted; `decode` traced twice."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))

    @tf.function
    def encode(self, batch: Any, training: bool = False, *, scale: Any) -> dict[str, Any]:
        code = tf.matmul(batch["z"], self.weight) * scale
        return {"z": code, "a": (code + batch["a"][0], {"k": tf.shape(code), "b": -code}), "n": None}

    @tf.function
    def decode(self, code: Any) -> Any:
        return tf.matmul(code, self.weight, transpose_b=True)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = Codec()
    batch = {"z": tf.TensorSpec([None, 4]), "a": [tf.TensorSpec([3])]}
    module.encode.get_concrete_function(batch, training=False, scale=tf.TensorSpec([]))
    for shape in ([None, 3], [2, None, 3]):
        module.decode.get_concrete_function(tf.TensorSpec(shape))
    path = tmp_path_factory.mktemp("codec") / "m"
    tf.saved_model.save(module, str(path), signatures={})
    return path


def test_a_function_keeps_its_nested_structure(codec: Path) -> None:
    (found,) = capture(saved(codec), ConvertOptions(signatures=("encode",)))
    assert found.inputs == {
        "batch": Dict(
            {
                "z": Tensor("batch/z", "float32", ("batch", 4)),
                "a": List((Tensor("batch/a/0", "float32", (3,)),)),
            }
        ),
        "training": Constant(False),
        "scale": Tensor("scale", "float32", ()),
    }
    inner = Dict({"k": Tensor("a/1/k", "int32", (2,)), "b": Tensor("a/1/b", "float32", (None, 3))})
    assert found.outputs == Dict(
        {
            "z": Tensor("z", "float32", (None, 3)),
            "a": Tuple((Tensor("a/0", "float32", (None, 3)), inner)),
            "n": Nothing(),
        }
    )
    rng = np.random.default_rng(1)
    feed = {
        "batch/z": rng.standard_normal((5, 4)).astype(np.float32),
        "batch/a/0": np.array([1, 2, 3], np.float32),
        "scale": np.array(2, np.float32),
    }
    code = feed["batch/z"] @ np.arange(12, dtype=np.float32).reshape(4, 3) * 2
    expected = {"z": code, "a/0": code + np.array([1, 2, 3]), "a/1/k": [5, 3], "a/1/b": -code}
    for outputs in (run_capture(found, feed), found.reference.run(feed)):
        assert set(outputs) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-5)


def test_each_trace_of_a_function_is_a_component_and_all_are_taken_without_signatures(codec: Path) -> None:
    found = capture(saved(codec), ConvertOptions())
    assert [each.component for each in found] == ["decode.0", "decode.1", "encode"]
    assert {each.inputs["code"] for each in found[:2]} == {
        Tensor("code", "float32", ("batch", 3)),
        Tensor("code", "float32", (2, "code_dim_1", 3)),
    }


def test_outputs_that_differ_in_nothing_but_their_names_are_not_swapped(tmp_path: Path) -> None:
    path = save(tmp_path / "m", lambda x: {"z": x + 1.0, "a": x - 1.0}, FLOATS)
    x = np.zeros((2, 4), np.float32)
    for signature in ("serving_default", "serve"):
        (found,) = capture(saved(path), ConvertOptions(signatures=(signature,)))
        for outputs in (run_capture(found, {"x": x}), found.reference.run({"x": x})):
            np.testing.assert_array_equal(outputs["z"], x + 1)
            np.testing.assert_array_equal(outputs["a"], x - 1)


def save_tensorflow_1(path: Path, *tags: str) -> Path:
    """A graph with a variable that is no resource, and that graph without the last tag; no signature."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        v1.placeholder(tf.float32, [None], name="labels")
        scale = v1.placeholder_with_default(tf.constant(2.0), [], name="scale")
        weight = v1.get_variable("w", initializer=WEIGHT, use_resource=False)
        tf.multiply(tf.matmul(x, weight), scale, name="product")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, list(tags))
        if len(tags) > 1:
            builder.add_meta_graph(list(tags[:-1]))
        builder.save()
    return path


def test_a_graph_of_tensorflow_1_without_signatures_goes_by_the_names_of_tensors(tmp_path: Path) -> None:
    path = save_tensorflow_1(tmp_path / "m", "serve")
    with pytest.raises(UsageError, match=r"neither signatures(.|\n)*--outputs"):
        capture(saved(path), ConvertOptions())
    (found,) = capture(saved(path), ConvertOptions(outputs=("product",)))
    assert found.inputs == {"x": Tensor("x", "float32", ("batch", 4))}
    assert found.outputs == Dict({"product": Tensor("product", "float32", (None, 3))})
    x = np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32)
    for outputs in (run_capture(found, {"x": x}), found.reference.run({"x": x})):
        np.testing.assert_allclose(outputs["product"], x @ WEIGHT * 2, rtol=1e-5)
    with pytest.raises(UsageError, match=r"lacks an output(.|\n)*product"):
        capture(saved(path), ConvertOptions(outputs=("products",)))


def test_one_of_several_graphs_is_chosen_by_its_tags(tmp_path: Path) -> None:
    path = save_tensorflow_1(tmp_path / "m", "serve", "gpu")
    with pytest.raises(UsageError, match=r"2 graphs(.|\n)*--tag gpu --tag serve; --tag serve"):
        capture(saved(path), ConvertOptions(outputs=("product",)))
    with pytest.raises(UsageError, match="no graph with the tags gpu"):
        capture(saved(path), ConvertOptions(outputs=("product",), tags=("gpu",)))
    (found,) = capture(saved(path), ConvertOptions(outputs=("product",), tags=("serve", "gpu")))
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(run_capture(found, {"x": x})["product"], x @ WEIGHT * 2)


def test_another_signature_can_be_chosen(saved_model: Path, two_signatures: TwoSignatures) -> None:
    (found,) = capture(saved(saved_model), ConvertOptions(signatures=("lookup",)))
    ids = np.array([3, 0, 3], np.int32)
    np.testing.assert_array_equal(run_capture(found, {"ids": ids})["rows"], two_signatures.lookup(ids)["rows"].numpy())


def test_an_unknown_signature_is_refused_with_the_known_ones(saved_model: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no signature or function 'other'(.|\n)*lookup, serving_default, lookup, serve"
    ):
        capture(saved(saved_model), ConvertOptions(signatures=("other",)))


def test_a_model_without_signatures_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(tmp_path / "m"))
    with pytest.raises(UsageError, match="neither signatures nor functions"):
        capture(saved(tmp_path / "m"), ConvertOptions())


def test_the_user_s_description_names_and_fixes_dimensions(tmp_path: Path) -> None:
    spec = tf.TensorSpec([None, None, 4], tf.float32, name="x")
    path = save(tmp_path / "m", lambda x: {"y": x * 2.0}, spec)
    (found,) = capture(saved(path), ConvertOptions())
    assert found.inputs["x"] == Tensor("x", "float32", ("batch", "x_dim_1", 4))
    (found,) = capture(saved(path), ConvertOptions(inputs=(InputSpec("x", "float32", (2, "time", 4)),)))
    assert found.inputs["x"] == Tensor("x", "float32", (2, "time", 4))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (InputSpec("z", "float32", (1, 4)), r"no input 'z'(.|\n)*Inputs: x"),
        (InputSpec("x", "int32", ("batch", 4)), "is float32, not int32"),
        (InputSpec("x", "float32", ("batch", 5)), "Axis 1 of the input 'x' is always 4"),
        (InputSpec("x", "float32", ("batch", "width")), "Axis 1 of the input 'x' is always 4"),
        (InputSpec("x", "float32", (4,)), "has rank 2, not 1"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, spec: InputSpec, message: str) -> None:
    path = save(tmp_path / "m", lambda x: {"y": x * 2.0}, FLOATS)
    with pytest.raises(UsageError, match=message):
        capture(saved(path), ConvertOptions(inputs=(spec,)))


def test_a_size_that_the_user_fixed_is_known_to_the_whole_graph(tmp_path: Path) -> None:
    path = save(tmp_path / "m", lambda x: {"rows": tf.shape(x)[0] + tf.zeros([2], tf.int32), "y": x * 2.0}, FLOATS)
    (found,) = capture(saved(path), ConvertOptions(inputs=(InputSpec("x", "float32", (3, 4)),)))
    assert "Shape" not in {node.op_type for node in found.model.graph}
    assert run_capture(found, {"x": np.ones((3, 4), np.float32)})["rows"].tolist() == [3, 3]


@pytest.mark.filterwarnings("ignore")
def test_a_signature_of_tensorflow_1_converts_with_one_tensor_under_two_names(tmp_path: Path) -> None:
    weight = np.arange(12, dtype=np.float32).reshape(4, 3) - 6
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], name="x")
        variable = tf.compat.v1.get_variable("w", initializer=weight)
        y = tf.matmul(x, variable)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(
            session, str(tmp_path / "m"), {"features": x}, {"scores": y, "again": y, "positive": tf.nn.relu(y)}
        )
    (found,) = capture(saved(tmp_path / "m"), ConvertOptions())
    assert found.inputs == {"features": Tensor("features", "float32", ("batch", 4))}
    features = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for outputs in (run_capture(found, {"features": features}), found.reference.run({"features": features})):
        assert set(outputs) == {"scores", "again", "positive"}
        np.testing.assert_allclose(outputs["scores"], features @ weight, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(outputs["again"], outputs["scores"])
        np.testing.assert_array_equal(outputs["positive"], np.maximum(outputs["scores"], 0))


def test_an_input_that_nothing_uses_stays_an_input(tmp_path: Path) -> None:
    unused = tf.TensorSpec([None], tf.float32, name="unused")
    path = save(tmp_path / "m", lambda x, unused: {"y": x * 2.0}, FLOATS, unused)
    (found,) = capture(saved(path), ConvertOptions())
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(run_capture(found, {"x": x, "unused": np.ones(3, np.float32)})["y"], x * 2)


def test_an_output_named_like_an_input_gets_a_name_of_its_own(tmp_path: Path) -> None:
    path = save(tmp_path / "m", lambda x: {"x": x + 1.0}, FLOATS)
    (found,) = capture(saved(path), ConvertOptions())
    assert found.outputs == Dict({"x": Tensor("x_out", "float32", (None, 4))})
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(run_capture(found, {"x": x})["x_out"], x + 1)


def test_every_operation_that_cannot_be_converted_is_listed(tmp_path: Path) -> None:
    def unsupported(x: Any) -> dict[str, Any]:
        return {"a": tf.math.special.fresnel_cos(x), "b": tf.math.igamma(tf.abs(x), tf.abs(x) + 1.0)}

    path = save(tmp_path / "m", unsupported, FLOATS)
    with pytest.raises(UnsupportedError) as caught:
        capture(saved(path), ConvertOptions())
    assert {operation.name for operation in caught.value.operations} == {"FresnelCos", "Igamma"}
    assert all("node '" in operation.location for operation in caught.value.operations)


def test_python_code_is_refused_without_trust(tmp_path: Path) -> None:
    path = save(tmp_path / "m", lambda x: {"y": tf.numpy_function(np.sin, [x], tf.float32)}, FLOATS)
    with pytest.raises(SourceError, match=r"PyFunc(.|\n)*--trust-source") as caught:
        capture(saved(path), ConvertOptions())
    assert caught.value.exit_status == 4


def test_reading_files_is_refused_without_trust(tmp_path: Path) -> None:
    def leak(x: Any) -> dict[str, Any]:
        return {"y": x, "z": tf.io.read_file("/etc/hostname")}

    with pytest.raises(SourceError, match="ReadFile"):
        capture(saved(save(tmp_path / "m", leak, FLOATS)), ConvertOptions())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(SourceError, match="not a readable SavedModel"):
        capture(saved(tmp_path), ConvertOptions())


def test_a_keras_export_converts(image_model: keras.Model, tmp_path: Path) -> None:
    image_model.export(str(tmp_path / "m"), verbose=False)
    (found,) = capture(saved(tmp_path / "m"), ConvertOptions())
    (name,) = found.inputs
    for batch in (1, 3):
        image = np.random.default_rng(batch).standard_normal((batch, 9, 7, 3)).astype(np.float32)
        (ours,) = run_capture(found, {name: image}).values()
        np.testing.assert_allclose(ours, image_model(image, training=False), rtol=1e-5, atol=1e-6)


CAPTURE_AND_HASH = """
import hashlib, sys
from pathlib import Path
import onnx_ir as ir
from transload.convert.options import ConvertOptions
from transload.convert.passes import run_passes
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow import conversion, separated_weights
from transload.convert.tensorflow.saved_model import capture
separated_weights.WEIGHT_BYTES = 32
for conversion.SEPARATE_BYTES in (1 << 30, 0):
    (found,) = capture(Source(SourceKind.SAVED_MODEL, Path(sys.argv[1])), ConvertOptions())
    data = ir.to_proto(run_passes(found.model).model).SerializeToString(deterministic=True)
    print(hashlib.sha256(data).hexdigest())
"""


def test_two_processes_capture_the_same_bytes(image_model: keras.Model, tmp_path: Path) -> None:
    image_model.export(str(tmp_path / "m"), verbose=False)
    digests = {
        subprocess.run(
            [sys.executable, "-c", CAPTURE_AND_HASH, str(tmp_path / "m")],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    (whole, separated) = digests.pop().split()
    assert whole != separated
