"""What a TFLite file says of itself, read from its flatbuffer: signatures, and operations that are not built in."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transload.convert.tensorflow.framework import silence
from transload.serialize.errors import SourceError

with silence():
    from tf2onnx.tflite.Model import Model


@dataclass(frozen=True)
class Signature:
    """A signature: the number of its subgraph, and the index of the tensor for each of its names."""

    key: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True)
class ModelFacts:
    """The signatures in the file's order, and the names of custom operations; those of TensorFlow begin with `Flex`."""

    signatures: tuple[Signature, ...]
    custom_operations: tuple[str, ...]


def read_model_facts(path: Path) -> ModelFacts:
    """Read a file; nothing of it runs.

    Raises:
        SourceError: it is damaged.
    """
    try:
        model = Model.GetRootAs(bytearray(path.read_bytes()), 0)
        signatures = tuple(_signature(model.SignatureDefs(index)) for index in range(model.SignatureDefsLength()))
        codes = [model.OperatorCodes(index).CustomCode() for index in range(model.OperatorCodesLength())]
        return ModelFacts(signatures, tuple(code.decode() for code in codes if code))
    except (struct.error, IndexError, AttributeError, TypeError, ValueError) as error:
        # The reader follows offsets that nothing has checked.
        raise SourceError(f"{path.name} is not a readable TFLite file: {error}") from error


def _signature(found: Any) -> Signature:
    return Signature(
        found.SignatureKey().decode(),
        found.SubgraphIndex(),
        {found.Inputs(at).Name().decode(): found.Inputs(at).TensorIndex() for at in range(found.InputsLength())},
        {found.Outputs(at).Name().decode(): found.Outputs(at).TensorIndex() for at in range(found.OutputsLength())},
    )
