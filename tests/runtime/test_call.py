"""What a call checks anew, and whose memory the tensors of other libraries lie in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper
from packages import linear_component

from transload.runtime.feed import FeedChecker, check_feed
from transload.runtime.model import Model, load
from transload.serialize import Component, Package
from transload.serialize.errors import UsageError
from transload.serialize.interface import Dict, Interface, Proof, SourceRecord, Tensor, Tolerance

VECTOR = Tensor("x", "float32", ("n",))
HALF = Tensor("x", "bfloat16", ("n",))


def sum_component() -> Component:
    """`y = a + b + c`."""
    names = ("a", "b", "c")
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 16]) for name in (*names, "y")}
    graph = helper.make_graph(
        [helper.make_node("Sum", list(names), ["y"])], "sum", [values[name] for name in names], [values["y"]]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    tensors = {name: Tensor(name, "float32", ("n", 16)) for name in (*names, "y")}
    interface = Interface(
        component="forward",
        inputs={name: tensors[name] for name in names},
        outputs=Dict({"logits": tensors["y"]}),
        tolerances={"y": Tolerance(1.3e-6, 1e-5)},
        source=SourceRecord("onnx", "onnx", "1.23.2"),
        proof=Proof("none"),
    )
    return Component("forward", interface, ir.from_proto(model))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(Package("m", (sum_component(),)).save(tmp_path_factory.mktemp("m") / "m.tload"), threads=1)


def test_a_form_that_passed_is_not_checked_again_and_every_other_is() -> None:
    checker = FeedChecker({"x": Tensor("x", "float32", ("n", 3))})
    good = {"x": np.zeros((2, 3), np.float32)}
    assert checker.check(good)["x"] is good["x"]
    assert checker.check(good) is good
    for bad in (np.zeros((2, 4), np.float32), np.zeros((2, 3)), np.zeros(6, np.float32)):
        with pytest.raises(UsageError):
            checker.check({"x": bad})
    with pytest.raises(UsageError, match="no input 'z'"):
        checker.check({**good, "z": good["x"]})
    with pytest.raises(UsageError, match="missing"):
        checker.check({})


def test_results_are_the_caller_s_own_and_their_memory_is_used_again_once_dropped(model: Model) -> None:
    one, two = np.ones((400, 16), np.float32), np.full((400, 16), 2, np.float32)
    first = model(one, one, one)["logits"]
    second = model(two, two, two)["logits"]
    assert first.ctypes.data != second.ctypes.data
    assert (float(first[0, 0]), float(second[0, 0])) == (3.0, 6.0)
    place = second.ctypes.data
    del second
    assert model(one, one, one)["logits"].ctypes.data == place


def test_an_array_in_the_other_byte_order_is_read_as_what_it_says() -> None:
    array = np.array([1, 2], ">f4")
    np.testing.assert_array_equal(check_feed({"x": array}, {"x": VECTOR})["x"], np.array([1, 2], "<f4"))
    assert check_feed({"x": array}, {"x": VECTOR})["x"].dtype.isnative


def test_a_model_takes_arrays_in_the_other_byte_order(model: Model) -> None:
    swapped = np.ones((4, 16), ">f4")
    assert model(swapped, swapped, swapped)["logits"][0, 0] == 3


def test_torch_tensors_are_taken_without_a_copy() -> None:
    tensor = torch.arange(6, dtype=torch.float32)
    assert check_feed({"x": tensor}, {"x": VECTOR})["x"].ctypes.data == tensor.data_ptr()
    half = tensor.to(torch.bfloat16)
    assert check_feed({"x": half}, {"x": HALF})["x"].data_ptr() == half.data_ptr()


def test_a_torch_tensor_in_another_order_of_memory_gives_the_right_answer(model: Model) -> None:
    tensor = torch.arange(64, dtype=torch.float32).reshape(16, 4).T
    np.testing.assert_array_equal(model(tensor, tensor, tensor)["logits"], 3 * tensor.numpy())


def test_a_torch_tensor_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(UsageError, match=r"dtype bfloat16; the model takes float32\[n\]"):
        check_feed({"x": torch.zeros(2, dtype=torch.bfloat16)}, {"x": VECTOR})
    with pytest.raises(UsageError, match=r"rank 2 .*; the model takes bfloat16\[n\]"):
        check_feed({"x": torch.zeros(2, 2, dtype=torch.bfloat16)}, {"x": HALF})


def test_a_tensor_with_a_gradient_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"gradient(.|\n)*detach\(\)"):
        check_feed({"x": torch.zeros(2, requires_grad=True)}, {"x": VECTOR})


def test_results_become_torch_tensors_without_a_copy(model: Model) -> None:
    array = model(*[np.ones((4, 16), np.float32)] * 3)["logits"]
    assert torch.from_dlpack(array).data_ptr() == array.ctypes.data


TENSORFLOW = """
import sys
import numpy as np
import tensorflow as tf
import transload as tl
from transload.runtime.feed import check_feed
from transload.serialize.interface import Tensor

tensor = tf.ones((4, 256))
feeds = [check_feed({"x": tensor}, {"x": Tensor("x", "float32", ("batch", 256))})["x"] for _ in range(2)]
assert feeds[0].ctypes.data == feeds[1].ctypes.data == np.from_dlpack(tensor).ctypes.data
text = tf.constant(["a", "b"])
assert list(check_feed({"s": text}, {"s": Tensor("s", "string", ("n",))})["s"]) == [b"a", b"b"]
half = tf.ones(3, tf.bfloat16)
assert check_feed({"h": half}, {"h": Tensor("h", "bfloat16", ("n",))})["h"].shape == (3,)
out = tl.load(sys.argv[1])(tensor)["logits"]
back = tf.experimental.dlpack.from_dlpack(out.__dlpack__())
assert np.from_dlpack(back).ctypes.data == out.ctypes.data
print("shared")
"""


def test_tensorflow_tensors_come_and_go_without_a_copy(tmp_path: Path) -> None:
    weight = np.ones((256, 256), np.float32)
    path = Package("m", (linear_component("forward", weight),)).save(tmp_path / "m.tload")
    done = subprocess.run([sys.executable, "-c", TENSORFLOW, str(path)], capture_output=True, text=True)
    assert done.stdout == "shared\n", done.stderr


def test_running_a_package_does_not_import_onnx_ir(tmp_path: Path) -> None:
    weight = np.ones((256, 256), np.float32)
    path = Package("m", (linear_component("forward", weight),)).save(tmp_path / "m.tload")
    code = (
        "import sys, numpy, transload as tl\n"
        f"tl.load({str(path)!r})(numpy.ones((1, 256), numpy.float32)); tl.verify({str(path)!r})\n"
        "print('onnx_ir' in sys.modules or 'sympy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
