"""Keeps small files of what the fuzzers found, that reach the most code: `python tests/fuzz/keep.py`.

Small files of `build/fuzz` are merged by each fuzzer (libFuzzer's `-merge=1`) and go to `tests/fuzz/corpus`, up to a
limit. Those of the C++ loader go beside those of the Python target that reads the same.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from seeds import CORPUS

ROOT = Path(__file__).resolve().parents[2]
FOUND = ROOT / "build" / "fuzz"

MAX_BYTES = 2048
"""The largest file that is kept, but for seeds and for inputs that once broke something."""

MAX_FILES, MAX_TOTAL_BYTES = 40, 24 << 10
"""Of each fuzzer."""

CPP = {"archive": "package", "manifest": "manifest", "interface": "interface", "model": "model", "vector": "vector"}
"""The Python target that reads what a fuzzer of the C++ loader does."""


def merge(command: list[str], found: Path, target: str) -> int:
    """Keep what one fuzzer found.

    Returns:
        How many files.
    """
    with tempfile.TemporaryDirectory() as scratch:
        small, merged = Path(scratch, "small"), Path(scratch, "merged")
        small.mkdir()
        merged.mkdir()
        for path in found.iterdir():
            if path.stat().st_size <= MAX_BYTES:
                shutil.copy(path, small)
        subprocess.run([*command, "-merge=1", str(merged), str(small)], check=True, stderr=subprocess.DEVNULL)
        every = sorted(merged.iterdir(), key=lambda path: (path.stat().st_size, path.name))
        count = total = 0
        # Of all sizes: the smallest files are refused at once.
        for path in every[:: -(-len(every) // MAX_FILES) or 1]:
            total += path.stat().st_size
            if total > MAX_TOTAL_BYTES:
                break
            shutil.copy(path, CORPUS / target)
            count += 1
    return count


def main() -> None:
    for part, target in CPP.items():
        fuzzer = ROOT / "build" / "cpp-fuzz" / "fuzz" / f"fuzz_{part}"
        print("cpp", part, merge([str(fuzzer)], FOUND / "found" / part, target), flush=True)
    for folder in sorted(path for path in CORPUS.iterdir() if (FOUND / path.name).is_dir()):
        command = [sys.executable, str(ROOT / "tests" / "fuzz" / "fuzz.py"), folder.name]
        print("python", folder.name, merge(command, FOUND / folder.name, folder.name), flush=True)


if __name__ == "__main__":
    main()
