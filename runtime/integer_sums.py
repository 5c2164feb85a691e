"""ONNX Runtime's 8-bit kernels add exactly on every processor.

Its products of unsigned by signed bytes add pairs of products in 16 bits on x86 processors without VNNI, where
255 * 127 + 255 * 127 becomes 32767. An option of the session makes it take slower kernels that add in 32 bits; with VNNI
they would only be slower.
"""

from __future__ import annotations

import functools
import mmap

import numpy as np
import onnxruntime as ort

EXACT_OPTION = "session.x64quantprecision"

INTEGER_OPERATORS = (b"MatMulInteger", b"ConvInteger", b"QLinearMatMul", b"QLinearConv")
"""The operators that are such kernels themselves."""
FUSED_OPERATOR = b"DequantizeLinear"
"""What ONNX Runtime's optimisations put into such kernels together with the operator behind it."""

PROBE = bytes.fromhex(
    "08053a580a180a01780a0177120179220d4d61744d756c496e74656765721201702a0f0804080110034201774a047f7f7f7f"
    "5a130a0178120e0a0c080212080a0208010a02080462130a0179120e0a0c080612080a0208010a02080142040a00100a"
)
"""A model: y = MatMulInteger(x, w) for x of uint8[1, 4] and four signed bytes 127."""


def keep_sums_exact(options: ort.SessionOptions, model: bytes | mmap.mmap) -> bool:
    """Set the option where a serialized model needs it on this processor, and tell whether it does.

    The option takes effect among ONNX Runtime's optimisations: where a model has integer operators of its own, these
    are switched on at the level `extended`, whatever was asked for.
    """
    has_own = any(model.find(name) >= 0 for name in INTEGER_OPERATORS)
    if not (has_own or model.find(FUSED_OPERATOR) >= 0) or adds_exactly():
        return False
    options.add_session_config_entry(EXACT_OPTION, "1")
    if has_own and options.graph_optimization_level.value < ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED.value:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return True


@functools.cache
def adds_exactly() -> bool:
    """Whether ONNX Runtime's default kernels add products of bytes exactly on this processor; it is asked to."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(PROBE, options, providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"x": np.full((1, 4), 255, np.uint8)})
    return int(sums.item()) == 4 * 255 * 127
