"""The noise of TensorFlow's C++ code goes nowhere, and nothing else is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from transload.convert.tensorflow.framework import silence, tf, without_fusion


def test_what_is_written_to_the_descriptors_is_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        os.write(1, b"from C++")
        os.write(2, b"from C++")
        print("from Python")
    print("after")
    assert capfd.readouterr() == ("after\n", "")


def test_descriptors_are_as_before_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), silence():
        raise ValueError
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_output_that_python_still_held_back_is_not_lost() -> None:
    code = (
        "from transload.convert.tensorflow import framework\n"
        "import sys\n"
        "sys.stdout.write('before ')\n"
        "with framework.silence():\n"
        "    sys.stdout.flush()\n"
        "    sys.stdout.write('inside ')\n"
        "sys.stdout.write('after')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "before after"


def test_tensorflow_s_fused_kernels_lose_nan_and_its_operations_do_not() -> None:
    # Where the first assertion fails, TensorFlow is mended and `without_fusion` has no reason any more.
    weight, bias = tf.ones([4, 3]), tf.ones([3])
    layer = tf.function(lambda x: tf.nn.relu(tf.nn.bias_add(tf.matmul(x, weight), bias)))
    x = np.full((2, 4), np.nan, np.float32)
    np.testing.assert_array_equal(layer(x), np.zeros((2, 3)))
    with without_fusion():
        assert np.isnan(layer(x)).all()
    np.testing.assert_array_equal(layer(x), np.zeros((2, 3)))
    assert np.isnan(tf.nn.relu(tf.nn.bias_add(tf.matmul(x, weight), bias))).all()
