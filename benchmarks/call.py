"""What a call of a loaded model costs beyond ONNX Runtime's own session, in microseconds and as a ratio.

    make bench

The model has three inputs and takes next to no time itself. The quickest of many single calls, taken in turns, since
other work on the machine can only make one slower.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import transload as tl

NAMES = ("a", "b", "c")
ROUNDS = 20_000


def write_model(path: Path) -> None:
    """`y = a + b + c`."""
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 16]) for name in (*NAMES, "y")}
    nodes = [helper.make_node("Sum", list(NAMES), ["y"])]
    graph = helper.make_graph(nodes, "sum", [values[name] for name in NAMES], [values["y"]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def measure(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The quickest call of each, in microseconds."""
    took = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            took[name] = min(took[name], (time.perf_counter() - start) * 1e6)
    return took


def main() -> None:
    feed = {name: np.ones((4, 16), np.float32) for name in NAMES}
    arrays = list(feed.values())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "sum.onnx"
        write_model(source)
        model = tl.load(tl.convert_model(str(source)).save(Path(folder) / "sum.tload"), threads=1)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        took = measure(
            {
                "session.run": lambda: session.run(None, feed),
                "model.run": lambda: model.run(None, feed),
                "model(...)": lambda: model(*arrays),
            }
        )
    base = took["session.run"]
    print("| call | µs more than session.run | ratio |")
    print("|---|---|---|")
    for name, microseconds in took.items():
        print(f"| `{name}` | {microseconds - base:.1f} | {microseconds / base:.2f} |")


if __name__ == "__main__":
    main()
