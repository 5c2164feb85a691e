"""What holds for all tests: the user's cache is left alone, TensorFlow has its own kernels, packages are replayed.

Every package that a test saves is also replayed by the C++ loader; where that refuses it or finds a difference, Python
must say the same.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from loader import COMMAND, run_command

# Some tests import TensorFlow or Keras before transload does; see convert/tensorflow/framework.py.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# A shell without job control has what it starts in the background ignore SIGINT, and so would the commands under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from transload.runtime.verify import replay
from transload.serialize import Package
from transload.serialize.errors import TransloadError

MAX_BYTES = 64 << 20
"""Larger packages show nothing more here, and take long to hash twice."""


def python_status(path: Path) -> int:
    """The exit status of `transload verify`."""
    try:
        return 0 if all(item.passed for item in replay(path)) else 1
    except TransloadError as error:
        return error.exit_status


def check_with_loader(path: Path) -> None:
    """Replay a package with `transload-run verify`; where that fails, with Python as well."""
    done = run_command("verify", path)
    if done.returncode != 0:
        expected = python_status(path)
        assert done.returncode == expected, f"Python says {expected}, the C++ loader {done.returncode}: {done.stderr}"


@pytest.fixture(scope="session", autouse=True)
def replay_saved_packages() -> Iterator[None]:
    """Hook into `Package.save`. Where the loader is not built, as `make unit` does first, nothing is replayed."""
    save = Package.save

    def save_and_replay(package: Package, path: str | Path) -> Path:
        saved = save(package, path)
        if saved.stat().st_size <= MAX_BYTES:
            check_with_loader(saved)
        return saved

    with pytest.MonkeyPatch.context() as patch:
        if COMMAND.exists():
            patch.setattr(Package, "save", save_and_replay)
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
