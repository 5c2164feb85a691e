"""Keeps small files of what the fuzzers found: `PYTHONPATH=tests/serialize:tests/fuzz python tests/fuzz/keep.py`.

Small files of `build/fuzz`, those of the C++ loader after a merge by libFuzzer, go to `tests/fuzz/corpus`, up to a
limit. Those of the C++ loader go beside those of the Python target that reads the same.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from seeds import CORPUS

ROOT = Path(__file__).resolve().parents[2]
FOUND = ROOT / "build" / "fuzz"

MAX_BYTES = 2048
"""The largest file that is kept, but for seeds and for inputs that once broke something."""

MAX_FILES, MAX_TOTAL_BYTES = 32, 16 << 10
"""Of each fuzzer."""

CPP = {"archive": "package", "manifest": "manifest", "interface": "interface", "model": "model", "vector": "vector"}
"""The Python target that reads what a fuzzer of the C++ loader does."""


def merge(fuzzer: Path, found: Path, merged: Path) -> None:
    """Put a smallest set of files that reaches what all small ones reach into an empty folder."""
    with tempfile.TemporaryDirectory() as small:
        for path in _small(found):
            shutil.copy(path, small)
        command = [str(fuzzer), "-merge=1", str(merged), small]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def keep(found: Path, target: str) -> int:
    """Copy some of the small files, of all sizes, into a target's corpus.

    Returns:
        How many.
    """
    every = sorted(_small(found), key=lambda path: (path.stat().st_size, path.name))
    count = total = 0
    for path in every[:: -(-len(every) // MAX_FILES) or 1]:
        total += path.stat().st_size
        if total > MAX_TOTAL_BYTES:
            break
        shutil.copy(path, CORPUS / target)
        count += 1
    return count


def _small(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.stat().st_size <= MAX_BYTES]


def main() -> None:
    for part, target in CPP.items():
        with tempfile.TemporaryDirectory() as merged:
            merge(ROOT / "build" / "cpp-fuzz" / "fuzz" / f"fuzz_{part}", FOUND / "found" / part, Path(merged))
            print("cpp", part, keep(Path(merged), target), flush=True)
    # atheris cannot merge: it would start itself anew as a program.
    for target in sorted(path.name for path in CORPUS.iterdir() if (FOUND / path.name).is_dir()):
        print("python", target, keep(FOUND / target, target), flush=True)


if __name__ == "__main__":
    main()
