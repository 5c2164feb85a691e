"""Element types: between torch and ONNX, and which type torch's promotion rules give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
import torch

from transload.serialize.errors import UnsupportedError

if TYPE_CHECKING:
    from transload.convert.torch.script.values import Complex, Number

TO_ONNX = {
    torch.float32: ir.DataType.FLOAT,
    torch.float64: ir.DataType.DOUBLE,
    torch.float16: ir.DataType.FLOAT16,
    torch.bfloat16: ir.DataType.BFLOAT16,
    torch.int64: ir.DataType.INT64,
    torch.int32: ir.DataType.INT32,
    torch.int16: ir.DataType.INT16,
    torch.int8: ir.DataType.INT8,
    torch.uint8: ir.DataType.UINT8,
    torch.uint16: ir.DataType.UINT16,
    torch.uint32: ir.DataType.UINT32,
    torch.uint64: ir.DataType.UINT64,
    torch.bool: ir.DataType.BOOL,
    torch.complex64: ir.DataType.COMPLEX64,
    torch.complex128: ir.DataType.COMPLEX128,
    torch.float8_e4m3fn: ir.DataType.FLOAT8E4M3FN,
    torch.float8_e5m2: ir.DataType.FLOAT8E5M2,
}
TO_TORCH = {onnx: dtype for dtype, onnx in TO_ONNX.items()}

REAL_PART = {ir.DataType.COMPLEX64: ir.DataType.FLOAT, ir.DataType.COMPLEX128: ir.DataType.DOUBLE}
COMPLEX_OF = {part: whole for whole, part in REAL_PART.items()}

SCALAR_TYPES = (
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.float32,
    torch.float64,
    torch.complex32,
    torch.complex64,
    torch.complex128,
    torch.bool,
    torch.qint8,
    torch.quint8,
    torch.qint32,
    torch.bfloat16,
)
"""torch's dtypes by the numbers that TorchScript writes for them (c10/core/ScalarType.h)."""

NUMBER_DTYPE = {int: ir.DataType.INT64, float: ir.DataType.DOUBLE, bool: ir.DataType.BOOL}
"""What a number that is only known when the graph runs is computed in: torch's Python numbers."""


NUMBER_KEY = "pkg.number"
"""The metadata of a constant that torch's promotion takes for a number."""


def to_onnx(dtype: torch.dtype) -> ir.DataType:
    """The ONNX element type of a torch dtype.

    Raises:
        UnsupportedError: ONNX has none.
    """
    try:
        return TO_ONNX[dtype]
    except KeyError:
        raise UnsupportedError(f"ONNX has no tensors of dtype {str(dtype).removeprefix('torch.')}.") from None


def dtype_of(value: ir.Value) -> ir.DataType:
    """The element type of a value, which every value of a translation has."""
    assert value.dtype is not None
    return value.dtype


def scalar_type(number: int) -> torch.dtype:
    """The dtype that TorchScript writes as `number`."""
    return SCALAR_TYPES[number]


def is_float(dtype: ir.DataType) -> bool:
    """Whether it is a real floating type."""
    return dtype.is_floating_point()


def default_float() -> ir.DataType:
    """The type of what torch computes from integers or from Python floats alone."""
    return TO_ONNX[torch.get_default_dtype()]


def promote(*operands: ir.Value | Complex | Number | complex | float | int | bool) -> ir.DataType:
    """The element type of torch's arithmetic over tensors and numbers (torch.result_type over all of them)."""
    dims: torch.dtype | None = None
    zeros: torch.dtype | None = None
    numbers: torch.dtype | None = None
    for operand in operands:
        dtype, group = _category(operand)
        if group == "dims":
            dims = dtype if dims is None else torch.promote_types(dims, dtype)
        elif group == "zeros":
            zeros = dtype if zeros is None else torch.promote_types(zeros, dtype)
        else:
            numbers = dtype if numbers is None else torch.promote_types(numbers, dtype)
    result = _combine(_combine(dims, zeros), numbers)
    assert result is not None
    return to_onnx(result)


def _category(operand: object) -> tuple[torch.dtype, str]:
    from transload.convert.torch.script.values import Complex, Number

    match operand:
        case ir.Value() if NUMBER_KEY in operand.metadata_props:
            dtype = TO_TORCH[dtype_of(operand)]
            return torch.get_default_dtype() if dtype.is_floating_point else dtype, "numbers"
        case ir.Value(dtype=dtype, shape=shape):
            assert dtype is not None
            return TO_TORCH[dtype], "zeros" if shape is not None and shape.rank() == 0 else "dims"
        case Complex(real=real):
            shape = real.shape
            is_zero = shape is not None and shape.rank() == 0
            return TO_TORCH[COMPLEX_OF[dtype_of(real)]], "zeros" if is_zero else "dims"
        case Number(kind=kind):
            return _number_dtype(kind), "numbers"
        case _:
            return _number_dtype(type(operand)), "numbers"


def _number_dtype(kind: type) -> torch.dtype:
    default = torch.get_default_dtype()
    wide = torch.complex128 if default == torch.float64 else torch.complex64
    return {bool: torch.bool, int: torch.int64, float: default, complex: wide}[kind]


def _kind(dtype: torch.dtype) -> int:
    return 3 if dtype.is_complex else 2 if dtype.is_floating_point else 0 if dtype == torch.bool else 1


def _combine(higher: torch.dtype | None, lower: torch.dtype | None) -> torch.dtype | None:
    """The lower group only counts where it is of a higher kind (c10's update_result_type_state, combine_categories)."""
    if higher is None or lower is None:
        return higher or lower
    if _kind(lower) <= _kind(higher):
        return higher
    if lower.is_complex and higher.is_floating_point:
        return torch.complex128 if higher == torch.float64 else torch.complex64
    return torch.promote_types(higher, lower) if higher.is_floating_point else lower
