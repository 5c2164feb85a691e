"""External data of an ONNX model: checking every reference, and pointing it into the package file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import onnx

from transload.serialize.errors import PackageError
from transload.serialize.model_rules import needed_bytes
from transload.serialize.zip_records import Member, alignment_of


def point_into(
    tensors: Iterable[onnx.TensorProto], model_member: str, location: str, data: Member | None, archive: Path
) -> None:
    """Rewrite a model's external tensors, which lie in the member `data`, to lie in the package file `archive`.

    `location` is the file name by which the stored model calls its data.

    Raises:
        PackageError: a reference names another file, lies outside the member, is not aligned, or has another length
            than its dimensions and dtype make.
    """
    for tensor in tensors:
        fields = {entry.key: entry.value for entry in tensor.external_data}
        offset, length = _check_reference(tensor, fields, model_member, location, data)
        assert data is not None
        place = {"location": archive.name, "offset": str(data.offset + offset), "length": str(length)}
        # In place: what is removed from a message keeps its memory.
        for entry in tensor.external_data:
            entry.value = place[entry.key]


def _check_reference(
    tensor: onnx.TensorProto, fields: dict[str, str], member: str, location: str, data: Member | None
) -> tuple[int, int]:
    def refuse(what: str) -> PackageError:
        return PackageError(f"External data of tensor {tensor.name!r}: {what}.", member=member, rule="external-data")

    if tensor.data_location != onnx.TensorProto.EXTERNAL or len(fields) != len(tensor.external_data):
        raise refuse("its location is contradictory")
    if data is None or set(fields) != {"location", "offset", "length"} or fields["location"] != location:
        raise refuse(f"it may only be in {location!r}, with an offset and a length")
    if not all(re.fullmatch(r"[0-9]{1,20}", fields[key]) for key in ("offset", "length")):
        raise refuse("offset or length is not a number")
    offset, length = int(fields["offset"]), int(fields["length"])
    if offset + length > data.size_bytes:
        raise refuse(f"it ends at {offset + length}, past the end of {data.name} at {data.size_bytes}")
    if offset % alignment_of(length):
        raise refuse(f"its offset {offset} is not a multiple of {alignment_of(length)}")
    needed = needed_bytes(tensor)
    if needed is None:
        raise refuse("it has an element type or a dimension that cannot be")
    if length != needed:
        raise refuse(f"it has {length} bytes where its shape and dtype need {needed}")
    return offset, length
