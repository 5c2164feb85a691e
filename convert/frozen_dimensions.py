"""Turning dimensions that were declared dynamic, but not shown to be, into sizes or steps at which they were tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir

from transload.convert.capture import Capture
from transload.serialize.dimension_steps import in_steps
from transload.serialize.dimension_sums import add_terms, find_sums
from transload.serialize.interface import Dict, List, Node, State, Tensor, Tuple

MAX_LINES = 5


def freeze_dimensions(
    capture: Capture, dynamic: frozenset[str], steps: Mapping[str, int] | None = None
) -> tuple[Capture, tuple[str, ...]]:
    """Give every named dimension of the inputs that is not in `dynamic` the example's size, everywhere; those in
    `steps` get the name that tells the step.

    Changes the shapes of the graph's inputs and outputs in place.

    Returns:
        The capture with its trees so changed, and a sentence for each dimension that was frozen.
    """
    named = {
        dim: size
        for tensor in capture.input_leaves()
        for dim, size in zip(tensor.shape or (), capture.example[tensor.name].shape, strict=False)
        if isinstance(dim, str)
    }
    sums = find_sums(named)
    fixed = {dim: size for dim, size in named.items() if dim not in dynamic and dim not in sums}
    if not fixed and not steps:
        return capture, ()
    sizes: dict[str, int | str] = {**fixed, **{dim: add_terms(terms, fixed) for dim, terms in sums.items()}}
    sizes |= {name: in_steps(name, step) for name, step in (steps or {}).items()}
    for value in (*capture.model.graph.inputs, *capture.model.graph.outputs):
        if value.shape is not None:
            dims = (dim if isinstance(dim, int) else dim.value for dim in value.shape)
            value.shape = ir.Shape([sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in dims])
    notes = tuple(
        f"The dimension {name!r} is fixed at {size}: no check at another size passed." for name, size in fixed.items()
    )
    if notes and capture.fixed_sizes:
        notes += (f"Sizes became constants at {_list(capture.fixed_sizes)}.",)
    inputs = {name: _with_sizes(node, sizes) for name, node in capture.inputs.items()}
    state = tuple(
        State(each.name, _sized_tensor(each.input, sizes), _sized_tensor(each.output, sizes)) for each in capture.state
    )
    return replace(capture, inputs=inputs, outputs=_with_sizes(capture.outputs, sizes), state=state), notes


def _list(lines: tuple[str, ...]) -> str:
    more = f" and {len(lines) - MAX_LINES} more lines" if len(lines) > MAX_LINES else ""
    return "; ".join(lines[:MAX_LINES]) + more


def _with_sizes(node: Node, sizes: Mapping[str, int | str]) -> Node:
    match node:
        case Tensor():
            return _sized_tensor(node, sizes)
        case List(items=items):
            return List(tuple(_with_sizes(item, sizes) for item in items))
        case Tuple(items=items, fields=fields, name=name):
            return Tuple(tuple(_with_sizes(item, sizes) for item in items), fields, name)
        case Dict(items=mapping):
            return Dict({key: _with_sizes(item, sizes) for key, item in mapping.items()})
        case _:
            return node


def _sized_tensor(tensor: Tensor, sizes: Mapping[str, int | str]) -> Tensor:
    if tensor.shape is None:
        return tensor
    shape = tuple(sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in tensor.shape)
    return Tensor(tensor.name, tensor.dtype, shape)
