"""Writes `requirements.lock` from pip's report of a dry run: every package with its version and SHA-256.

    pip install --dry-run --ignore-installed --report report.json -c constraints.txt torch==VERSION '.[all,dev,demo]'
    python tools/lock.py report.json

torch is left out: its CPU build comes from another index than PyPI's, and every mirror builds its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {"torch", "transload"}

HEADER = """\
# What `make locked` installs: CPython 3.11, Linux on x86-64, each file by its SHA-256. Made by tools/lock.py.
# torch is not in here; see tools/lock.py.
"""


def main(report: str) -> None:
    """Write the lock file for the installation that the report tells of."""
    lines = []
    for item in json.loads(Path(report).read_text())["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        if name not in LEFT_OUT:
            sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{name}=={version} --hash=sha256:{sha256}\n")
    (ROOT / "requirements.lock").write_text(HEADER + "".join(sorted(lines, key=str.lower)))


if __name__ == "__main__":
    main(*sys.argv[1:])
