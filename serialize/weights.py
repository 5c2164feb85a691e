"""Laying out weights: which tensors leave the graph, where each lies in the data file, and equal ones stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from transload.serialize.archive_writer import Buffer
from transload.serialize.model_rules import check_model, check_size
from transload.serialize.zip_records import alignment_of

EXTERNAL_THRESHOLD_BYTES = 1024
"""Tensors of this size and more are external data; smaller ones stay in the graph, where constants are folded."""

PREFIX_BYTES = 4096


@dataclass(frozen=True)
class DataFile:
    """Content of a weights file: tensors at their offsets, zeros between. An archive_writer.Content."""

    tensors: tuple[tuple[int, ir.TensorProtocol], ...]
    size_bytes: int

    def chunks(self) -> Iterator[Buffer]:
        """The file's bytes, one tensor at a time, so that lazy tensors are read one after another."""
        position = 0
        for offset, tensor in self.tensors:
            if offset > position:
                yield bytes(offset - position)
            # Not bound to a name, so that the bytes are free before the next tensor's are made.
            yield tensor_bytes(tensor)
            position = offset + tensor.nbytes

    def sha256(self) -> str:
        """The SHA-256 of the content, as lowercase hex."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()


def tensor_bytes(tensor: ir.TensorProtocol) -> memoryview:
    """A tensor's little-endian bytes, without a copy where numpy holds them in one piece."""
    if tensor.dtype.bitwidth < 8:
        return memoryview(tensor.tobytes())
    array = np.ascontiguousarray(tensor.numpy())
    return memoryview(array.reshape(-1).view(np.uint8).data)


def lay_out_tensors(tensors: Iterable[ir.TensorProtocol]) -> DataFile:
    """Put tensors one after another, each at a multiple of a page if it is large, else of a cache line."""
    placed: list[tuple[int, ir.TensorProtocol]] = []
    position = 0
    for tensor in tensors:
        alignment = alignment_of(tensor.nbytes)
        position = -(-position // alignment) * alignment
        placed.append((position, tensor))
        position += tensor.nbytes
    return DataFile(tuple(placed), position)


def external_values(model: ir.Model) -> list[ir.Value]:
    """The initializers that leave the graph, of subgraphs too, in order. Strings always stay."""
    return [
        value
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.const_value is not None
        and value.const_value.dtype != ir.DataType.STRING
        and value.const_value.nbytes >= EXTERNAL_THRESHOLD_BYTES
    ]


def canonical_tensors(models: Iterable[ir.Model]) -> dict[int, ir.TensorProtocol]:
    """For each external tensor, by `id`, the first one among all models that has the same bytes.

    Only tensors of equal size and equal first bytes are compared in full, so that telling apart costs next to nothing.
    """
    canonical: dict[int, ir.TensorProtocol] = {}
    alike: dict[tuple[int, bytes], list[ir.TensorProtocol]] = {}
    for model in models:
        for value in external_values(model):
            tensor = value.const_value
            assert tensor is not None
            if id(tensor) in canonical:
                continue
            data = tensor_bytes(tensor)
            candidates = alike.setdefault((len(data), bytes(data[:PREFIX_BYTES])), [])
            twin = next((other for other in candidates if tensor_bytes(other) == data), None)
            if twin is None:
                candidates.append(tensor)
            canonical[id(tensor)] = twin if twin is not None else tensor
    return canonical


def encode_model(
    model: ir.Model, offsets: dict[int, int], location: str, member: str, domains: Collection[str] = ()
) -> bytes:
    """The bytes of the `model.onnx` that will be `member`, its external initializers pointing into the file `location`.

    `offsets` maps each external tensor, by `id`, to its place in that file. Operators are ONNX's, of `domains`, or the
    model's own. The model is left as it was.

    Raises:
        PackageError: a reader would refuse the model.
    """
    clone = model.clone()
    for value, original in zip(external_values(clone), external_values(model), strict=True):
        tensor = original.const_value
        assert tensor is not None
        value.const_value = ir.ExternalTensor(
            location,
            offsets[id(tensor)],
            tensor.nbytes,
            tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=value.name or "",
        )
    proto = ir.to_proto(clone)
    check_model(proto, member, domains)
    data: bytes = proto.SerializeToString(deterministic=True)
    check_size(data, member)
    return data
