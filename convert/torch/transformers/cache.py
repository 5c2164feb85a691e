"""Between transformers' key/value caches and named tensors: `past_key_values.0.key`, `present.0.key`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from transload.convert.structure import nest
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import Dict, List, Node

PAST, PRESENT = "past_key_values", "present"
KEY, VALUE = "key", "value"


def build_cache(tensors: Mapping[str, torch.Tensor], slot: str = "") -> DynamicCache:
    """A cache of the tensors `past_key_values.<layer>.<slot.>key` and `.value`; empty where there are none."""
    # Without the configuration, so that layers with a window keep all of the past as well: the mask hides what is out
    # of it, and every layer's past has one length.
    cache = DynamicCache()
    layer = 0
    while (name := f"{PAST}.{layer}.{slot}{KEY}") in tensors:
        cache.update(tensors[name], tensors[f"{PAST}.{layer}.{slot}{VALUE}"], layer)
        layer += 1
    return cache


def read_cache(cache: Any, slot: str = "") -> dict[str, torch.Tensor]:
    """The cache's tensors, float[batch, heads, length, width], as `present.<layer>.<slot.>key` and `.value`.

    Raises:
        UnsupportedError: the model keeps something else from step to step than keys and values.
    """
    layers: list[Any] = cache.layers if isinstance(cache, Cache) else [cache]
    found: dict[str, torch.Tensor] = {}
    for number, layer in enumerate(layers):
        if type(layer) is not DynamicLayer or layer.keys is None or layer.values is None:
            kind = type(layer).__name__
            raise UnsupportedError(f"What layer {number} keeps from step to step is not keys and values: {kind}.")
        found[f"{PRESENT}.{number}.{slot}{KEY}"] = layer.keys
        found[f"{PRESENT}.{number}.{slot}{VALUE}"] = layer.values
    return found


def as_past(present: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a step gave, as what the next one takes."""
    return {
        name.replace(PRESENT, PAST, 1): tensor for name, tensor in present.items() if name.startswith(f"{PRESENT}.")
    }


def nest_layers(trees: Mapping[str, Node]) -> dict[str, Node]:
    """Parameters or results whose names have dots in them, as one list of layers, each a dict; others as they are."""
    return {name: _as_node(value) for name, value in nest({k.replace(".", "/"): v for k, v in trees.items()}).items()}


def _as_node(value: Any) -> Node:
    match value:
        case dict():
            return Dict({key: _as_node(item) for key, item in value.items()})
        case list():
            return List(tuple(map(_as_node, value)))
        case _:
            node: Node = value
            return node
