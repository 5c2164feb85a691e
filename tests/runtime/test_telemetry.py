"""ONNX Runtime's own reports to its maker stay off: running a package leaves no identifier of the machine behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def files_after(code: str, home: Path) -> list[str]:
    home.mkdir()
    # Nothing else of the environment: where a variable of a CI service is set, ONNX Runtime reports nothing.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return sorted(path.name for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("module", ["transload.runtime.model", "transload.convert.onnx.onnx_file"])
def test_nothing_is_kept_in_the_user_s_folder(module: str, tmp_path: Path) -> None:
    assert files_after(f"import {module}, onnxruntime", tmp_path / "home") == []


def test_onnx_runtime_alone_keeps_an_identifier(tmp_path: Path) -> None:
    # The reason for all this; where it is gone upstream, so may be our setting.
    assert "deviceid" in files_after("import onnxruntime", tmp_path / "home")
