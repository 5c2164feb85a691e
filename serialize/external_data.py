"""External data of an ONNX model: finding every reference, checking it, and pointing it into the package file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from transload.serialize.dtypes import ONNX_NUMBER, numpy_dtype
from transload.serialize.errors import PackageError
from transload.serialize.zip_records import Member, alignment_of

_BITS = {
    number: 4 if name in ("int4", "uint4") else 8 * numpy_dtype(name).itemsize
    for name, number in ONNX_NUMBER.items()
    if name != "string"
}


def parse_model(data: bytes | memoryview, member: str) -> onnx.ModelProto:
    """Parse `model.onnx`.

    Raises:
        PackageError: the bytes are not an ONNX model.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(data))
    except DecodeError as error:
        raise PackageError(f"Not an ONNX model: {error}.", member=member, rule="onnx") from error
    if not model.HasField("graph"):
        raise PackageError("The ONNX model has no graph.", member=member, rule="onnx")
    return model


def external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that lies outside the model: initializers, attributes, sparse ones, in subgraphs and functions."""
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    attributes = [attribute for function in model.functions for attribute in function.attribute_proto]
    tensors: list[onnx.TensorProto] = []
    sparse: list[onnx.SparseTensorProto] = []
    while graphs or nodes or attributes:
        while graphs:
            graph = graphs.pop()
            nodes.extend(graph.node)
            tensors.extend(graph.initializer)
            sparse.extend(graph.sparse_initializer)
        while nodes:
            attributes.extend(nodes.pop().attribute)
        while attributes:
            attribute = attributes.pop()
            graphs.extend([attribute.g] if attribute.HasField("g") else [])
            graphs.extend(attribute.graphs)
            tensors.extend([attribute.t] if attribute.HasField("t") else [])
            tensors.extend(attribute.tensors)
            sparse.extend([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])
            sparse.extend(attribute.sparse_tensors)
    for item in sparse:
        tensors.extend((item.values, item.indices))
    for tensor in tensors:
        # Either sign of being external counts: readers differ in which of the two they look at.
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def point_into(model: onnx.ModelProto, model_member: str, location: str, data: Member | None, archive: Path) -> None:
    """Rewrite the model's external data, which lies in the member `data`, to lie in the package file `archive`.

    `location` is the file name by which the stored model calls its data.

    Raises:
        PackageError: a reference names another file, lies outside the member, is not aligned, or has another length
            than its dimensions and dtype make.
    """
    for tensor in external_tensors(model):
        fields = {entry.key: entry.value for entry in tensor.external_data}
        offset, length = _check_reference(tensor, fields, model_member, location, data)
        assert data is not None
        del tensor.external_data[:]
        for key, value in (
            ("location", archive.name),
            ("offset", str(data.offset + offset)),
            ("length", str(length)),
        ):
            tensor.external_data.add(key=key, value=value)


def _check_reference(
    tensor: onnx.TensorProto, fields: dict[str, str], member: str, location: str, data: Member | None
) -> tuple[int, int]:
    def refuse(what: str) -> PackageError:
        return PackageError(f"External data of tensor {tensor.name!r}: {what}.", member=member, rule="external-data")

    if tensor.data_location != onnx.TensorProto.EXTERNAL or len(fields) != len(tensor.external_data):
        raise refuse("its location is contradictory")
    if data is None or set(fields) != {"location", "offset", "length"} or fields["location"] != location:
        raise refuse(f"it may only be in {location!r}, with an offset and a length")
    if not all(fields[key].isascii() and fields[key].isdigit() for key in ("offset", "length")):
        raise refuse("offset or length is not a number")
    offset, length = int(fields["offset"]), int(fields["length"])
    if offset + length > data.size_bytes:
        raise refuse(f"it ends at {offset + length}, past the end of {data.name} at {data.size_bytes}")
    if offset % alignment_of(length):
        raise refuse(f"its offset {offset} is not a multiple of {alignment_of(length)}")
    if tensor.data_type not in _BITS or any(dim < 0 for dim in tensor.dims):
        raise refuse("it has an element type or a dimension that cannot be")
    needed = -(-math.prod(tensor.dims) * _BITS[tensor.data_type] // 8)
    if length != needed:
        raise refuse(f"it has {length} bytes where its shape and dtype need {needed}")
    return offset, length
