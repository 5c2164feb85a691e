"""The dimensions of an ONNX model's inputs: the file's, what the user says of them, and names for those without one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from transload.convert.capture import Array
from transload.convert.options import InputSpec, make_example
from transload.runtime.feed import check_feed
from transload.runtime.structure import describe
from transload.serialize.errors import UsageError
from transload.serialize.interface import Dimension, Tensor

Renames = Mapping[str, int | str]
"""What the user's descriptions call the file's dimensions."""


def merge_specs(declared: Sequence[Tensor], specs: Sequence[InputSpec]) -> tuple[tuple[Tensor, ...], Renames]:
    """The file's inputs as the user describes them, and what became of the file's dimension names.

    A description may name or fix a dimension that the file leaves open; it cannot open one that the file fixes.

    Raises:
        UsageError: a description does not fit the file, or an input has no dimensions in either.
    """
    by_name = {tensor.name: tensor for tensor in declared}
    renames: dict[str, int | str] = {}
    merged = dict(by_name)
    for spec in specs:
        if spec.name not in by_name:
            raise UsageError(f"The model has no input {spec.name!r}.", hint=f"Inputs: {_list(declared)}.")
        tensor = by_name[spec.name]
        if spec.dtype != tensor.dtype:
            raise UsageError(f"The input {spec.name!r} is {describe(tensor)}, not {spec.dtype}.")
        if spec.shape is not None:
            merged[spec.name] = Tensor(tensor.name, tensor.dtype, _merge_shape(tensor, spec.shape, renames))
    return tuple(rename_dimensions(tensor, renames) for tensor in merged.values()), renames


def rename_dimensions(tensor: Tensor, renames: Renames) -> Tensor:
    """The same tensor with its dimensions called as the user calls them."""
    if tensor.shape is None:
        return tensor
    shape = tuple(renames.get(dim, dim) if isinstance(dim, str) else dim for dim in tensor.shape)
    return Tensor(tensor.name, tensor.dtype, shape)


def name_dimensions(tensors: Sequence[Tensor], *, shared: bool) -> tuple[Tensor, ...]:
    """Give a name to each dimension without one: one for each axis of all inputs if `shared`, else each its own."""
    return tuple(
        tensor
        if tensor.shape is None
        else Tensor(
            tensor.name,
            tensor.dtype,
            tuple(_made_up_name(tensor, axis, shared) if dim is None else dim for axis, dim in enumerate(tensor.shape)),
        )
        for tensor in tensors
    )


def has_unnamed(tensors: Sequence[Tensor]) -> bool:
    """Whether any dimension has neither a size nor a name."""
    return any(dim is None for tensor in tensors for dim in tensor.shape or ())


def fill_example(tensors: Sequence[Tensor], given: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """An input set: the arrays that were given, and made-up ones of fitting sizes for the other inputs.

    Raises:
        UsageError: a given array has an unknown name, or another dtype, rank or size than declared, or an input has
            no dimensions to make an array from.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    if unknown := sorted(set(given) - set(by_name)):
        raise UsageError(f"The model has no input {unknown[0]!r}.", hint=f"Inputs: {_list(tensors)}.")
    checked = check_feed(given, {name: by_name[name] for name in given})
    sizes = {
        dim: size
        for name, array in checked.items()
        for dim, size in zip(by_name[name].shape or (), array.shape, strict=False)
        if isinstance(dim, str)
    }
    specs = tuple(_spec(tensor, sizes) for tensor in tensors if tensor.name not in checked)
    made = make_example(specs, seed)
    return {name: checked[name] if name in checked else made[name] for name in by_name}


def _spec(tensor: Tensor, sizes: Mapping[str, int]) -> InputSpec:
    if tensor.shape is None:
        return InputSpec(tensor.name, tensor.dtype, None)
    shape = (sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in tensor.shape)
    return InputSpec(tensor.name, tensor.dtype, tuple(dim for dim in shape if dim is not None))


def _merge_shape(tensor: Tensor, wanted: tuple[int | str, ...], renames: dict[str, int | str]) -> tuple[Dimension, ...]:
    if tensor.shape is None:
        return wanted
    if len(wanted) != len(tensor.shape):
        raise UsageError(f"The input {tensor.name!r} is {describe(tensor)}; {len(wanted)} dimensions were given.")
    for dim, word in zip(tensor.shape, wanted, strict=True):
        if isinstance(dim, int) and dim != word:
            raise UsageError(
                f"The input {tensor.name!r} is {describe(tensor)}: the file fixes {dim} where {word!r} was given."
            )
        if isinstance(dim, str) and renames.setdefault(dim, word) != word:
            raise UsageError(f"The file's dimension {dim!r} was called both {renames[dim]!r} and {word!r}.")
    return wanted


def _made_up_name(tensor: Tensor, axis: int, shared: bool) -> str:
    return f"dim_{axis}" if shared else re.sub(r"\W", "_", f"{tensor.name}_dim_{axis}")


def _list(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{tensor.name}: {describe(tensor)}" for tensor in tensors) or "none"
