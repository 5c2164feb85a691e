"""Tensors in .npz files, by name; no pickles on either way."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from transload.convert.capture import Array
from transload.serialize.errors import UsageError
from transload.serialize.platform import replace_file

_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def read_npz(path: str | Path) -> dict[str, Array]:
    """The arrays of a .npz file.

    Raises:
        UsageError: the file cannot be read, is not a .npz file, or holds Python objects.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise UsageError(f"{path} is not a .npz file.", hint="Write it with numpy.savez(path, name=array).")
        with file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"Cannot read arrays from {path}: {error}.",
            hint="Write it with numpy.savez(path, name=array); strings as numpy strings, not as objects.",
        ) from error


def write_npz(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays under any names, `numpy.savez`'s own argument names too; strings become numpy strings.

    bfloat16 and float8 values, which numpy's file format has no word for, are stored as raw bytes of their width.

    Raises:
        UsageError: the file cannot be written.
    """
    with replace_file(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            if array.dtype.kind == "O":
                array = array.astype(str)
            info = zipfile.ZipInfo(f"{name}.npy", _FIXED_DATE)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
