"""Models that must not see an empty tensor: ONNX Runtime's kernels for GRU and LSTM end the whole process over one.

With 1.31.1, GRU over no rows or no steps and LSTM over no rows call std::terminate; over no steps, LSTM and RNN forget
the initial state. So such inputs are refused where a model has one of these operators.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping

from transload.serialize.errors import ExecutionError

OPERATORS = (b'"\x03GRU', b'"\x04LSTM', b'"\x03RNN')
"""The field `op_type` of a serialized node; the loader in C++ looks for the same."""


def fails_on_empty(model: bytes | memoryview | mmap.mmap) -> bool:
    """Whether a serialized model has one of the operators."""
    found = bytes(model)
    return any(operator in found for operator in OPERATORS)


def refuse_empty(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a call with an empty input.

    Raises:
        ExecutionError: an input is empty.
    """
    for name, shape in shapes.items():
        if 0 in shape:
            raise ExecutionError(
                f"The input {name!r} is empty ([{','.join(map(str, shape))}]), and ONNX Runtime's kernels for "
                "recurrent layers end the process over that.",
                hint="Leave such calls out; the result has no elements, or is the initial state.",
            )
