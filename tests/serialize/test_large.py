"""A package over 2 GiB: written from lazy tensors one at a time, loaded by mapping."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TABLES, ROWS, WIDTH = 9, 65536, 1024

WRITE_AND_RUN = f"""
import re, sys
from pathlib import Path
import numpy as np, onnx_ir as ir
from onnx import TensorProto, helper
from packages import table_component
from transload.runtime.model import load
from transload.serialize import Component, Package, open_package

nodes, names = [], [f"table_{{i}}" for i in range({TABLES})]
for i, name in enumerate(names):
    nodes.append(helper.make_node("Gather", [name, "x"], [f"row_{{i}}"]))
nodes.append(helper.make_node("Sum", [f"row_{{i}}" for i in range({TABLES})], ["y"]))
graph = helper.make_graph(
    nodes, "large",
    [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", {WIDTH}])],
    [helper.make_tensor(name, TensorProto.FLOAT, [1], [0.0]) for name in names],
)
model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
for i, name in enumerate(names):
    make = lambda i=i: ir.tensor(np.full(({ROWS}, {WIDTH}), i + 1, np.float32))
    model.graph.initializers[name].const_value = ir.LazyTensor(
        make, dtype=ir.DataType.FLOAT, shape=ir.Shape([{ROWS}, {WIDTH}]), name=name)
interface = table_component(np.zeros((2, {WIDTH}), np.float32)).interface
path = Package("large", (Component("forward", interface, model),)).save(sys.argv[1])
# Not ru_maxrss: a child inherits that from whoever started it.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
y = load(path, integrity="none", threads=1)(np.array([0, {ROWS - 1}]))
print(open_package(path, integrity="none").size_bytes, float(y.min()), float(y.max()), peak)
"""


def test_a_model_over_2_gib_is_written_in_little_memory_and_runs(tmp_path: Path) -> None:
    path = tmp_path / "large.tload"
    done = subprocess.run(
        [sys.executable, "-c", WRITE_AND_RUN, str(path)],
        env={"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
    )
    path.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr
    size_bytes, smallest, largest, peak_bytes = map(float, done.stdout.split())
    assert size_bytes > TABLES * ROWS * WIDTH * 4 > 2 << 30
    assert smallest == largest == sum(range(1, TABLES + 1))
    assert peak_bytes < 1 << 30
