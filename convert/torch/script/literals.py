"""From Python values, as constants and attributes hold them, to values of the translation, and their types."""

from __future__ import annotations

import enum
from typing import Any

import torch

from transload.convert.torch.script.values import (
    Complex,
    Dict,
    EnumMember,
    List,
    Number,
    Quantized,
    Storage,
    Tensor,
    Text,
)
from transload.serialize.errors import UnsupportedError


def from_python(interpreter: Any, value: Any, name: str = "constant") -> Any:
    """The value as the interpreter holds it; tensors become weights of that name, without a copy."""
    match value:
        case torch.Tensor():
            return Tensor(Storage(tensor_content(interpreter.b, value, name)))
        case enum.Enum():
            return EnumMember(value.name, from_python(interpreter, value.value, name))
        case dict():
            return Dict({key: from_python(interpreter, item, f"{name}.{key}") for key, item in value.items()})
        case tuple():
            return tuple(from_python(interpreter, item, f"{name}.{index}") for index, item in enumerate(value))
        case list():
            return List([from_python(interpreter, item, f"{name}.{index}") for index, item in enumerate(value)])
        case _:
            return value


def tensor_content(b: Any, tensor: torch.Tensor, name: str) -> Any:
    """A tensor of the source as content of a storage.

    Raises:
        UnsupportedError: it is sparse, or has a dtype that ONNX lacks.
    """
    if tensor.is_sparse or tensor.layout != torch.strided:
        raise UnsupportedError("Sparse tensors are not translated.")
    if tensor.is_quantized:
        scheme = tensor.qscheme()
        if scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            scale, zero = torch.tensor(tensor.q_scale()), torch.tensor(tensor.q_zero_point())
            axis = None
        else:
            scale, zero = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
            axis = tensor.q_per_channel_axis()
        values = tensor.int_repr()
        return Quantized(b.weight(values, name), b.constant(scale.float()), b.constant(zero.to(values.dtype)), axis)
    if tensor.is_complex():
        tensor = tensor.resolve_conj()
        real = b.weight(tensor.real.clone(), f"{name}.real")
        return Complex(real, b.weight(tensor.imag.clone(), f"{name}.imag"))
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    if name == "constant" and tensor.dim() == 0:
        return b.number_constant(tensor)
    return b.constant(tensor) if name == "constant" and tensor.numel() <= 4096 else b.weight(tensor, name)


def is_instance(value: Any, kind: Any) -> bool:
    """Whether a value has a TorchScript type.

    Raises:
        UnsupportedError: the type is none that this can tell.
    """
    match kind.kind():
        case "TensorType":
            return isinstance(value, Tensor)
        case "IntType":
            return type(value) is int or (isinstance(value, Number) and value.kind is int)
        case "FloatType":
            return type(value) is float or (isinstance(value, Number) and value.kind is float)
        case "BoolType":
            return type(value) is bool or (isinstance(value, Number) and value.kind is bool)
        case "NumberType":
            return isinstance(value, int | float | Number) and not isinstance(value, bool)
        case "StringType":
            return isinstance(value, str | Text)
        case "NoneType":
            return value is None
        case "ListType":
            return isinstance(value, List) and (
                not isinstance(value.content, list)
                or all(is_instance(item, kind.getElementType()) for item in value.content)
            )
        case "DictType":
            return isinstance(value, Dict)
        case "TupleType":
            elements = kind.elements()
            return (
                isinstance(value, tuple)
                and len(value) == len(elements)
                and all(is_instance(item, element) for item, element in zip(value, elements, strict=True))
            )
        case "OptionalType":
            return value is None or is_instance(value, kind.getElementType())
        case "UnionType":
            return any(is_instance(value, each) for each in kind.containedTypes())
        case "AnyType":
            return True
        case _:
            raise UnsupportedError(f"Whether a value is of the type {kind.annotation_str} is not known.")
