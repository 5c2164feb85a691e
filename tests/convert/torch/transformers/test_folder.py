"""What a transformers folder is, and which are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

import transload as tl
from transload.convert.detect import detect_source
from transload.convert.source import SourceKind
from transload.serialize.errors import SourceError, UnsupportedError, UsageError

from .conftest import Saved


@pytest.fixture
def folder(saved: Saved, tmp_path: Path) -> Path:
    """A copy of a good folder, to be spoiled."""
    return Path(shutil.copytree(saved("bert")[0], tmp_path / "model"))


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_it_is_told_by_its_configuration(folder: Path) -> None:
    assert detect_source(folder).kind is SourceKind.TRANSFORMERS


def test_onnx_models_beside_a_configuration_are_what_they_are(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(b"x")
    with pytest.raises(UsageError, match="folder with ONNX models"):
        detect_source(folder)


REFUSED: dict[str, tuple[Callable[[Path], Any], type[tl.TransloadError], str]] = {
    "code of its own": (
        lambda folder: change(folder, auto_map={"AutoModel": "modeling.My"}),
        SourceError,
        r"code of its own \(auto_map\)(.|\n)*module factory",
    ),
    "code of a part": (
        lambda folder: change(folder, text_config={"auto_map": {"AutoModel": "modeling.My"}}),
        SourceError,
        r"code of its own",
    ),
    "kernels from the hub": (
        lambda folder: change(folder, attn_implementation="kernels-community/attention"),
        SourceError,
        r"kernels from elsewhere \(attn_implementation: 'kernels-community/attention'\)",
    ),
    "a quantized model": (
        lambda folder: change(folder, quantization_config={"quant_method": "gptq"}),
        UnsupportedError,
        r"quantized \(gptq\)",
    ),
    "an adapter": (lambda folder: (folder / "adapter_config.json").write_text("{}"), UnsupportedError, "an adapter"),
    "pickled weights": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        SourceError,
        r"pytorch_model.bin, which can run code(.|\n)*save_pretrained",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), UsageError, "no .safetensors file"),
    "damaged weights": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"\x05"),
        SourceError,
        "cannot read the model",
    ),
    "an unknown architecture": (
        lambda folder: change(folder, architectures=["BertForNothing"]),
        UnsupportedError,
        "has no architecture 'BertForNothing'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_is_refused(case: str, folder: Path) -> None:
    spoil, error, message = REFUSED[case]
    spoil(folder)
    with pytest.raises(error, match=message):
        tl.convert_model(folder)


def test_weights_that_are_not_there_are_never_made_up(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.bias"]
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SourceError, match=r"no values for 1 weights(.|\n)*layer.1.output.dense.bias"):
        tl.convert_model(folder)


def test_a_task_for_which_it_has_no_head_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"no values for \d+ weights of BertForMaskedLM"):
        tl.convert_model(folder, task="fill-mask")


def test_an_unknown_task_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"Unknown task 'fill'(.|\n)*fill-mask"):
        tl.convert_model(folder, task="fill")
