"""Loading a safetensors file into a module that a factory made."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from transload.serialize.errors import SourceError, UsageError


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Copy every tensor of the file into the parameter or buffer of its name.

    Tied weights may be in the file under any one of their names.

    Raises:
        UsageError: there is no such file, or names or shapes do not fit; every one is listed.
        SourceError: the file is damaged.
    """
    if not path.is_file():
        raise UsageError("There is no such weights file.", where=str(path))
    targets = module.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            problems = [f"unexpected: {name}" for name in sorted(names - set(targets))]
            problems += [f"missing: {name}" for name in _missing(targets, names)]
            problems += [
                f"shape of {name}: {found} in the file, {list(targets[name].shape)} in the module"
                for name in sorted(names & set(targets))
                if (found := file.get_slice(name).get_shape()) != list(targets[name].shape)
            ]
            if problems:
                raise UsageError("The weights do not fit the module.", where=str(path), hint="\n  ".join(problems))
            with torch.no_grad():
                for name in names:
                    targets[name].copy_(file.get_tensor(name))
    except SafetensorError as error:
        raise SourceError(f"The weights file is damaged: {error}.", where=str(path)) from error


def _missing(targets: dict[str, torch.Tensor], names: set[str]) -> list[str]:
    """Names that are in the module only, unless a tensor of the file fills the same memory."""
    filled = {_memory(targets[name]) for name in names & set(targets)}
    return [name for name in targets if name not in names and _memory(targets[name]) not in filled]


def _memory(tensor: torch.Tensor) -> tuple[int, torch.Size, tuple[int, ...]] | int:
    # An empty tensor has no memory of its own to tell it by.
    return (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else id(tensor)
