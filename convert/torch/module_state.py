"""Finding what a module changes of itself from call to call: buffers, and tensors that are plain attributes."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from transload.convert.structure import map_leaves
from transload.convert.torch.reference import StateTensor, get_attribute, set_attribute
from transload.serialize.errors import UnsupportedError, UnsupportedOperation

_Kept = tuple[Any, Any]
"""An attribute's value, and a copy of it from when it was looked at."""


def find_state(
    module: torch.nn.Module, call: Callable[[], object], taken: Mapping[str, Any]
) -> tuple[StateTensor, ...]:
    """The attributes that calls change, with names for the tensors that carry them.

    What was no tensor before the first call, and is not changed by the second, is a cache that has been filled.
    Afterwards every attribute that was there has its former value.

    Args:
        module: The source, in eval mode.
        call: Calls it.
        taken: The names of the inputs.

    Raises:
        UnsupportedError: the module changes numbers, or tensors inside of containers, or it makes its state in the
            first call; all such attributes are listed.
    """
    before = dict(_attributes(module))
    containers = list(_containers(module))
    try:
        call()
        between = dict(_attributes(module))
        call()
        after = dict(_attributes(module))
    finally:
        _refill(containers)
        _restore(module, before)
    changed = [
        path
        for path in after
        if (path in between and _differ(between[path], after[path]))
        or (_is_tensor(before.get(path)) and _differ(before[path], after[path]))
    ]
    refused = tuple(
        _refusal(path, before.get(path)) for path in changed if "/" in path or not _is_tensor(before.get(path))
    )
    if refused:
        raise UnsupportedError(
            "The module changes attributes from call to call that are no tensors of its own before the first call.",
            operations=refused,
            hint="Make state a buffer that has its dtype and rank from the start (register_buffer).",
        )
    found = []
    for path in changed:
        name = path
        while name in taken:
            name += "_state"
        found.append(StateTensor(path, name, f"{name}_next"))
    return tuple(found)


def _attributes(module: torch.nn.Module) -> Iterator[tuple[str, _Kept]]:
    """Every tensor and number among the attributes, with paths; those inside of lists and dicts too."""
    for path, value in _own_values(module):
        found: dict[str, Any] = {}
        if isinstance(value, list | tuple | dict):
            _collect(value, path, found)
        else:
            found[path] = value
        for place, item in found.items():
            if isinstance(item, torch.Tensor):
                yield place, (item, item.detach().clone())
            elif isinstance(item, bool | int | float):
                yield place, (item, item)


def _own_values(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    for prefix, child in module.named_modules():
        owned = dict(child.named_buffers(recurse=False))
        owned |= {name: value for name, value in vars(child).items() if not name.startswith("_") and name != "training"}
        for name, value in owned.items():
            yield f"{prefix}.{name}" if prefix else name, value


def _containers(module: torch.nn.Module) -> Iterator[tuple[Any, Any]]:
    """Every list and dict among the attributes and in them, with a shallow copy."""
    waiting = [value for _, value in _own_values(module)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | dict):
            yield value, copy.copy(value)
        if isinstance(value, list | tuple):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())


def _refill(containers: list[tuple[Any, Any]]) -> None:
    for value, former in containers:
        if isinstance(value, list):
            value[:] = former
        elif list(value) != list(former) or any(value[key] is not former[key] for key in former):
            value.clear()
            value.update(former)


def _collect(value: Any, path: str, found: dict[str, Any]) -> None:
    """Tensors in a container; numbers in containers are settings, of which there are many."""

    def keep(place: str, item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            found[place] = item
        return item

    try:
        map_leaves(value, keep, path)
    # Containers with keys or classes of their own are no state that could be carried.
    except (UnsupportedError, TypeError, ValueError):
        return


def _differ(one: _Kept, other: _Kept) -> bool:
    first, second = one[1], other[1]
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        same = first.dtype == second.dtype and first.shape == second.shape
        return not (same and torch.equal(first.nan_to_num(), second.nan_to_num()))
    return type(first) is not type(second) or first != second


def _is_tensor(kept: _Kept | None) -> bool:
    return kept is not None and isinstance(kept[0], torch.Tensor)


def _refusal(path: str, before: _Kept | None) -> UnsupportedOperation:
    if before is None:
        what = "not there before the first call"
    else:
        what = "a tensor inside of a container" if "/" in path else f"a Python {type(before[0]).__name__}"
    return UnsupportedOperation(path, reason=what)


def _restore(module: torch.nn.Module, before: Mapping[str, _Kept]) -> None:
    for path, (value, content) in before.items():
        if isinstance(value, torch.Tensor):
            with torch.no_grad():
                value.copy_(content)
        if "/" in path:
            continue
        # Models that choose another implementation in forward leave some attributes nowhere.
        with contextlib.suppress(AttributeError):
            if get_attribute(module, path) is not value:
                set_attribute(module, path, value)
