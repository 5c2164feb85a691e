"""Loading a safetensors file into a module that a factory made."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from transload.serialize.errors import SourceError, UsageError


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Put every tensor of the file into the parameter or buffer of its name.

    Tied weights may be in the file under any one of their names. What is on the meta device gets memory here, so that a
    large module need not be filled with random numbers first.

    Raises:
        UsageError: there is no such file, or names or shapes do not fit; every one is listed.
        SourceError: the file is damaged.
    """
    if not path.is_file():
        raise UsageError("There is no such weights file.", where=str(path))
    targets = _state(module)
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
                    _fill(targets[name], file.get_tensor(name))
    except SafetensorError as error:
        raise SourceError(f"The weights file is damaged: {error}.", where=str(path)) from error


def refuse_missing_memory(module: torch.nn.Module) -> None:
    """Refuse a module with tensors on the meta device, which have a shape and no values.

    Raises:
        UsageError: it has some; all are named.
    """
    tensors = [*module.named_parameters(), *module.named_buffers()]
    if missing := [name for name, tensor in tensors if tensor.is_meta]:
        raise UsageError(
            f"The module has tensors without values (on the meta device): {', '.join(missing)}.",
            hint="Give --weights FILE.safetensors; buffers that no file holds have to be made on the CPU.",
        )


def _state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of the state dict, themselves, under all of their names."""
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    return {name: tensors.get(name, value) for name, value in module.state_dict().items()}


def _fill(target: torch.Tensor, content: torch.Tensor) -> None:
    if not target.is_meta:
        target.copy_(content)
        return
    content = content.to(target.dtype)
    if isinstance(target, torch.nn.Parameter):
        content = torch.nn.Parameter(content, requires_grad=target.requires_grad)
    # In place, so that tied weights stay tied.
    torch.utils.swap_tensors(target, content)  # type: ignore[no-untyped-call]


def _missing(targets: dict[str, torch.Tensor], names: set[str]) -> list[str]:
    """Names that are in the module only, unless a tensor of the file fills the same memory."""
    filled = {_memory(targets[name]) for name in names & set(targets)}
    return [name for name in targets if name not in names and _memory(targets[name]) not in filled]


def _memory(tensor: torch.Tensor) -> tuple[int, torch.Size, tuple[int, ...]] | int:
    # Empty tensors and those on the meta device have no memory of their own to tell them by.
    if tensor.is_meta or not tensor.numel():
        return id(tensor)
    return tensor.data_ptr(), tensor.shape, tensor.stride()
