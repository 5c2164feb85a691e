"""`transload profile`: tables, JSON and a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Command = Callable[..., Result]


def test_tables_name_operators_and_their_share(transload: Command, package_file: Path) -> None:
    result = transload("profile", package_file, "--calls", "2", "--by", "operator", "--by", "node")
    assert result.exit_code == 0, result.output
    assert "MatMul" in result.output
    assert "100.0" in result.output
    assert "ms a call" in result.output


def test_json_and_trace_hold_every_node(transload: Command, package_file: Path, tmp_path: Path) -> None:
    result = transload("profile", package_file, "--calls", "2", "--json", "--trace", tmp_path / "trace.json")
    facts = json.loads(result.stdout)
    assert [node["op_type"] for node in facts["nodes"]] == ["MatMul"]
    assert facts["call_s"] >= facts["nodes"][0]["seconds"] > 0
    events = json.loads((tmp_path / "trace.json").read_text())
    assert sum(event["name"].endswith("_kernel_time") for event in events) == 3


def test_without_recorded_inputs_some_must_be_given(transload: Command, onnx_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "silent.tload"
    assert transload("convert", onnx_file, "-o", path, "--proof", "none").exit_code == 0
    result = transload("profile", path)
    assert result.exit_code == 2
    assert "no recorded inputs" in result.stderr
