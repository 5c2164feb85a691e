"""Exporter chatter is kept from the terminal; only what says that a result may be wrong becomes a note."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from transload.convert.torch.quiet import quiet

EXPORTER = "/site-packages/torch/onnx/_internal/exporter.py"


def warn(text: str, filename: str = EXPORTER) -> None:
    warnings.warn_explicit(text, UserWarning, filename, 1)


def test_prints_logs_and_warnings_are_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        print("printed")
        print("printed", file=sys.stderr)
        logging.getLogger("torch.onnx").error("logged")
        warn("chatter")
    assert capfd.readouterr() == ("", "")


def test_logging_is_as_before_afterwards_even_after_an_error() -> None:
    with pytest.raises(ValueError), quiet():
        raise ValueError
    assert logging.root.manager.disable == logging.NOTSET


def test_an_exporters_warning_of_wrong_results_becomes_a_note_once() -> None:
    with quiet() as notes:
        for _ in range(2):
            warn("# Negative indices will produce incorrect results.\nSecond line.")
    assert notes == ["Negative indices will produce incorrect results."]


@pytest.mark.parametrize(
    ("text", "filename"),
    [
        ("You are using the legacy TorchScript-based ONNX export; it may not stay.", EXPORTER),
        ("Converting the graph.", EXPORTER),
        ("Values might not be right.", "/home/user/model.py"),
    ],
)
def test_other_warnings_are_no_notes(text: str, filename: str) -> None:
    with quiet() as notes:
        warn(text, filename)
    assert notes == []
