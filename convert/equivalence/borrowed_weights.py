"""A graph that runs over the memory of its own weights: no package is written, and no weight is copied."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from transload.convert.capture import Array, Capture, Feed
from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.model import Model
from transload.runtime.raw_values import make_value
from transload.runtime.session import open_session, register_libraries
from transload.serialize.interface import Interface
from transload.serialize.weights import encode_model, external_values

_FILE = "weights"


@dataclass(frozen=True)
class GraphRunner:
    """A capture's graph in ONNX Runtime, without optimisations, which copy weights; these must outlive the model."""

    model: Model
    weights: tuple[ort.OrtValue, ...]

    def run(self, output_names: Sequence[str] | None, feed: Feed, /) -> list[Array]:
        """As `Model.run`."""
        return self.model.run(output_names, feed)


def open_graph(capture: Capture, interface: Interface, libraries: Sequence[str] = ()) -> GraphRunner:
    """The graph of a capture, as it would run with optimisations off, with operators from `libraries`.

    Raises:
        PackageError: no reader would take the model.
        ExecutionError, UnsupportedError: ONNX Runtime refuses it.
    """
    values = external_values(capture.model)
    tensors = {str(value.name): value.const_value for value in values if value.const_value is not None}
    weights = {name: make_value(tensor.numpy()) for name, tensor in tensors.items()}
    where = f"component {capture.component!r}"
    configuration = Configuration(1, level="disable", prepack=False)
    with tempfile.TemporaryDirectory(prefix="transload-") as folder:
        options = session_options(configuration, folder)
        register_libraries(options, libraries, where)
        for name, value in weights.items():
            options.add_initializer(name, value)
        # ONNX Runtime wants a file behind an external tensor, though it never reads it: one without content serves.
        with (Path(folder) / _FILE).open("wb") as file:
            file.truncate(max((tensor.nbytes for tensor in tensors.values()), default=0))
        offsets = {id(tensor): 0 for tensor in tensors.values()}
        model = encode_model(capture.model, offsets, _FILE, "model.onnx", interface.operator_domains)
        session = open_session(model, options, provider_list(configuration), where)
    return GraphRunner(Model(capture.component, interface, session), tuple(weights.values()))
