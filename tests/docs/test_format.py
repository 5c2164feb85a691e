"""The format's page names every rule that a reader can report, and a stranger's reader made from it works."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from packages import linear_component

from transload.serialize import Package

ROOT = Path(__file__).resolve().parents[2]


def test_every_rule_that_a_reader_reports_is_in_the_page() -> None:
    code = "".join(path.read_text() for path in (ROOT / "serialize").glob("*.py"))
    rules = set(re.findall(r'rule="([a-z0-9-]+)"', code)) | set(re.findall(r'^ {8}\("([a-z0-9-]+)", ', code, re.M))
    assert len(rules) > 25
    page = (ROOT / "docs/format.md").read_text()
    assert {rule for rule in rules if f"`{rule}`" not in page} == set()


def test_a_reader_written_from_the_page_alone_runs_a_package(tmp_path: Path) -> None:
    weight = np.random.default_rng(8).standard_normal((256, 256)).astype(np.float32)
    path = Package("m", (linear_component("forward", weight),)).save(tmp_path / "m.tload")

    # Section 1: the end record, the central directory, each local header.
    data = path.read_bytes()
    count, size, offset = struct.unpack("<H2L", data[-12:-2])
    members: dict[str, tuple[int, int]] = {}
    position = offset
    for _ in range(count):
        length, name_size, extra_size = struct.unpack_from("<L2H", data, position + 24)
        (header,) = struct.unpack_from("<L", data, position + 42)
        name = data[position + 46 : position + 46 + name_size].decode()
        local_name, local_extra = struct.unpack_from("<2H", data, header + 26)
        members[name] = (header + 30 + local_name + local_extra, length)
        position += 46 + name_size + extra_size
    assert position == offset + size == len(data) - 22

    # Section 2: the manifest lists every other member, and names the variant's files.
    def read(name: str) -> bytes:
        start, length = members[name]
        return data[start : start + length]

    manifest = json.loads(read("manifest.json"))
    listed = manifest["additional_metadata"]["transload"]["members"]
    assert set(listed) | {"manifest.json"} == set(members)
    assert all(hashlib.sha256(read(name)).hexdigest() == entry["sha256"] for name, entry in listed.items())
    folder = manifest["components"]["forward"]["variants"]["portable"]["variant_directory"]

    # Section 2.4: external data pointed into the file itself.
    model = onnx.ModelProto.FromString(read(f"{folder}/model.onnx"))
    start, _ = members[f"{folder}/model.onnx.data"]
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                assert entry.value == "model.onnx.data"
                entry.value = path.name
            if entry.key == "offset":
                entry.value = str(int(entry.value) + start)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(tmp_path))
    x = np.ones((2, 256), np.float32)
    (y,) = ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})
    np.testing.assert_allclose(y, x @ weight, rtol=1e-4, atol=1e-4)
