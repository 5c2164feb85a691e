"""The caches of transformers as structure: a list of layers, each a dict of its tensors."""

from __future__ import annotations

import copy
from typing import Any

import torch

from transload.convert.structure import CONTAINERS, Container


def _open_layers(cache: Any) -> list[Any]:
    return list(cache.layers)


def _close_layers(cache: Any, layers: list[Any]) -> Any:
    made = copy.copy(cache)
    made.layers = layers
    return made


def _open_layer(layer: Any) -> dict[str, Any]:
    """The layer's tensors (`keys`, `values`), and dicts of them by the number of a state (`conv_states`)."""
    found: dict[str, Any] = {}
    for name, value in vars(layer).items():
        if name.startswith("_"):
            continue
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict) and any(isinstance(item, torch.Tensor) for item in value.values()):
            found[name] = {str(key): item for key, item in value.items()}
    return found


def _close_layer(layer: Any, content: dict[str, Any]) -> Any:
    made = copy.copy(layer)
    for name, value in vars(layer).items():
        # What the layer says of its states is changed in place by the next call.
        if isinstance(value, dict):
            setattr(made, name, dict(value))
    for name, value in content.items():
        if isinstance(value, dict):
            value = dict(zip(getattr(layer, name), value.values(), strict=True))
        setattr(made, name, value)
    if isinstance(getattr(layer, "cumulative_length", None), int):
        made.cumulative_length = content["keys"].shape[-2] if "keys" in content else 0
    return made


def _open_pair(cache: Any) -> dict[str, Any]:
    return {name: getattr(cache, name) for name in ("self_attention_cache", "cross_attention_cache")}


def _close_pair(cache: Any, content: dict[str, Any]) -> Any:
    made = copy.copy(cache)
    for name, value in content.items():
        setattr(made, name, value)
    made.is_updated = dict(cache.is_updated)
    return made


CONTAINERS.update(
    {
        "transformers.cache_utils.Cache": Container(_open_layers, _close_layers),
        "transformers.cache_utils.CacheLayerMixin": Container(_open_layer, _close_layer),
        "transformers.cache_utils.LinearAttentionCacheLayerMixin": Container(_open_layer, _close_layer),
        "transformers.cache_utils.EncoderDecoderCache": Container(_open_pair, _close_pair),
    }
)
