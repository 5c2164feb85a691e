"""Keeping exporter chatter from the user's terminal, and collecting those warnings that are worth a note."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import PurePath

_WORTH_A_NOTE = ("can cause an error", "may lead to", "might not", "may not", "different", "incorrect", "ignored")
_NEVER = ("legacy TorchScript-based", "torchvision", "Automatic version conversion", "deprecated")


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Silences warnings, logging, stdout and stderr of Python code; what is yielded fills with notes at the end.

    A note is the first line of an exporter's own warning that says the result may not be what the source computes.
    """
    notes: list[str] = []
    former_level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("always")
            yield notes
    finally:
        logging.disable(former_level)
    for warning in caught:
        text = str(warning.message).strip().partition("\n")[0].lstrip("# ")
        from_exporter = "onnx" in PurePath(warning.filename).parts
        if not from_exporter or any(word in text for word in _NEVER) or text in notes:
            continue
        if any(word in text for word in _WORTH_A_NOTE):
            notes.append(text)
