"""Lists of tensors (TensorArray in TensorFlow 2), as one tensor whose first axis counts the items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transload.convert.tensorflow.decompositions.registry import TensorList, list_decomposition
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.function_graphs import FunctionGraphs
from transload.convert.tensorflow.graph_nodes import LOOPS
from transload.serialize.errors import UnsupportedError


def _unknown_rank() -> list[int | None]:
    raise UnsupportedError("The number of dimensions of the list's items is not known.")


def _item_shape(op: Any, functions: FunctionGraphs) -> list[int | None]:
    """The shape of the items of a list that an operation makes, sizes that are not known as None."""
    shape = tf.get_static_value(op.inputs[0])
    if shape is not None and shape.ndim == 1:
        return [None if size < 0 else int(size) for size in shape]
    for found in _find_items(op.outputs[0], functions, set()):
        sizes: list[int | None] = found.as_list()
        return sizes
    return _unknown_rank()


def _find_items(handle: Any, functions: FunctionGraphs, seen: set[int]) -> Iterator[Any]:
    """The shapes of what is written to a list or read from it, here and in functions, where their rank is known."""
    if id(handle) in seen:
        return
    seen.add(id(handle))
    for op in handle.consumers():
        shape = None
        if op.type in ("TensorListSetItem", "TensorListPushBack"):
            shape = op.inputs[-1].shape
        elif op.type == "TensorListGetItem":
            shape = op.outputs[0].shape
        elif op.type == "TensorListScatterIntoExistingList" and op.inputs[1].shape.rank is not None:
            shape = op.inputs[1].shape[1:]
        elif op.type == "TensorListStack" and op.outputs[0].shape.rank is not None:
            shape = op.outputs[0].shape[1:]
        if shape is not None and shape.rank is not None:
            yield shape
        for name in functions.called(op):
            graph = functions.graph(name)
            # The first input of a branch is the choice.
            offset = len(op.inputs) - len(graph.inputs)
            for index, tensor in enumerate(op.inputs):
                if tensor is handle and index >= offset:
                    yield from _find_items(graph.inputs[index - offset], functions, seen)
        for index, output in enumerate(op.outputs):
            follows = op.type not in LOOPS or op.inputs[index] is handle
            if output.dtype == tf.variant and follows:
                yield from _find_items(output, functions, seen)


def _empty(op: Any, count: Any, functions: FunctionGraphs) -> TensorList:
    sizes = [size or 0 for size in _item_shape(op, functions)]
    dtype = op.get_attr("element_dtype")
    shape = tf.concat([tf.reshape(tf.cast(count, tf.int32), [1]), tf.constant(sizes, tf.int32)], 0)
    return TensorList(tf.fill(shape, tf.constant("" if dtype == tf.string else 0, dtype)))


def _grown(handle: TensorList, item: Any) -> Any:
    """The list's tensor with items as large as this one: where none was written, their sizes may be 0."""
    items = handle.items
    if item.shape.rank is None:
        _unknown_rank()
    if items.shape[1:].is_fully_defined() and item.shape.is_fully_defined() and items.shape[1:] == item.shape:
        return items
    if not item.shape.rank:
        return items
    missing = tf.concat([[0], tf.shape(item) - tf.shape(items)[1:]], 0)
    return tf.pad(items, tf.stack([tf.zeros_like(missing), missing], axis=1))


@list_decomposition("Identity", "StopGradient")
def identity(op: Any, handle: TensorList) -> TensorList:
    return handle


@list_decomposition("EmptyTensorList")
def empty_tensor_list(op: Any, element_shape: Any, max_num_elements: Any, functions: FunctionGraphs) -> TensorList:
    return _empty(op, 0, functions)


@list_decomposition("TensorListReserve")
def reserve(op: Any, element_shape: Any, num_elements: Any, functions: FunctionGraphs) -> TensorList:
    return _empty(op, num_elements, functions)


@list_decomposition("TensorListFromTensor")
def from_tensor(op: Any, tensor: Any, element_shape: Any) -> TensorList:
    return TensorList(tensor)


