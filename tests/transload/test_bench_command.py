"""`transload bench`: every runtime in its own process, and figures for each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result

from transload.cli.bar_chart import Bar, draw_bars
from transload.convert.peers.feeds import resize_batch
from transload.convert.peers.race import Lap
from transload.serialize import open_package
from transload.serialize.errors import UsageError
from transload.serialize.interface import Interface, Proof, SourceRecord, Tensor

Command = Callable[..., Result]
QUICK = ("--rounds", "2", "--seconds", "0.01")


def test_each_runtime_batch_and_thread_count_has_a_row(transload: Command, package_file: Path, tmp_path: Path) -> None:
    plot = tmp_path / "bars.svg"
    result = transload(
        "bench",
        package_file,
        "--against",
        "onnxruntime",
        "--batch",
        "1,3",
        "--threads",
        "1",
        "--json",
        "--plot",
        plot,
        *QUICK,
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [(row["runtime"], row["batch"]) for row in rows] == [
        ("transload", 1),
        ("onnxruntime", 1),
        ("transload", 3),
        ("onnxruntime", 3),
    ]
    for row in rows:
        assert 0 < row["median_ms"] <= row["p99_ms"]
        assert row["items_per_second"] == pytest.approx(row["batch"] * 1e3 / row["median_ms"])
        assert 0 < row["load_ms"] < row["first_output_ms"]
        assert row["peak_bytes"] > 1e6
    assert [row["ratio"] for row in rows[::2]] == [1, 1]
    assert rows[1]["ratio"] == pytest.approx(rows[1]["median_ms"] / rows[0]["median_ms"])
    bars = ElementTree.parse(plot).getroot().findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 1 + len(rows)


def test_a_runtime_that_fails_is_named_with_its_last_words(transload: Command, package_file: Path) -> None:
    result = transload("bench", package_file, "--against", "torch", "--source", "missing.pt", *QUICK)
    assert result.exit_code == 5
    assert "torch failed" in result.stderr
    assert "missing.pt" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--against", "caffe"), "no runtime 'caffe'"),
        (("--against", "transload"), "no runtime 'transload'"),
        (("--against", "torch"), "Give --source"),
        (("--batch", "one"), "--batch takes numbers"),
        (("--batch", "0"), "--batch takes numbers"),
    ],
)
def test_wrong_usage(transload: Command, package_file: Path, arguments: tuple[str, ...], message: str) -> None:
    result = transload("bench", package_file, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def interface(*tensors: Tensor) -> Interface:
    inputs = {tensor.name: tensor for tensor in tensors}
    return Interface("forward", dict(inputs), tensors[0], {}, SourceRecord("onnx", "onnx", "1"), Proof("none"))


def test_the_batch_is_resized_along_every_axis_of_its_name() -> None:
    declared = interface(
        Tensor("x", "float32", ("n", 2)), Tensor("h", "float32", (1, "n")), Tensor("k", "int64", ("m",))
    )
    feed = {"x": np.array([[1, 2], [3, 4]]), "h": np.array([[5, 6]]), "k": np.array([7])}
    found = resize_batch(declared, feed, 3)
    assert {name: array.tolist() for name, array in found.items()} == {
        "x": [[1, 2], [3, 4], [1, 2]],
        "h": [[5, 6, 5]],
        "k": [7],
    }


def test_a_batch_that_is_fixed_cannot_be_resized() -> None:
    declared = interface(Tensor("x", "float32", (2, 2)))
    feed = {"x": np.zeros((2, 2))}
    assert resize_batch(declared, feed, 2)["x"].shape == (2, 2)
    with pytest.raises(UsageError, match="one batch size only"):
        resize_batch(declared, feed, 3)


def test_a_disturbed_round_does_not_move_the_median() -> None:
    lap = Lap("ours", 1, 0, 0, 0, 0, ((1.0, 1.0), (1.0, 1.2), (9.0, 9.0)))
    assert lap.median_s == pytest.approx(1.1)
    assert lap.percentile_s(100) == 9


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(draw_bars("a < b", [Bar("x & y", 1), Bar("z", 4)]))
    _, one, four = (float(rect.attrib["width"]) for rect in root.findall("{http://www.w3.org/2000/svg}rect"))
    assert four == 4 * one


def test_without_recorded_inputs_there_must_be_given_ones(
    transload: Command, package_file: Path, tmp_path: Path
) -> None:
    package = open_package(package_file).to_package()
    silent = type(package.components[0])(
        package.components[0].name, package.components[0].interface, package.components[0].model
    )
    path = type(package)("silent", (silent,)).save(tmp_path / "silent.tload")
    assert "no recorded inputs" in transload("bench", path).stderr
    np.savez(tmp_path / "in.npz", x=np.ones((5, 4), np.float32))
    result = transload("bench", path, "--inputs", tmp_path / "in.npz", *QUICK)
    assert result.exit_code == 0, result.output
    assert " 5 " in result.output
