"""The noise of TensorFlow's C++ code goes nowhere, and nothing else is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.tensorflow import tf_function
from transload.convert.tensorflow.framework import KEEPS_NAN, silence, tf


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


SOFTMAX = """
import json
import numpy as np
import tensorflow as tf
row = tf.nn.softmax(np.array([[np.nan, 1, 2]], np.float32)).numpy()
print(json.dumps([framework.KEEPS_NAN, bool(np.isnan(row).all())]))
"""


@pytest.mark.parametrize(
    ("first", "switch", "expected"),
    [
        ("", None, [True, True]),
        # TensorFlow has oneDNN on by default on some processors only.
        ("import tensorflow\n", None, [False, ANY]),
        ("import tensorflow\n", "0", [True, True]),
        ("", "1", [False, False]),
    ],
)
def test_whether_tensorflow_keeps_nan_is_known(first: str, switch: str | None, expected: list[bool]) -> None:
    # Where the last fails, TensorFlow with oneDNN is mended and KEEPS_NAN has no reason any more.
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    if switch is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = switch
    code = f"{first}from transload.convert.tensorflow import framework\n{SOFTMAX}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


def test_a_source_that_loses_nan_has_no_answer_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    softmax = tf.function(lambda x: tf.nn.softmax(x)).get_concrete_function(tf.TensorSpec([None, 3], name="x"))
    (found,) = tf_function.capture(detect_source(softmax), ConvertOptions())
    (name,) = found.inputs
    row = np.array([[np.nan, 1, 2]], np.float32)
    assert KEEPS_NAN, "tests/conftest.py asks for it"
    assert np.isnan(found.reference.run({name: row})["output"]).all()
    monkeypatch.setattr("transload.convert.tensorflow.function.KEEPS_NAN", False)
    with pytest.raises(ValueError, match="lose NaN"):
        found.reference.run({name: row})
    found.reference.run({name: np.ones((1, 3), np.float32)})


def run_python(code: str, *arguments: str) -> tuple[str, str]:
    # This process has asked TensorFlow to be quiet, which a user's shell has not.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_a_conversion_in_python_writes_nothing_to_the_terminal(saved_model: Path, tmp_path: Path) -> None:
    code = "import sys, transload as tl; tl.convert_model(sys.argv[1], proof='quick').save(sys.argv[2])"
    assert run_python(code, str(saved_model), str(tmp_path / "m.tload")) == ("", "")


def test_verbose_brings_tensorflow_s_own_words_back(saved_model: Path, tmp_path: Path) -> None:
    code = "from transload.cli import main; main()"
    arguments = ["convert", str(saved_model), "-o", str(tmp_path / "m.tload"), "--proof", "none"]
    _, quiet = run_python(code, *arguments)
    _, verbose = run_python(code, *arguments, "--verbose")
    assert quiet == ""
    assert "This TensorFlow binary is optimized" in verbose
