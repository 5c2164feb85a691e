"""Running a source at other sizes before it is captured: does what it returns keep its structure, which axes move?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transload.convert.capture import Array
from transload.convert.structure import map_tensors
from transload.convert.torch.dimensions import (
    Dimensions,
    dimension_sizes,
    example_at,
    example_at_other_sizes,
    independent_dimensions,
)
from transload.convert.torch.reference import TorchReference
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import Node, Tensor, leaves

MovingAxes = Mapping[str, Mapping[int, str | None]]
"""Output name -> axis -> the dynamic dimension that it equals whatever the values, or None where it is none of them."""


def probe_other_sizes(
    reference: TorchReference,
    outputs: Node,
    example: Mapping[str, Array],
    dimensions: Dimensions,
    accepted: Mapping[str, int] | None = None,
) -> MovingAxes:
    """The axes of the outputs whose size follows the inputs' dynamic dimensions.

    Empty where nothing is dynamic, or where the source refuses the other sizes.

    Args:
        outputs: What the source returns for `example`.
        accepted: Sizes that the source is known to take, by name of the dimension.

    Raises:
        UnsupportedError: the source returns another number of tensors, or other constants, at other sizes.
    """
    if not dimensions:
        return {}
    other, sizes = example_at_other_sizes(example, dimensions, accepted)
    there = _try_observe(reference, other)
    if there is None:
        return {}
    if _without_shapes(there) != _without_shapes(outputs):
        raise UnsupportedError(
            "What the source returns depends on its inputs' sizes: the number of tensors, or a Python number.",
            hint="Return tensors only, or give those sizes as numbers in --input.",
        )
    # A size that follows the values, as that of torch.nonzero, is another one for zeros.
    zeros = _try_observe(reference, {name: np.zeros_like(array) for name, array in other.items()})
    same_for_zeros = {leaf.name for leaf in set(leaves(there)) & set(leaves(zeros))} if zeros is not None else set()
    former = dimension_sizes(example, dimensions)
    moving: dict[str, dict[int, str | None]] = {}
    for ours, theirs in zip(leaves(outputs), leaves(there), strict=True):
        for axis, pair in enumerate(zip(ours.shape or (), theirs.shape or (), strict=False)):
            if pair[0] != pair[1]:
                same = [dim for dim, size in sizes.items() if (former[dim], size) == pair]
                moving.setdefault(ours.name, {})[axis] = same[0] if same and ours.name in same_for_zeros else None
    independent = sorted(independent_dimensions(dimensions)) if len(sizes) > 1 else ()
    for dim in independent:
        alone, sizes_alone = example_at(example, dimensions, {dim: sizes[dim]})
        moving = _without_chance(moving, _try_observe(reference, alone), sizes_alone)
    return moving


def _without_chance(
    moving: MovingAxes, there: Node | None, sizes: Mapping[str, int]
) -> dict[str, dict[int, str | None]]:
    """Without the names of dimensions that an axis equalled by chance: it has another size where only one changed."""
    shapes = {} if there is None else {leaf.name: leaf.shape or () for leaf in leaves(there)}

    def agrees(output: str, axis: int, name: str | None) -> bool:
        shape = shapes.get(output, ())
        return name is None or axis >= len(shape) or shape[axis] == sizes[name]

    return {
        output: {axis: name if agrees(output, axis, name) else None for axis, name in axes.items()}
        for output, axes in moving.items()
    }


def _try_observe(reference: TorchReference, feed: Mapping[str, Array]) -> Node | None:
    try:
        return reference.observe(feed)
    except UnsupportedError:
        raise
    # A source refuses inputs in any way that Python code can fail. Which it takes, the equivalence check finds out.
    except Exception:
        return None


def _without_shapes(tree: Node) -> Node:
    return map_tensors(tree, lambda tensor: Tensor(tensor.name, tensor.dtype, None))
