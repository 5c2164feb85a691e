"""Keras files that would have their reader open other files, which could be any of the user's."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from transload.convert.tensorflow.hdf5_trust import check_hdf5_trust
from transload.convert.tensorflow.keras_file import load_model
from transload.serialize.errors import SourceError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small model in both of Keras' forms, and a file of somebody else's."""
    folder = tmp_path_factory.mktemp("keras")
    x = keras.Input((3,), name="x")
    model = keras.Model(x, keras.layers.Dense(2, name="dense")(x))
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    with h5py.File(folder / "secret.h5", "w") as secret:
        secret["kernel"] = np.ones((3, 2), np.float32)
    return folder


def spoil(source: Path, edit: Callable[[h5py.File], None]) -> Path:
    """Edit the HDF5 file that `source` is or holds."""
    if source.suffix == ".h5":
        with h5py.File(source, "r+") as file:
            edit(file)
        return source
    inner = source.with_suffix(".weights.h5")
    with zipfile.ZipFile(source) as old:
        members = {name: old.read(name) for name in old.namelist()}
    inner.write_bytes(members["model.weights.h5"])
    spoil(inner, edit)
    with zipfile.ZipFile(source, "w") as new:
        for name, data in members.items():
            new.writestr(name, inner.read_bytes() if name == "model.weights.h5" else data)
    return source


def external_link(file: h5py.File) -> None:
    file["stolen"] = h5py.ExternalLink("secret.h5", "/kernel")


def virtual_dataset(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 2), np.float32)
    layout[...] = h5py.VirtualSource("secret.h5", "kernel", (3, 2))
    file.create_virtual_dataset("deep/stolen", layout)


def external_storage(file: h5py.File) -> None:
    file.create_dataset("stolen", (6,), np.float32, external=[("/etc/passwd", 0, 24)])


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (external_link, r"/stolen is a link to 'secret\.h5'"),
        (virtual_dataset, "/deep/stolen is a virtual dataset"),
        (external_storage, "/stolen is stored in '/etc/passwd'"),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_data_in_other_files_is_refused(
    saved: Path, tmp_path: Path, suffix: str, edit: Callable[[h5py.File], None], words: str, trusted: bool
) -> None:
    source = Path(shutil.copy(saved / f"m.{suffix}", tmp_path))
    with pytest.raises(SourceError, match=words) as caught:
        load_model(spoil(source, edit), trusted)
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_an_honest_file_passes(saved: Path, suffix: str) -> None:
    check_hdf5_trust(saved / f"m.{suffix}")


def test_groups_that_hold_each_other_come_to_an_end(saved: Path, tmp_path: Path) -> None:
    def make_cycle(file: h5py.File) -> None:
        file["one/two/three"] = file["one"] if "one" in file else file.create_group("one")

    check_hdf5_trust(spoil(Path(shutil.copy(saved / "m.h5", tmp_path)), make_cycle))
