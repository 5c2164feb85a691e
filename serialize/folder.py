"""A package as a folder: what `unpack` makes, what ONNX Runtime's own package loader opens, what `pack` takes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from transload.serialize.archive_writer import CHUNK_BYTES, Buffer, Content, Digest, write_archive
from transload.serialize.errors import PackageError, UsageError
from transload.serialize.manifest import MANIFEST_NAME, decode_manifest, with_members
from transload.serialize.package_file import PackageFile, open_package
from transload.serialize.platform import replace_file
from transload.serialize.strict_json import decode_json, encode_json


@dataclass(frozen=True)
class FileContent:
    """Content that lies in a file."""

    path: Path
    size_bytes: int

    def chunks(self) -> Iterator[Buffer]:
        """The file in pieces.

        Raises:
            PackageError: its size is not what it was.
        """
        count = 0
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                count += len(chunk)
                yield chunk
        if count != self.size_bytes:
            raise PackageError(f"{self.path} changed while it was packed.", rule="changed")


def unpack_package(path: str | Path, folder: str | Path) -> Path:
    """Write every member of a package as a file below `folder`, which must not exist or be empty.

    Every member is checked against its SHA-256 first. The folder appears whole or not at all.

    Raises:
        UsageError: the folder is not empty, or cannot be written.
        PackageError: the package is damaged.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder.", hint="Choose a new folder.")
    package = open_package(path, integrity="sha256")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"Cannot write into {folder.parent}: {error.strerror}.") from error
    try:
        for name in package.members:
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.write(package.archive.view(name))
        scratch.chmod(0o755)
        scratch.replace(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return folder


def pack_folder(folder: str | Path, path: str | Path) -> Path:
    """Make a package of an unpacked one. Digests are made anew; the rest of the manifest stays.

    An unpacked package that nobody changed gives the very file that it came from.

    Raises:
        UsageError: the folder is not there or cannot be read.
        PackageError: the folder is not a package's, or holds anything but regular files and folders.
    """
    folder, path = Path(folder), Path(path)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    contents: dict[str, Content] = {name: _content(file) for name, file in _files(folder)}
    if contents.pop(MANIFEST_NAME, None) is None:
        raise PackageError(f"{folder} has no manifest.json.", member=MANIFEST_NAME, rule="manifest-schema")
    data = (folder / MANIFEST_NAME).read_bytes()
    decode_manifest(data)
    manifest = decode_json(data, MANIFEST_NAME)

    def make_index(digests: Mapping[str, Digest]) -> bytes:
        return encode_json(with_members(manifest, digests))

    with replace_file(path) as file:
        write_archive(file, contents, MANIFEST_NAME, make_index)
        _check_written(file)
    return path


def _check_written(file: IO[bytes]) -> None:
    """What a reader would refuse must not take the place of the target."""
    file.flush()
    package: PackageFile = open_package(file.name, integrity="none")
    for component in package.component_names:
        package.model_proto(component)
        package.vectors(component)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            status = path.lstat()
            is_file = stat.S_ISREG(status.st_mode)
            # What an unknown folder links to may be any file of the user's, and would be carried into the package.
            if not (is_file or stat.S_ISDIR(status.st_mode)) or (is_file and status.st_nlink > 1):
                raise PackageError(
                    f"{path} is not a folder or a regular file without further links.",
                    member=path.relative_to(folder).as_posix(),
                    rule="regular-file",
                    hint="Copy the folder without links.",
                )
        for name in files:
            path = Path(root, name)
            yield path.relative_to(folder).as_posix(), path


def _content(path: Path) -> FileContent:
    return FileContent(path, path.stat().st_size)
