"""Between tensors, numbers, element types and shapes."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.dtypes import (
    COMPLEX_OF,
    NUMBER_DTYPE,
    REAL_PART,
    TO_TORCH,
    default_float,
    dtype_of,
    scalar_type,
    to_onnx,
)
from transload.convert.torch.script.registry import complex_handler, handler, raw_handler
from transload.convert.torch.script.values import Complex, List, Number, Packed, Quantized, Storage, Tensor, Vector
from transload.serialize.errors import UnsupportedError


@raw_handler("aten::size.int", "aten::sym_size.int")
def _size(interpreter: Any, self: Tensor, dim: int) -> Int:
    content = interpreter.read(self)
    if isinstance(content, Packed):
        return _packed_sizes(interpreter.b, content)[dim]
    return interpreter.b.size(_part(content), dim)


@raw_handler("aten::size")
def _sizes(interpreter: Any, self: Tensor) -> List:
    content = interpreter.read(self)
    if isinstance(content, Packed):
        return List(_packed_sizes(interpreter.b, content))
    return List(interpreter.b.sizes(_part(content)))


def _packed_sizes(b: Builder, content: Packed) -> list[Int]:
    """The shape that torch gives packed data: all steps of all sequences, features."""
    return [Number(b.ReduceSum(content.lengths, keepdims=0), int), b.size(content.padded, 2)]


@raw_handler("aten::dim")
def _dim(interpreter: Any, self: Tensor) -> int:
    content = interpreter.read(self)
    return 2 if isinstance(content, Packed) else interpreter.b.rank(_part(content))


@raw_handler("aten::numel", "aten::sym_numel")
def _numel(interpreter: Any, self: Tensor) -> Int:
    b = interpreter.b
    count: Int = 1
    for size in b.sizes(_part(interpreter.read(self))):
        count = b.mul_int(count, size)
    return count


@raw_handler("aten::len.Tensor")
def _len(interpreter: Any, t: Tensor) -> Int:
    return _size(interpreter, t, 0)


@raw_handler("aten::stride", "aten::stride.int")
def _stride(interpreter: Any, self: Tensor, dim: int | None = None) -> Any:
    b = interpreter.b
    strides: list[Int] = []
    step: Int = 1
    for size in reversed(b.sizes(_part(interpreter.read(self)))):
        strides.insert(0, step)
        step = b.mul_int(step, size)
    b.note("Strides are taken to be those of contiguous tensors.")
    return List(strides) if dim is None else strides[dim]


@raw_handler("aten::storage_offset")
def _storage_offset(interpreter: Any, self: Tensor) -> int:
    return 0


@raw_handler("aten::is_contiguous", "aten::is_contiguous.memory_format")
def _is_contiguous(interpreter: Any, self: Tensor) -> bool:
    return True


@raw_handler("aten::is_floating_point")
def _is_floating_point(interpreter: Any, self: Tensor) -> bool:
    content = interpreter.read(self)
    return isinstance(content, ir.Value) and bool(content.dtype and content.dtype.is_floating_point())


@raw_handler("aten::is_complex")
def _is_complex(interpreter: Any, self: Tensor) -> bool:
    return isinstance(interpreter.read(self), Complex)


@raw_handler("aten::is_signed")
def _is_signed(interpreter: Any, self: Tensor) -> bool:
    return TO_TORCH[dtype_of(_part(interpreter.read(self)))].is_signed


@raw_handler("aten::element_size")
def _element_size(interpreter: Any, self: Tensor) -> int:
    return TO_TORCH[dtype_of(_part(interpreter.read(self)))].itemsize


@raw_handler("aten::is_conj", "aten::is_neg", "aten::is_inference", "aten::is_pinned", "aten::is_coalesced")
def _never(interpreter: Any, self: Tensor) -> bool:
    return False


@raw_handler("aten::is_same_size")
def _is_same_size(interpreter: Any, self: Tensor, other: Tensor) -> Any:
    return interpreter.apply("aten::eq.int_list", _sizes(interpreter, self), _sizes(interpreter, other))


def _part(content: Any) -> ir.Value:
    match content:
        case Complex(real=real):
            return real
        case Quantized(value=value):
            return value
        case _:
            return content


@raw_handler("aten::item", "aten::_local_scalar_dense")
def _item(interpreter: Any, self: Tensor) -> Any:
    value = interpreter.value(self)
    kind = bool if value.dtype == ir.DataType.BOOL else float if value.dtype.is_floating_point() else int
    return interpreter.b.number(value, kind)


@raw_handler("aten::Int.Tensor", "aten::IntImplicit")
def _int(interpreter: Any, a: Tensor) -> Any:
    return interpreter.b.number(interpreter.value(a), int)


@raw_handler("aten::Float.Tensor", "aten::FloatImplicit")
def _float(interpreter: Any, a: Tensor) -> Any:
    return interpreter.b.number(interpreter.value(a), float)


@raw_handler("aten::Bool.Tensor", "aten::is_nonzero")
def _bool(interpreter: Any, a: Tensor | None = None, self: Tensor | None = None) -> Any:
    return interpreter.b.number(interpreter.value(a if a is not None else self), bool)


@raw_handler("aten::ScalarImplicit")
def _scalar(interpreter: Any, a: Tensor) -> Any:
    return _item(interpreter, a)


@raw_handler(
    "aten::tensor",
    "aten::tensor.int",
    "aten::tensor.float",
    "aten::tensor.bool",
    "aten::as_tensor.int",
    "aten::as_tensor.float",
    "aten::as_tensor.bool",
    "aten::as_tensor.list",
    "aten::scalar_tensor",
)
def _tensor(interpreter: Any, data: Any = None, t: Any = None, s: Any = None, dtype: Any = None) -> Tensor:
    value = next((each for each in (data, t, s) if each is not None), None)
    if type(dtype) is int:
        dtype = scalar_type(dtype)
    wanted = to_onnx(dtype) if isinstance(dtype, torch.dtype) else dtype
    if s is not None and wanted is None:
        wanted = default_float()
    return Tensor(Storage(_gather(interpreter, value, wanted or _inferred(value))))


def _inferred(value: Any) -> ir.DataType:
    """The element type that torch.tensor chooses for numbers."""
    match value:
        case List(content=list() as items) if items:
            return max((_inferred(item) for item in items), key=_rank_of)
        case List(content=Vector(kind=kind)) | Number(kind=kind):
            return default_float() if kind is float else NUMBER_DTYPE[kind]
        case bool():
            return ir.DataType.BOOL
        case int():
            return ir.DataType.INT64
        case Tensor(storage=Storage(content=ir.Value() as content)):
            return dtype_of(content)
        case complex():
            raise UnsupportedError("A complex number becomes a tensor.")
        case _:
            return default_float()


def _rank_of(dtype: ir.DataType) -> int:
    return 2 if dtype.is_floating_point() else 0 if dtype == ir.DataType.BOOL else 1


def _gather(interpreter: Any, value: Any, dtype: ir.DataType) -> ir.Value:
    b = interpreter.b
    match value:
        case List(content=list() as items):
            plain = _plain(items)
            if plain is not None:
                return b.constant(torch.tensor(plain, dtype=TO_TORCH[dtype]))
            return b.Concat(*[b.unsqueeze(_gather(interpreter, item, dtype), 0) for item in items], axis=0)
        case List(content=Vector(value=vector)):
            return b.cast(vector, dtype)
        case Tensor():
            return b.cast(interpreter.value(value), dtype)
        case _:
            return b.scalar(value, dtype)


def _plain(items: list[Any]) -> list[Any] | None:
    found: list[Any] = []
    for item in items:
        if isinstance(item, List) and isinstance(item.content, list):
            inner = _plain(item.content)
            if inner is None:
                return None
            found.append(inner)
        elif isinstance(item, int | float | bool):
            found.append(item)
        else:
            return None
    return found


@raw_handler("aten::as_tensor")
def _as_tensor(interpreter: Any, data: Tensor, dtype: Any = None) -> Tensor:
    return _convert(interpreter, data, dtype)


@raw_handler(
    "aten::to.device",
    "aten::to.dtype",
    "aten::to.dtype_layout",
    "aten::to.prim_Device",
    "aten::to.prim_dtype",
    "aten::to.prim_other",
)
def _to(interpreter: Any, self: Tensor, dtype: Any = None, copy: bool = False) -> Tensor:
    return _convert(interpreter, self, dtype, copy=bool(copy))


@raw_handler("aten::to.other", "aten::type_as")
def _to_other(interpreter: Any, self: Tensor, other: Tensor) -> Tensor:
    content = interpreter.read(other)
    dtype = COMPLEX_OF[dtype_of(content.real)] if isinstance(content, Complex) else content.dtype
    return _convert(interpreter, self, dtype)


@raw_handler("aten::_to_copy")
def _to_copy(interpreter: Any, self: Tensor, dtype: Any = None) -> Tensor:
    return _convert(interpreter, self, dtype, copy=True)


@raw_handler("aten::cpu", "aten::cuda", "aten::pin_memory")
def _cpu(interpreter: Any, self: Tensor) -> Tensor:
    return self


def _convert(interpreter: Any, tensor: Tensor, dtype: Any, copy: bool = False) -> Tensor:
    if type(dtype) is int:
        dtype = scalar_type(dtype)
    if isinstance(dtype, torch.dtype):
        dtype = to_onnx(dtype)
    content = interpreter.read(tensor)
    converted = content if dtype is None else convert_content(interpreter.b, content, dtype)
    # Without a change of dtype, torch gives the tensor itself.
    return tensor if converted is content and not copy else Tensor(Storage(converted))


def convert_content(b: Builder, content: Any, dtype: ir.DataType) -> Any:
    """A real or complex tensor in another element type."""
    if dtype in REAL_PART:
        whole = b.complex(content)
        part = REAL_PART[dtype]
        if whole.real.dtype == part and whole is content:
            return content
        return Complex(b.cast(whole.real, part), b.cast(whole.imag, part))
    if isinstance(content, Complex):
        # torch warns and drops the imaginary part.
        return b.cast(content.real, dtype)
    return to_dtype(b, content, dtype)


def to_dtype(b: Builder, value: ir.Value, dtype: ir.DataType) -> ir.Value:
    """As torch converts a tensor: NaN and overflow aside, what Cast does."""
    return b.cast(value, dtype)


for _name, _dtype in {
    "aten::_cast_Float": torch.float32,
    "aten::_cast_Double": torch.float64,
    "aten::_cast_Half": torch.float16,
    "aten::_cast_Int": torch.int32,
    "aten::_cast_Long": torch.int64,
    "aten::_cast_Byte": torch.uint8,
    "aten::_cast_Char": torch.int8,
    "aten::_cast_Short": torch.int16,
}.items():
    raw_handler(_name)(lambda interpreter, self, dtype=_dtype: _convert(interpreter, self, dtype))


@handler(
    "aten::clone",
    "aten::_conj_copy",
    "aten::lift_fresh_copy",
    "aten::dropout",
    "aten::feature_dropout",
    "aten::alpha_dropout",
    "aten::feature_alpha_dropout",
)
def clone(
    b: Builder, self: ir.Value | None = None, input: ir.Value | None = None, p: float = 0.0, train: bool = False
) -> ir.Value:
    value = self if self is not None else input
    assert value is not None
    if train and p:
        raise UnsupportedError("Dropout is in training mode.", hint="Call eval() before saving the module.")
    return value


@raw_handler("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::feature_alpha_dropout")
def _dropout(interpreter: Any, input: Tensor, p: float, train: bool) -> Tensor:
    # In eval mode, torch gives the tensor itself.
    clone(interpreter.b, interpreter.value(input), p=p, train=train)
    return input


@complex_handler("aten::clone")
def clone_complex(b: Builder, self: Complex) -> Complex:
    return self


@handler("aten::copy")
def copy(b: Builder, self: ir.Value, src: ir.Value) -> ir.Value:
    assert self.dtype is not None
    return b.expand(b.cast(src, self.dtype), b.sizes(self))


@complex_handler("aten::copy")
def copy_complex(b: Builder, self: Any, src: Any) -> Any:
    if not isinstance(self, Complex):
        return copy(b, self, src.real)
    source = b.complex(src)
    return Complex(copy(b, self.real, source.real), copy(b, self.imag, source.imag))
