"""Whether an HDF5 file, or one inside a Keras archive, would make its reader open other files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import h5py

from transload.serialize.errors import SourceError


def check_hdf5_trust(path: Path) -> None:
    """Refuse a `.h5` or `.keras` file with links, datasets or storage in other files: they could be any of the user's.

    Not even trust in the source's maker makes it right, since no Keras model is saved so.

    Raises:
        SourceError: it has some, all named; or it cannot be read.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found = [
                    f"{name}: {problem}"
                    for name in archive.namelist()
                    if name.endswith(".h5")
                    for problem in _problems_of(archive.open(name))
                ]
        else:
            with path.open("rb") as file:
                found = list(_problems_of(file))
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path.name} cannot be read: {error}") from error
    if found:
        raise SourceError(
            f"{path.name} takes data from other files: {'; '.join(found)}.",
            hint="Save the model anew, with its weights in one file.",
        )


def _problems_of(file: IO[bytes]) -> Iterator[str]:
    with file, h5py.File(file, "r") as root:
        groups = [root]
        # A group may be its own descendant: hard links make cycles.
        seen = {_address(root)}
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                where = f"{group.name.rstrip('/')}/{name}"
                if isinstance(link, h5py.ExternalLink):
                    yield f"{where} is a link to {link.filename!r}"
                if not isinstance(link, h5py.HardLink):
                    continue
                item = group[name]
                if isinstance(item, h5py.Dataset) and item.is_virtual:
                    yield f"{where} is a virtual dataset"
                if isinstance(item, h5py.Dataset) and item.external:
                    yield f"{where} is stored in {item.external[0][0]!r}"
                if isinstance(item, h5py.Group) and (address := _address(item)) not in seen:
                    seen.add(address)
                    groups.append(item)


def _address(group: Any) -> int:
    return int(h5py.h5o.get_info(group.id).addr)
