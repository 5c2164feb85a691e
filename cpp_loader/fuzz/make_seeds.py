"""Take real packages apart into seeds for the fuzz targets.

python make_seeds.py FOLDER PACKAGE ...
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

SUFFIXES = {"manifest.json": "manifest", "interface.json": "interface", "model.onnx": "model", ".pb": "vector"}


def main(target: Path, packages: list[Path]) -> None:
    for package in packages:
        add(target / "archive", package.read_bytes())
        with zipfile.ZipFile(package) as archive:
            for name in archive.namelist():
                for suffix, part in SUFFIXES.items():
                    if name.endswith(suffix):
                        add(target / part, archive.read(name))


def add(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
