"""Dynamic dimensions: which the user declared, and examples at other sizes of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transload.convert.capture import Array
from transload.convert.options import InputSpec
from transload.serialize.dimension_steps import find_steps
from transload.serialize.dimension_sums import add_terms, find_sums
from transload.serialize.dtypes import dtype_from_numpy
from transload.serialize.errors import UsageError

Dimensions = Mapping[str, Mapping[int, str]]
"""Names of the dynamic dimensions: leaf name -> axis -> name. Equal names are equal sizes; `a+b` is a sum of others."""

_SMALLEST = 2
"""torch.export takes sizes 0 and 1 in an example for constants."""


def declared_dimensions(specs: tuple[InputSpec, ...], example: Mapping[str, Array]) -> Dimensions:
    """The dimensions that the descriptions name, checked against an example.

    Raises:
        UsageError: a description fits no input, or its dtype, rank or sizes are not the example's.
    """
    dimensions: dict[str, dict[int, str]] = {}
    sizes: dict[str, tuple[int, str]] = {}
    for spec in specs:
        if spec.name not in example:
            raise UsageError(
                f"There is no input {spec.name!r}.", hint=f"The inputs are: {', '.join(example) or 'none'}."
            )
        array = example[spec.name]
        found = dtype_from_numpy(array.dtype)
        if spec.dtype != found:
            raise UsageError(f"Input {spec.name!r} is described as {spec.dtype}, but the example has {found}.")
        if spec.shape is None:
            continue
        if len(spec.shape) != array.ndim:
            raise UsageError(
                f"Input {spec.name!r} is described with {len(spec.shape)} dimensions, but the example has shape "
                f"{list(array.shape)}."
            )
        for axis, (dim, size) in enumerate(zip(spec.shape, array.shape, strict=True)):
            if isinstance(dim, int):
                if dim != size:
                    raise UsageError(
                        f"Input {spec.name!r} is described with {dim} on axis {axis}; the example has {size}."
                    )
                continue
            dimensions.setdefault(spec.name, {})[axis] = dim
            first, where = sizes.setdefault(dim, (size, f"{spec.name!r} axis {axis}"))
            if first != size:
                raise UsageError(
                    f"The example has {dim!r} at {first} in {where} but at {size} in {spec.name!r} axis {axis}."
                )
    for dim, step in find_steps(sizes).items():
        size, where = sizes[dim]
        if size % step:
            raise UsageError(f"The example has {dim!r} at {size} in {where}, which is no multiple of {step}.")
    return dimensions


def widened_example(example: Mapping[str, Array], dimensions: Dimensions) -> dict[str, Array]:
    """The example with its values repeated along dynamic dimensions that are too small to be captured as dynamic."""
    sizes = dimension_sizes(example, dimensions)
    return _resize(example, dimensions, _with_sums({name: max(size, _SMALLEST) for name, size in sizes.items()}))


def example_at_other_sizes(
    example: Mapping[str, Array], dimensions: Dimensions, accepted: Mapping[str, int] | None = None
) -> tuple[dict[str, Array], dict[str, int]]:
    """The example with its values repeated or cut to other sizes, and these sizes by name. No two are equal.

    Args:
        example: The tensors.
        dimensions: Which axes may vary.
        accepted: Sizes that the source is known to take, by name of the dimension.
    """
    former = dimension_sizes(example, dimensions)
    sizes: dict[str, int] = {}
    sums, steps = find_sums(former), find_steps(former)
    for name, size in former.items():
        if name in sums:
            continue
        step = steps.get(name, 1)
        size = (accepted or {}).get(name, size + step)
        while size in (*former.values(), *sizes.values()) and name not in (accepted or {}):
            size += step
        sizes[name] = size
    return example_at(example, dimensions, sizes)


def example_at(
    example: Mapping[str, Array], dimensions: Dimensions, sizes: Mapping[str, int]
) -> tuple[dict[str, Array], dict[str, int]]:
    """The example with its values repeated or cut where `sizes` says another size, and the sizes of all dimensions."""
    sizes = _with_sums({**dimension_sizes(example, dimensions), **sizes})
    return _resize(example, dimensions, sizes), sizes


def dimension_sizes(example: Mapping[str, Array], dimensions: Dimensions) -> dict[str, int]:
    """The sizes that the dynamic dimensions have in an example."""
    return {dim: example[name].shape[axis] for name, axes in dimensions.items() for axis, dim in axes.items()}


def _with_sums(sizes: Mapping[str, int]) -> dict[str, int]:
    """The same sizes, where those that are sums of others follow these."""
    return {**sizes, **{name: int(add_terms(terms, sizes)) for name, terms in find_sums(sizes).items()}}


def independent_dimensions(dimensions: Dimensions) -> frozenset[str]:
    """The names of the dimensions that are no sums of others."""
    names = {dim for axes in dimensions.values() for dim in axes.values()}
    return frozenset(names - set(find_sums(names)))


def resize_axis(array: Array, axis: int, size: int) -> Array:
    """The array with one axis repeated or cut to a size, which keeps indices inside the tables that they index."""
    if array.shape[axis] == 0:
        return np.zeros((*array.shape[:axis], size, *array.shape[axis + 1 :]), array.dtype)
    return array if array.shape[axis] == size else array.take(np.arange(size) % array.shape[axis], axis)


def _resize(example: Mapping[str, Array], dimensions: Dimensions, sizes: Mapping[str, int]) -> dict[str, Array]:
    resized = dict(example)
    for name, axes in dimensions.items():
        for axis, dim in axes.items():
            resized[name] = resize_axis(resized[name], axis, sizes[dim])
    return resized
