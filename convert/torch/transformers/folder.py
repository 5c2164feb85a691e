"""What lies in a transformers folder: its configuration, and the files that go into the package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transload.serialize.errors import SourceError, UnsupportedError, UsageError

CONFIG = "config.json"

ASSETS = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "bpe.codes",
    "*.model",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
)
"""Files without code or weights that a user of the model needs, where the folder has them."""

LABELS = "labels.json"

_ATTENTION_KEYS = {"attn_implementation", "_attn_implementation", "_attn_implementation_internal"}
_KERNEL_KEYS = _ATTENTION_KEYS | {"experts_implementation", "_experts_implementation", "use_kernels"}
_PLAIN_KERNELS = (None, False, "eager", "sdpa", "grouped_mm", "batched_mm")


@dataclass(frozen=True)
class Folder:
    """A folder whose configuration was read."""

    path: Path
    config: dict[str, Any]

    @property
    def architecture(self) -> str:
        """The class that was saved; '' where the configuration does not say."""
        names = self.config.get("architectures") or [""]
        return str(names[0])


def read_folder(path: Path) -> Folder:
    """The folder, if everything needed is in it and nothing of it can run code.

    Raises:
        SourceError: the configuration is no JSON object, or the model's code is in the folder or elsewhere.
        UnsupportedError: weights as adapters, quantized, or in another form than safetensors.
    """
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"The configuration cannot be read: {error}.", where=str(path / CONFIG)) from error
    if not isinstance(config, dict):
        raise SourceError("The configuration is no JSON object.", where=str(path / CONFIG))
    _refuse_code(config, path)
    _refuse_other_weights(config, path)
    return Folder(path, config)


def collect_assets(folder: Folder, labels: Mapping[Any, str] | None) -> dict[str, bytes]:
    """The files that go into the package, by name, and the names of the classes in order as `labels.json`."""
    files = sorted({file for pattern in ASSETS for file in folder.path.glob(pattern) if file.is_file()})
    assets = {file.name: file.read_bytes() for file in files}
    if labels:
        names = [labels[key] for key in sorted(labels, key=int)]
        assets[LABELS] = (json.dumps(names, ensure_ascii=False, indent=2) + "\n").encode()
    return assets


def _refuse_code(config: dict[str, Any], path: Path) -> None:
    """Code of the model's own would have to be run, or a kernel fetched, to build it."""
    for key, value in _items(config):
        if key in ("auto_map", "custom_pipelines"):
            raise SourceError(
                f"The model is built by code of its own ({key}), not by transformers' classes.",
                where=str(path / CONFIG),
                hint="If you trust that code, build the model in a module factory of yours: package.module:callable.",
            )
        if key in _KERNEL_KEYS and value not in _PLAIN_KERNELS:
            raise SourceError(
                f"The configuration asks for kernels from elsewhere ({key}: {value!r}).",
                where=str(path / CONFIG),
                hint=f"Remove {key!r} from {CONFIG}: the model is the same without.",
            )


def _refuse_other_weights(config: dict[str, Any], path: Path) -> None:
    if (path / "adapter_config.json").exists():
        raise UnsupportedError(
            "The folder holds an adapter to another model, not a model.",
            where=str(path / "adapter_config.json"),
            hint="Merge the adapter into its model and save that.",
        )
    if quantization := next((value for key, value in _items(config) if key == "quantization_config" and value), None):
        method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
        raise UnsupportedError(
            f"The weights are quantized ({method}).",
            where=str(path / CONFIG),
            hint="Convert the model as it was before.",
        )
    if not any(path.glob("*.safetensors")):
        others = sorted(
            file.name for suffix in ("bin", "pt", "pth", "h5", "msgpack") for file in path.glob(f"*.{suffix}")
        )
        if others:
            raise SourceError(
                f"The weights are in {others[0]}, which can run code when it is read.",
                where=str(path),
                hint="Load the model where you trust it and save it again: save_pretrained writes safetensors.",
            )
        raise UsageError("The folder has no weights in it: no .safetensors file.", where=str(path))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of nested JSON objects."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from item.items()
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
