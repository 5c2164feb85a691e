"""The built C++ loader, as the tests reach it: its C interface by ctypes, its command, its build folder."""

from __future__ import annotations

import ctypes
import subprocess
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "cpp"
LIBRARY = BUILD / "libtransload.so"
COMMAND = BUILD / "tool" / "transload-run"
PACKAGES = BUILD / "tests" / "packages"
"""What cpp_loader/tests/make_packages.py wrote."""

INTEGRITY = {"none": 0, "crc32": 1, "sha256": 2}
OK = 0
FLOAT32 = 1


class LoaderError(Exception):
    """A status that is not OK, with the error's fields."""

    def __init__(self, status: int, message: str, rule: str, member: str) -> None:
        super().__init__(message)
        self.status, self.rule, self.member = status, rule, member


class Loader:
    """transload.h by ctypes."""

    def __init__(self) -> None:
        assert LIBRARY.exists(), "The C++ loader is not built; run `make loader`."
        self.c = ctypes.CDLL(str(LIBRARY))
        for name in ("message", "rule", "member", "where", "hint"):
            getattr(self.c, f"tl_error_{name}").restype = c_char_p
            getattr(self.c, f"tl_error_{name}").argtypes = [c_void_p]
        for name in (
            "tl_version",
            "tl_runtime_version",
            "tl_package_digest",
            "tl_package_component_name",
            "tl_model_variant",
        ):
            getattr(self.c, name).restype = c_char_p
        self.c.tl_tensor_data.restype = c_void_p
        self.c.tl_tensor_shape.restype = POINTER(c_int64)
        for name in ("tl_tensor_rank", "tl_tensor_size_bytes", "tl_package_component_count", "tl_model_output_count"):
            getattr(self.c, name).restype = c_size_t

    def call(self, name: str, *arguments: object) -> None:
        """Call a function that takes a place for an error.

        Raises:
            LoaderError: its status is not OK.
        """
        error = c_void_p()
        status = getattr(self.c, name)(*arguments, byref(error))
        if status != OK:
            assert error.value
            fields = [getattr(self.c, f"tl_error_{field}")(error).decode() for field in ("message", "rule", "member")]
            assert self.c.tl_error_status(error) == status
            self.c.tl_error_free(error)
            raise LoaderError(status, *fields)

    def open(self, path: Path, integrity: str = "crc32") -> c_void_p:
        """Open a package; `tl_package_close` closes it."""
        package = c_void_p()
        self.call("tl_package_open", str(path).encode(), c_int(INTEGRITY[integrity]), byref(package))
        return package

    def check(self, path: Path, integrity: str = "crc32") -> None:
        """Open a package and read all that its components are made of."""
        package = self.open(path, integrity)
        try:
            self.call("tl_package_check", package)
        finally:
            self.c.tl_package_close(package)


def run_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run transload-run."""
    assert COMMAND.exists(), "The C++ loader is not built; run `make loader`."
    return subprocess.run([str(COMMAND), *map(str, arguments)], capture_output=True, text=True)


def output_of(*command: str | Path, **options: Any) -> str:
    """What another program prints; it must succeed. `options` are those of `subprocess.run`."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)
