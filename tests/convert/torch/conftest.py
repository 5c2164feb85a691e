"""Running a captured graph in ONNX Runtime, and comparing it with torch called directly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from transload.convert.capture import Capture

Array = np.ndarray[Any, Any]
Run = Callable[[Capture, Mapping[str, Array]], dict[str, Array]]
Agree = Callable[[Capture, Mapping[str, Array], Mapping[str, torch.Tensor]], None]


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same weights and inputs whatever tests a worker has run before."""
    torch.manual_seed(0)


@pytest.fixture
def run_graph(tmp_path: Path) -> Run:
    """Saves the capture's graph and runs it; outputs by name."""

    def run(capture: Capture, feed: Mapping[str, Array]) -> dict[str, Array]:
        path = tmp_path / "model.onnx"
        ir.save(capture.model, path)
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert [item.name for item in session.get_inputs()] == list(feed)
        names = [item.name for item in session.get_outputs()]
        return dict(zip(names, session.run(None, dict(feed)), strict=True))

    return run


@pytest.fixture
def assert_agrees(run_graph: Run) -> Agree:
    """Graph and reference both give what torch gave: same names, dtypes, shapes, and values within 1e-5."""

    def check(capture: Capture, feed: Mapping[str, Array], expected: Mapping[str, torch.Tensor]) -> None:
        before = {name: array.copy() for name, array in feed.items()}
        for outputs in (run_graph(capture, feed), capture.reference.run(feed)):
            assert list(outputs) == list(expected)
            for name, tensor in expected.items():
                assert outputs[name].dtype == tensor.numpy().dtype
                assert outputs[name].shape == tuple(tensor.shape)
                np.testing.assert_allclose(outputs[name], tensor.numpy(), rtol=1e-5, atol=1e-5)
        for name, array in before.items():
            np.testing.assert_array_equal(feed[name], array)

    return check
