"""Operations of TensorFlow written as ONNX in tf2onnx's place, where ONNX has what TensorFlow itself cannot say."""

from transload.convert.tensorflow.operators import (
    arithmetic,
    contraction,
    fourier,
    ordering,
    resizing,
    selection,
    strings,
    tables,
    text_pieces,
    unique,
)
from transload.convert.tensorflow.operators.emitter import EXTENSIONS_DOMAIN
from transload.convert.tensorflow.operators.registry import OPERATORS, tf2onnx_handlers

__all__ = [
    "EXTENSIONS_DOMAIN",
    "OPERATORS",
    "arithmetic",
    "contraction",
    "fourier",
    "ordering",
    "resizing",
    "selection",
    "strings",
    "tables",
    "text_pieces",
    "tf2onnx_handlers",
    "unique",
]
