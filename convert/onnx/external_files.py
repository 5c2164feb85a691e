"""External data of an ONNX source: every file that it names must be a plain file inside the model's own folder."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import onnx

from transload.serialize.errors import SourceError
from transload.serialize.model_contents import external_tensors

MEMORY_MARKER = "_ORT_"
"""ONNX Runtime takes the offset for an address in its own memory where the location is one of its markers, such as
`*/_ORT_MEM_ADDR_/*` (onnxruntime `core/framework/tensorprotoutils.h`), which could be a file's path as well."""


def check_external_files(proto: onnx.ModelProto, folder: Path) -> tuple[Path, ...]:
    """The external data files of a model, sorted, once all of its references were found to be in order.

    A model from a stranger could otherwise name any file of the user's and carry it into the package.

    Args:
        proto: The model, its external data not loaded.
        folder: The folder that it lies in, symbolic links resolved.

    Raises:
        SourceError: naming the tensor, where a path is absolute, climbs out of the folder, leads out of it over a
            symbolic link, is no regular file or has further hard links, or where the data reaches past the file's end.
    """
    files: dict[str, Path] = {}
    for tensor in external_tensors(proto):
        fields = {entry.key: entry.value for entry in tensor.external_data}
        location = fields.get("location", "")
        if location not in files:
            files[location] = _check_location(tensor.name, location, folder)
        _check_range(tensor.name, fields, files[location])
    return tuple(sorted(set(files.values())))


def _check_location(tensor: str, location: str, folder: Path) -> Path:
    # A Windows path has both kinds of separator and drives, so that its rules refuse what either system would follow.
    parts = PureWindowsPath(location)
    if not location or "\0" in location or "\\" in location or parts.anchor or ".." in parts.parts:
        raise _refuse(tensor, f"its location {location!r} is not a plain relative path")
    if any(part.startswith(MEMORY_MARKER) for part in parts.parts):
        raise _refuse(tensor, f"its location {location!r} means an address in memory to ONNX Runtime")
    path = (folder / location).resolve()
    if not path.is_relative_to(folder):
        raise SourceError(
            f"External data of tensor {tensor!r}: {location!r} is a symbolic link out of the model's folder.",
            where=str(folder),
            hint="Copy the model and its data, without links, into one folder.",
        )
    if not path.is_file():
        raise _refuse(tensor, f"there is no file {location!r} beside the model")
    if path.stat().st_nlink > 1:
        raise SourceError(
            f"External data of tensor {tensor!r}: {location!r} has several hard links, so it may be another's file.",
            where=str(folder),
            hint="Copy the model and its data into a folder of their own.",
        )
    return path


def _check_range(tensor: str, fields: dict[str, str], path: Path) -> None:
    numbers = [fields.get("offset", "0"), fields.get("length", "0")]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise _refuse(tensor, "its offset or length is not a number")
    end, size_bytes = sum(map(int, numbers)), path.stat().st_size
    if end > size_bytes:
        raise _refuse(tensor, f"it ends at byte {end} of {path.name}, which has {size_bytes}")


def _refuse(tensor: str, what: str) -> SourceError:
    return SourceError(f"External data of tensor {tensor!r}: {what}.")
