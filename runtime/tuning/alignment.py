"""Weights that ONNX Runtime stored, put where its kernels can read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx

from transload.serialize.model_contents import external_tensors
from transload.serialize.zip_records import alignment_of

CHUNK_BYTES = 1 << 24

Range = tuple[int, int]
"""An offset in the file of weights, and a length."""


def align_weights(model_path: Path, data_path: Path) -> None:
    """Move each tensor, and each pre-packed copy of one, to a multiple of a cache line, large ones to that of a page.

    ONNX Runtime (1.31.1) aligns only what is larger than 1 MiB, but maps all, and its matrix kernels for AVX-512 take
    the process down over packed weights that do not lie at a cache line. Both files are written anew.
    """
    model = onnx.load(model_path, load_external_data=False)
    tensors = list(external_tensors(model))
    places: dict[Range, int] = {}

    def note(found: Range) -> int:
        places[found] = found[0]
        return found[0]

    for tensor in tensors:
        _relocate(tensor, note)
    end = 0
    for offset, length in sorted(places):
        alignment = alignment_of(length)
        places[offset, length] = -(-end // alignment) * alignment
        end = places[offset, length] + length
    aligned = data_path.with_name(f"{data_path.name}.aligned")
    with data_path.open("rb") as before, aligned.open("wb") as after:
        for (offset, length), place in places.items():
            before.seek(offset)
            after.seek(place)
            for done in range(0, length, CHUNK_BYTES):
                after.write(before.read(min(CHUNK_BYTES, length - done)))
        after.truncate(end)
    aligned.replace(data_path)
    for tensor in tensors:
        _relocate(tensor, places.__getitem__)
    model_path.write_bytes(model.SerializeToString())


def _relocate(tensor: onnx.TensorProto, place: Callable[[Range], int]) -> None:
    """Give the tensor and its packed copies the offsets that `place` says."""
    fields = {entry.key: entry.value for entry in tensor.external_data}
    fields["offset"] = str(place((int(fields.get("offset", "0")), int(fields["length"]))))
    for key, value in fields.items():
        if key.startswith("prepacked_"):
            kernel, *packed = value.split("|")
            parts = [each.split(";") for each in packed]
            moved = [f"{place((int(offset), int(length)))};{length};{rest}" for offset, length, rest in parts]
            fields[key] = "|".join([kernel, *moved])
    del tensor.external_data[:]
    for key, value in fields.items():
        tensor.external_data.add(key=key, value=value)
