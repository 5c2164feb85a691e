"""The SHA-256 by which an interface records what a package was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from transload.serialize.layout import asset_uri


def digest_source(path: Path) -> str:
    """The SHA-256 of a file, or of all files of a folder, as lowercase hex.

    A folder's is that of its sorted lines `<sha256>  <relative path>\\n`, as ONNX Runtime hashes its asset folders.
    """
    if path.is_dir():
        return digest_files(path, (file for file in path.rglob("*") if file.is_file()))
    return _digest_file(path)


def digest_files(folder: Path, files: Iterable[Path]) -> str:
    """As `digest_source` does it for a folder, over some of its files."""
    uri = asset_uri({file.relative_to(folder).as_posix(): _digest_file(file) for file in files})
    return uri.removeprefix("sha256:")


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
