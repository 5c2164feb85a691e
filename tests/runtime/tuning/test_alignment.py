"""Stored weights, packed copies too, lie where ONNX Runtime's kernels can read them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.session import open_session
from transload.runtime.tuning.alignment import align_weights
from transload.runtime.tuning.build import optimised_files
from transload.serialize.folder import FileContent
from transload.serialize.layout import DATA_NAME, MODEL_NAME
from transload.serialize.zip_records import alignment_of

RNG = np.random.default_rng(0)
# Large enough to lie outside of the graph, and of sizes after which nothing is aligned.
WEIGHTS = {
    f"{kind}{layer}": RNG.standard_normal(shape).astype(np.float32) / np.float32(17)
    for layer in range(3)
    for kind, shape in (("weight", (301, 301)), ("bias", (301,)))
}
X = RNG.standard_normal((40, 301)).astype(np.float32)


def make_model() -> bytes:
    nodes, value = [], "x"
    for layer in range(3):
        nodes += [
            helper.make_node("MatMul", [value, f"weight{layer}"], [f"product{layer}"]),
            helper.make_node("Add", [f"product{layer}", f"bias{layer}"], [f"sum{layer}"]),
            helper.make_node("Tanh", [f"sum{layer}"], [f"y{layer}"]),
        ]
        value = f"y{layer}"
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 301])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["n", 301])],
        [numpy_helper.from_array(weight, name) for name, weight in WEIGHTS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def ranges(model: onnx.ModelProto) -> list[tuple[int, int]]:
    found = []
    for tensor in model.graph.initializer:
        fields = {entry.key: entry.value for entry in tensor.external_data}
        if fields:
            found.append((int(fields["offset"]), int(fields["length"])))
        for key, value in fields.items():
            if key.startswith("prepacked_"):
                found += [(int(offset), int(length)) for offset, length in re.findall(r"\|(\d+);(\d+);", value)]
    return found


def test_stored_weights_are_aligned_and_the_same(tmp_path: Path) -> None:
    configuration = Configuration(1)
    with optimised_files(make_model(), tmp_path, configuration, tmp_path) as contents:
        graph = contents[MODEL_NAME]
        assert isinstance(graph, FileContent)
        folder = graph.path.parent
        model = onnx.load(folder / MODEL_NAME, load_external_data=False)
        found = ranges(model)
        assert any(entry.key == "prepacked_0" for tensor in model.graph.initializer for entry in tensor.external_data)
        assert [(offset, length) for offset, length in found if offset % alignment_of(length)] == []
        options = session_options(Configuration(1, level="disable"), str(folder))
        session = open_session(model.SerializeToString(), options, provider_list(configuration), "a test")
        expected = X
        for layer in range(3):
            expected = np.tanh(expected @ WEIGHTS[f"weight{layer}"] + WEIGHTS[f"bias{layer}"])
        np.testing.assert_allclose(session.run(None, {"x": X})[0], expected, rtol=1e-4, atol=1e-5)


def test_what_lies_anywhere_is_moved_to_where_it_may_lie(tmp_path: Path) -> None:
    small, large = RNG.bytes(100), RNG.bytes(70_000)
    (tmp_path / DATA_NAME).write_bytes(b"?" + small + b"??" + large)
    tensor = onnx.TensorProto(name="w", dims=[100], data_type=TensorProto.UINT8)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    packed = f"Gemm+1|103;{len(large)};0|1;100;5"
    for key, value in (("location", DATA_NAME), ("offset", "1"), ("length", "100"), ("prepacked_0", packed)):
        tensor.external_data.add(key=key, value=value)
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor]))
    (tmp_path / MODEL_NAME).write_bytes(model.SerializeToString())
    align_weights(tmp_path / MODEL_NAME, tmp_path / DATA_NAME)
    moved = onnx.load(tmp_path / MODEL_NAME, load_external_data=False)
    fields = {entry.key: entry.value for entry in moved.graph.initializer[0].external_data}
    assert fields == {
        "location": DATA_NAME,
        "offset": "0",
        "length": "100",
        "prepacked_0": f"Gemm+1|4096;{len(large)};0|0;100;5",
    }
    data = (tmp_path / DATA_NAME).read_bytes()
    assert (data[:100], data[4096:]) == (small, large)
