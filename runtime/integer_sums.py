"""ONNX Runtime's 8-bit kernels add exactly on every processor.

Its products of unsigned by signed bytes add pairs of products in 16 bits on x86 processors without VNNI, where
255 * 127 + 255 * 127 becomes 32767. An option of the session makes it take slower kernels that add in 32 bits; with
VNNI they would only be slower.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable
from typing import TypeVar

import onnxruntime as ort

from transload.serialize.errors import ExecutionError, UnsupportedError

T = TypeVar("T")

EXACT_OPTION = "session.x64quantprecision"

INTEGER_OPERATORS = (b"MatMulInteger", b"ConvInteger", b"QLinearMatMul", b"QLinearConv")
"""The operators that are such kernels themselves."""
FUSED_OPERATOR = b"DequantizeLinear"
"""What ONNX Runtime's optimisations put into such kernels together with the operator behind it."""

PROBE = bytes.fromhex(
    "08053a540a180a01780a0177120179220d4d61744d756c496e74656765721201702a0f0801080410024201784a04ffffffff"
    "2a0f0804080110034201774a047f7f7f7f62130a0179120e0a0c080612080a0208010a02080142040a00100a"
)
"""The model y = MatMulInteger(four bytes 255, four signed bytes 127); the loader in C++ has the same."""


def open_exactly(model: bytes | mmap.mmap, options: ort.SessionOptions, open_session: Callable[[], T], where: str) -> T:
    """What `open_session` makes of the options, which are changed where a serialized model needs it on this processor.

    The option takes effect among ONNX Runtime's optimisations: where a model has integer operators of its own, these
    are switched on at the level `extended`, whatever was asked for. Where ONNX Runtime cannot open a quantized model
    with the option, it opens it without the optimisations that fuse into such kernels.

    Args:
        model: The serialized model.
        options: What `open_session` opens it with.
        open_session: Raises ExecutionError or UnsupportedError where ONNX Runtime refuses the model.
        where: For messages.

    Raises:
        UnsupportedError: the model has integer operators of its own, and ONNX Runtime cannot open it with the option.
    """
    has_own = any(model.find(name) >= 0 for name in INTEGER_OPERATORS)
    if not (has_own or model.find(FUSED_OPERATOR) >= 0) or adds_exactly():
        return open_session()
    options.add_session_config_entry(EXACT_OPTION, "1")
    levels = ort.GraphOptimizationLevel
    if has_own and options.graph_optimization_level.value < levels.ORT_ENABLE_EXTENDED.value:
        options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED
    try:
        return open_session()
    except (ExecutionError, UnsupportedError) as error:
        if has_own:
            raise UnsupportedError(
                f"ONNX Runtime has no kernel that adds this model's products of bytes exactly: {error.what}",
                where=where,
                hint="Run the model on a processor with VNNI, or quantize it with unsigned activations.",
            ) from error
    options.add_session_config_entry(EXACT_OPTION, "0")
    if options.graph_optimization_level.value > levels.ORT_ENABLE_BASIC.value:
        options.graph_optimization_level = levels.ORT_ENABLE_BASIC
    return open_session()


@functools.cache
def adds_exactly() -> bool:
    """Whether ONNX Runtime's default kernels add products of bytes exactly on this processor; it is asked to."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # Else the sum would be taken before the kernel is asked.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    (sums,) = ort.InferenceSession(PROBE, options, providers=["CPUExecutionProvider"]).run(None, {})
    return int(sums.item()) == 4 * 255 * 127
