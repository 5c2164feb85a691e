"""Everything inside an ONNX model: its nodes, its tensors wherever they stand, and how deep its graphs nest.

Nothing found is kept: protobuf makes an object of Python for each message that is looked at, which takes more memory
than the message, so that a stranger's model could take hundreds of megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx

Root = onnx.GraphProto | onnx.FunctionProto
"""What has nodes of its own: the model's graph, or one of its functions."""

Part = onnx.NodeProto | onnx.TensorProto | onnx.GraphProto

# Found by name each time otherwise, which takes as long as all else that is asked of a tensor.
_EXTERNAL = onnx.TensorProto.EXTERNAL


def roots(model: onnx.ModelProto) -> Iterator[Root]:
    """The model's graph, then each of its functions, in order."""
    yield model.graph
    yield from model.functions


def walk(root: Root) -> Iterator[tuple[Part, int]]:
    """Every node, tensor and subgraph inside, and how many subgraphs it lies in, itself included.

    No depth of nesting is a depth of calls.
    """
    stack: list[tuple[Iterator[Any], int]] = [(_content(root), 0)]
    while stack:
        inside, depth = stack[-1]
        for item in inside:
            # Their classes have no subclasses, and this is what a model of many parts takes its time for.
            kind = type(item)
            if kind is onnx.GraphProto:
                yield item, depth + 1
                stack.append((_content(item), depth + 1))
                break
            yield item, depth
            if kind is onnx.NodeProto and (attributes := item.attribute):
                stack.append((_values(attributes), depth))
                break
        else:
            stack.pop()


def external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model that lies outside it, or claims to."""
    for root in roots(model):
        for part, _ in walk(root):
            if isinstance(part, onnx.TensorProto) and is_external(part):
                yield part


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's data lies outside the model, or claims to."""
    # Either sign of it counts: readers differ in which of the two they look at.
    return tensor.data_location == _EXTERNAL or bool(tensor.external_data)


def _content(root: Root) -> Iterator[object]:
    # One call for all fields that are there: of many graphs each is nearly empty.
    for field, value in root.ListFields():
        if field.name in ("node", "initializer"):
            yield from value
        elif field.name == "sparse_initializer":
            yield from _sparse(value)
        elif field.name == "attribute_proto":
            yield from _values(value)


def _values(attributes: Iterable[onnx.AttributeProto]) -> Iterator[object]:
    """Whatever attributes hold, whatever type they claim."""
    for attribute in attributes:
        for field, value in attribute.ListFields():
            if field.name in ("t", "g"):
                yield value
            elif field.name in ("tensors", "graphs"):
                yield from value
            elif field.name == "sparse_tensor":
                yield from _sparse([value])
            elif field.name == "sparse_tensors":
                yield from _sparse(value)


def _sparse(tensors: Iterable[onnx.SparseTensorProto]) -> Iterator[object]:
    for tensor in tensors:
        yield tensor.values
        yield tensor.indices
