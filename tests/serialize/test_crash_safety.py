"""A save that is cut off at any step: the target holds the old package or the new one, and errors leave no file."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from crash_shim import Shim, Step, installed, states_after_power_cut
from packages import linear_component

from transload.serialize import Package, open_package, pack_folder, unpack_package
from transload.serialize.errors import UsageError

OLD = b"what was there before"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def small() -> Package:
    weights = [np.random.default_rng(seed).standard_normal((64, 64)).astype(np.float32) for seed in (1, 2)]
    return Package("pair", tuple(linear_component(name, weight) for name, weight in zip("ab", weights, strict=True)))


@pytest.fixture(scope="module")
def new(small: Package, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small.save(tmp_path_factory.mktemp("new") / "m.tload").read_bytes()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "m.tload"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


@pytest.fixture(scope="module")
def step_count(small: Package, tmp_path_factory: pytest.TempPathFactory) -> int:
    target = tmp_path_factory.mktemp("count") / "m.tload"
    with installed(Shim()) as shim:
        small.save(target)
    return len(shim.steps)


def test_the_shim_sees_every_step_of_a_save(small: Package, target: Path, new: bytes) -> None:
    with installed(Shim()) as shim:
        small.save(target)
    actions = [step.action for step in shim.steps]
    assert actions[0] == "create"
    assert actions[-4:] == ["truncate", "sync", "rename", "sync"]
    assert actions.count("write") >= len(open_package(target).members)
    assert {content for content, _ in states_after_power_cut(shim.steps, target, OLD)} == {new}


KILLED_SAVES = """
import json, os, signal, sys
from pathlib import Path
from crash_shim import Shim, installed
from transload.serialize import open_package
source, target = Path(sys.argv[1]), Path(sys.argv[2])
old = target.read_bytes()
def kill(at):
    def before(number, step):
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
    return before
package = open_package(source).to_package()
results = []
while not results or results[-1][0]:
    at = len(results)
    target.write_bytes(old)
    child = os.fork()
    if not child:
        with installed(Shim(kill(at))):
            package.save(target)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    content = target.read_bytes()
    kind = "old" if content == old else "new" if content == source.read_bytes() else "bad"
    results.append((os.WIFSIGNALED(status), kind))
    for path in target.parent.glob("*.tmp"):
        path.unlink()
print(json.dumps(results))
"""


def test_a_save_killed_at_any_step_leaves_the_old_package_or_the_new_one(
    new: bytes, target: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source.tload"
    source.write_bytes(new)
    done = subprocess.run(
        [sys.executable, "-c", KILLED_SAVES, str(source), str(target)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)
    # All steps but the last, the sync of the folder, come before or at the rename; in the end nobody kills.
    assert results == [[True, "old"]] * (len(results) - 2) + [[True, "new"], [False, "new"]]
    assert len(results) > 20


def test_a_save_cut_off_from_power_at_any_step_leaves_the_old_package_or_the_new_one(
    small: Package, new: bytes, target: Path
) -> None:
    with installed(Shim()) as shim:
        small.save(target)
    states = [
        (end, content, how)
        for end in range(len(shim.steps) + 1)
        for content, how in states_after_power_cut(shim.steps[:end], target, OLD)
    ]
    assert [(end, how) for end, content, how in states if content not in (OLD, new)] == []
    assert {content for _, content, _ in states} == {OLD, new}


def test_the_power_cut_finds_a_writer_that_does_not_sync(small: Package, new: bytes, target: Path) -> None:
    with installed(Shim()) as shim:
        small.save(target)
    careless = [step for step in shim.steps if step.action != "sync"]
    contents = {content for content, _ in states_after_power_cut(careless, target, OLD)}
    assert contents - {OLD, new}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_at_any_step_leaves_no_file_behind(
    small: Package, new: bytes, target: Path, step_count: int, number: int
) -> None:
    for at in range(step_count):
        target.write_bytes(OLD)

        def fail(step_number: int, step: Step, at: int = at) -> None:
            # A disk that is full stays so; removing a file is always possible.
            if step_number >= at and step.action != "unlink":
                raise OSError(number, os.strerror(number))

        with installed(Shim(fail)), pytest.raises(UsageError, match="Cannot write") as caught:
            small.save(target)
        assert os.strerror(number) in str(caught.value)
        assert names(target.parent) == ["m.tload"]
        # Only when the folder's own sync failed has the new package its name already.
        assert target.read_bytes() == (new if at == step_count - 1 else OLD)


def test_writes_that_come_out_short_are_completed(small: Package, new: bytes, target: Path) -> None:
    with installed(Shim(shorten=True)) as shim:
        small.save(target)
    assert target.read_bytes() == new
    assert sum(step.action == "write" for step in shim.steps) > 100


def test_an_interrupt_at_any_step_leaves_no_file_behind(small: Package, target: Path, step_count: int) -> None:
    for at in range(step_count - 1):

        def interrupt(step_number: int, step: Step, at: int = at) -> None:
            if step_number == at:
                raise KeyboardInterrupt

        with installed(Shim(interrupt)), pytest.raises(KeyboardInterrupt):
            small.save(target)
        assert (names(target.parent), target.read_bytes()) == (["m.tload"], OLD)


def test_a_real_full_disk_is_wrong_usage_and_leaves_no_file(small: Package, target: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from transload.serialize import open_package\n"
        "package = open_package(sys.argv[1]).to_package()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try: package.save(sys.argv[2])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    source = small.save(target.parent.parent / "source.tload")
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(target)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("UsageError Cannot write")
    assert "File too large" in done.stdout
    assert (names(target.parent), target.read_bytes()) == (["m.tload"], OLD)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_a_folder_is_packed_leaves_no_file(small: Package, target: Path, number: int) -> None:
    folder = unpack_package(small.save(target.parent.parent / "source.tload"), target.parent.parent / "folder")
    # A member so large that packing takes a while; a hole, which costs no room.
    with (folder / "a/portable/labels.bin").open("wb") as file:
        file.truncate(8 << 30)
    command = [sys.executable, "-m", "transload.cli", "pack", str(folder), "-o", str(target)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(target.parent.glob(".m.tload.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(target.parent.glob(".m.tload.*.tmp"))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert (names(target.parent), target.read_bytes()) == (["m.tload"], OLD)


def test_packing_is_as_safe_as_saving(small: Package, new: bytes, target: Path) -> None:
    folder = unpack_package(small.save(target.parent.parent / "source.tload"), target.parent.parent / "folder")
    with installed(Shim()) as shim:
        pack_folder(folder, target)
    for end in range(len(shim.steps) + 1):
        for content, how in states_after_power_cut(shim.steps[:end], target, OLD):
            assert content in (OLD, new), how