@list_decomposition("TensorListSetItem")
def set_item(op: Any, handle: TensorList, index: Any, item: Any) -> TensorList:
    items = _grown(handle, item)
    if "resize_if_index_out_of_bounds" in op.node_def.attr and op.get_attr("resize_if_index_out_of_bounds"):
        more = tf.maximum(index + 1 - tf.shape(items)[0], 0)
        items = tf.pad(items, [[0, more], *([[0, 0]] * (items.shape.rank - 1))])
    return TensorList(tf.tensor_scatter_nd_update(items, tf.reshape(index, [1, 1]), item[tf.newaxis]))


@list_decomposition("TensorListGetItem")
def get_item(op: Any, handle: TensorList, index: Any, element_shape: Any) -> Any:
    return tf.gather(handle.items, index)


@list_decomposition("TensorListStack")
def stack(op: Any, handle: TensorList, element_shape: Any) -> Any:
    return handle.items


@list_decomposition("TensorListLength")
def length(op: Any, handle: TensorList) -> Any:
    return tf.shape(handle.items)[0]


@list_decomposition("TensorListResize")
def resize(op: Any, handle: TensorList, size: Any) -> TensorList:
    kept = handle.items[:size]
    more = size - tf.shape(kept)[0]
    return TensorList(tf.pad(kept, [[0, more], *([[0, 0]] * (kept.shape.rank - 1))]))


@list_decomposition("TensorListPushBack")
def push_back(op: Any, handle: TensorList, item: Any) -> TensorList:
    return TensorList(tf.concat([_grown(handle, item), item[tf.newaxis]], 0))


@list_decomposition("TensorListPopBack")
def pop_back(op: Any, handle: TensorList, element_shape: Any) -> tuple[TensorList, Any]:
    return TensorList(handle.items[:-1]), handle.items[-1]


@list_decomposition("TensorListGather")
def gather(op: Any, handle: TensorList, indices: Any, element_shape: Any) -> Any:
    return tf.gather(handle.items, indices)


@list_decomposition("TensorListScatterV2")
def scatter(op: Any, tensor: Any, indices: Any, element_shape: Any, num_elements: Any) -> TensorList:
    count = tf.maximum(tf.reduce_max(tf.concat([indices, [-1]], 0)) + 1, num_elements)
    shape = tf.concat([tf.reshape(count, [1]), tf.shape(tensor)[1:]], 0)
    return TensorList(tf.tensor_scatter_nd_update(tf.zeros(shape, tensor.dtype), indices[:, tf.newaxis], tensor))


@list_decomposition("TensorListScatterIntoExistingList")
def scatter_into(op: Any, handle: TensorList, tensor: Any, indices: Any) -> TensorList:
    items = _grown(handle, tf.zeros(tf.shape(tensor)[1:], tensor.dtype))
    return TensorList(tf.tensor_scatter_nd_update(items, indices[:, tf.newaxis], tensor))


@list_decomposition("TensorListConcatV2", "TensorListConcat")
def concat(op: Any, handle: TensorList, *rest: Any) -> tuple[Any, Any]:
    """All items have one shape here, so that they join as they lie."""
    items = handle.items
    if items.shape.rank is None or items.shape.rank < 2:
        raise UnsupportedError("Numbers cannot be joined.")
    sizes = tf.shape(items)
    joined = tf.reshape(items, tf.concat([[sizes[0] * sizes[1]], sizes[2:]], 0))
    return joined, tf.fill([sizes[0]], tf.cast(sizes[1], tf.int64))


@list_decomposition("TensorListSplit")
def split(op: Any, tensor: Any, element_shape: Any, lengths: Any) -> TensorList:
    known = tf.get_static_value(lengths)
    if known is None or len(set(known.tolist())) != 1:
        raise UnsupportedError("The parts of the list differ in length.")
    return TensorList(tf.reshape(tensor, tf.concat([tf.shape(lengths), [int(known[0])], tf.shape(tensor)[1:]], 0)))
