"""Making a tuned variant: ONNX Runtime writes its optimised graph and pre-packed weights, we put them into one file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.session import open_session
from transload.runtime.tuning.alignment import align_weights
from transload.runtime.tuning.entry import TunedVariant, TuningRecord, read_entry, write_entry
from transload.serialize.archive_writer import Bytes, Content
from transload.serialize.folder import FileContent
from transload.serialize.layout import DATA_NAME, MODEL_NAME
from transload.serialize.model_contents import external_tensors
from transload.serialize.model_rules import read_model
from transload.serialize.package_file import PackageFile
from transload.serialize.platform import replace_file
from transload.serialize.weights import EXTERNAL_THRESHOLD_BYTES


@contextmanager
def optimised_files(
    model: bytes, model_folder: Path, configuration: Configuration, scratch_folder: Path, *, prepacked: bool = True
) -> Iterator[dict[str, Content]]:
    """The graph as ONNX Runtime optimises it, and its weights, for as long as the block lasts.

    Args:
        model: The graph to begin with.
        model_folder: Where its external data lies.
        configuration: How it is to be run.
        scratch_folder: Where the files are put; they take as much as the weights and their packed copies.
        prepacked: Whether packed copies are stored too. They take the place of what ONNX Runtime would make at load.

    Raises:
        UnsupportedError, ExecutionError: ONNX Runtime refuses the model.
    """
    with tempfile.TemporaryDirectory(prefix=".tuning-", dir=scratch_folder) as name:
        folder = Path(name)
        options = session_options(configuration, str(model_folder))
        options.optimized_model_filepath = str(folder / MODEL_NAME)
        for key, value in (
            ("session.optimized_model_external_initializers_file_name", DATA_NAME),
            ("session.optimized_model_external_initializers_min_size_in_bytes", str(EXTERNAL_THRESHOLD_BYTES)),
            ("session.save_external_prepacked_constant_initializers", str(int(prepacked))),
        ):
            options.add_session_config_entry(key, value)
        open_session(model, options, provider_list(configuration), "the graph to be tuned")
        if (folder / DATA_NAME).exists():
            align_weights(folder / MODEL_NAME, folder / DATA_NAME)
        files = [FileContent(path, path.stat().st_size) for path in sorted(folder.iterdir())]
        yield {file.path.name: file for file in files if file.size_bytes}


def portable_files(package: PackageFile, component: str) -> dict[str, Content]:
    """The portable graph and its weights as they are, for providers whose graphs ONNX Runtime cannot store.

    Raises:
        PackageError: they are damaged.
    """
    model, _ = read_model(package.model_bytes(component), MODEL_NAME)
    for tensor in external_tensors(model):
        # Weights that components share lie in a file of another name.
        next(entry for entry in tensor.external_data if entry.key == "location").value = DATA_NAME
    contents: dict[str, Content] = {MODEL_NAME: Bytes(model.SerializeToString())}
    data = package.data_member(component)
    return contents if data is None else contents | {DATA_NAME: Bytes(package.archive.view(data.name))}


def store_entry(path: Path, record: TuningRecord, contents: Mapping[str, Content]) -> TunedVariant:
    """Make the cache's entry at `path`, and open it.

    Raises:
        UsageError: the cache cannot be written.
    """
    with replace_file(path) as file:
        write_entry(file, record, contents)
    return read_entry(path)
