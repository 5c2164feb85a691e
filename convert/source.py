"""What the user has: a file, a folder, a factory or an object, with the kind that detection gave it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class SourceKind(StrEnum):
    """The kinds of source, by content. The value is the word stored in the interface."""

    TORCHSCRIPT = "torchscript"
    EXPORTED_PROGRAM = "exported-program"
    TORCH_MODULE = "torch-module"
    TRANSFORMERS = "transformers-folder"
    SAVED_MODEL = "saved-model"
    GRAPH_DEF = "graph-def"
    KERAS = "keras"
    TF_CHECKPOINT = "tf-checkpoint"
    TF_FUNCTION = "tf-function"
    TF_MODULE = "tf-module"
    TFLITE = "tflite"
    ONNX = "onnx"


@dataclass(frozen=True)
class Source:
    """A source of a known kind.

    Args:
        kind: What it is.
        path: The file or folder; None for an object in memory.
        value: The object in memory (`nn.Module`, `ExportedProgram`, Keras model, `tf.function`, …), or the factory's
            dotted name `package.module:callable`; None for a path.
        args, kwargs: Example arguments of a torch module, Keras model or `tf.function`, as it takes them.
    """

    kind: SourceKind
    path: Path | None = None
    value: Any = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
