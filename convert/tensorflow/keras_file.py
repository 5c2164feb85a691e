"""Keras files, `.keras` and `.h5`, loaded in Keras' safe mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.tensorflow.framework import silence
from transload.convert.tensorflow.hdf5_trust import check_hdf5_trust
from transload.convert.tensorflow.keras_model import capture_model
from transload.serialize.errors import SourceError

with silence():
    import keras

_UNSAFE = ("lambda", "unsafe", "safe_mode", "arbitrary code")


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture the model in a file, or the model itself.

    Raises:
        SourceError: the file is damaged, needs classes that are not there, or could run code.
        UsageError: the model was never built and no input was described.
        UnsupportedError: operations that cannot be converted.
    """
    model = source.value if source.path is None else load_model(source.path, options.trust_source)
    return [capture_model(model, source, options)]


def load_model(path: Path, trusted: bool) -> Any:
    """Load a Keras file; without trust, in Keras' safe mode.

    Raises:
        SourceError: it cannot be loaded, or only by running code from it or by reading other files.
    """
    check_hdf5_trust(path)
    try:
        with silence():
            return keras.saving.load_model(str(path), compile=False, safe_mode=not trusted)
    except (ValueError, TypeError, OSError, KeyError) as error:
        message = str(error).strip()
        if not trusted and any(word in message.lower() for word in _UNSAFE):
            raise SourceError(
                f"{path.name} holds Python code (a Lambda layer): {message.splitlines()[0]}",
                hint="If you trust where it comes from, convert it with --trust-source.",
            ) from error
        raise SourceError(f"Keras cannot load {path.name}: {message}") from error
