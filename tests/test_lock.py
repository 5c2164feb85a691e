"""The lock file: the versions of constraints.txt, each with a SHA-256, and pip refuses any other file."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tools.audit import knows_vulnerabilities

ROOT = Path(__file__).resolve().parents[1]


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    matches = [re.fullmatch(r"([\w.-]+)==([\w.]+) --hash=sha256:[0-9a-f]{64}", line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if match is None]
    return {normalize(match[1]): match[2] for match in matches if match}


NOT_LOCKED = {"torch", "atheris"}
"""tools/lock.py says why torch is not; atheris is installed by `make fuzz` alone."""


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {normalize(name): version for name, version in (line.split("==") for line in lines)}


def test_the_lock_holds_what_is_pinned_and_nothing_else() -> None:
    pins = pinned()
    assert len(pins) > 100
    assert locked() == {name: version for name, version in pins.items() if name not in NOT_LOCKED}
    assert set(pins) > NOT_LOCKED


def test_a_source_that_knows_of_no_vulnerability_at_all_is_told_from_one_that_does(tmp_path: Path) -> None:
    for name, text in (
        ("knows", '{"vulnerabilities": [{"id": "PYSEC-2019-217"}]}'),
        ("lacks", '{"vulnerabilities": []}'),
    ):
        (tmp_path / name).write_text(text)
    assert knows_vulnerabilities((tmp_path / "knows").as_uri())
    assert not knows_vulnerabilities((tmp_path / "lacks").as_uri())
    assert not knows_vulnerabilities((tmp_path / "nothing").as_uri())


def test_an_audit_without_data_says_that_nothing_was_checked(tmp_path: Path) -> None:
    audit = [sys.executable, ROOT / "tools" / "audit.py", (tmp_path / "nothing").as_uri()]
    done = subprocess.run(audit, capture_output=True, text=True)
    assert done.returncode == 0
    assert "NOTHING WAS CHECKED" in done.stdout


def test_a_file_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    wheel = tmp_path / "harmless-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("harmless.py", "")
        archive.writestr("harmless-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: harmless\nVersion: 1.0\n")
        archive.writestr(
            "harmless-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("harmless-1.0.dist-info/RECORD", "")
    requirements = tmp_path / "requirements.lock"
    requirements.write_text(f"harmless==1.0 --hash=sha256:{'0' * 64}\n")
    command = [
        *(sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "--no-deps"),
        *("--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "target"), "-r", str(requirements)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "target").exists()
