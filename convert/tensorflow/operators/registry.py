"""Which operations we write as ONNX ourselves, filled by a decorator, in the form that tf2onnx takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.table_content import Table

Operator = Callable[[Emitter], "str | tuple[str, ...]"]
"""Emits ONNX nodes for the emitter's operation; gives the name of each of its results."""

OPERATORS: dict[str, Operator] = {}


def operator(*op_types: str) -> Callable[[Operator], Operator]:
    """The translation of operations of these types."""

    def add(function: Operator) -> Operator:
        for op_type in op_types:
            if op_type in OPERATORS:
                raise ValueError(f"two translations of {op_type}")
            OPERATORS[op_type] = function
        return function

    return add


def tf2onnx_handlers(
    tables: Mapping[str, Table], with_extensions: bool
) -> dict[str, tuple[Callable[..., None], list[Any]]]:
    """The translations for tf2onnx's `custom_op_handlers`.

    Args:
        tables: The model's lookup tables by the name of the tensor that stands for each.
        with_extensions: Whether operators of onnxruntime-extensions may be emitted.
    """
    return {op_type: (_handler(function, tables, with_extensions), []) for op_type, function in OPERATORS.items()}


def _handler(function: Operator, tables: Mapping[str, Table], with_extensions: bool) -> Callable[..., None]:
    def handle(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
        emitter = Emitter(graph, node, tables, with_extensions)
        results = function(emitter)
        emitter.finish((results,) if isinstance(results, str) else results)

    return handle
