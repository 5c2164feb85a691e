"""The caches of transformers as structure: what they rest on in transformers, and a way there and back."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from transformers import DynamicCache, EncoderDecoderCache, LlamaConfig

import transload.convert.torch.caches  # noqa: F401  (makes caches known as containers)
from transload.convert.structure import CONTAINERS, map_leaves


def filled(layers: int = 2, length: int = 3) -> DynamicCache:
    cache = DynamicCache()
    for layer in range(layers):
        cache.update(torch.full((1, 2, length, 4), layer + 1.0), torch.full((1, 2, length, 4), layer + 5.0), layer)
    return cache


def windowed() -> DynamicCache:
    config = LlamaConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2, vocab_size=7)
    config.sliding_window = 2
    config.layer_types = ["sliding_attention"]
    cache = DynamicCache(config=config)
    cache.update(torch.ones(1, 2, 5, 4), torch.ones(1, 2, 5, 4), 0)
    return cache


def paths(value: Any) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}

    def keep(path: str, item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            found[path] = item
        return item

    map_leaves(value, keep, "cache")
    return found


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name.startswith("transformers.")])
def test_transformers_still_has_the_class(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), attribute), type)


def test_a_cache_is_a_list_of_layers_with_keys_and_values() -> None:
    found = paths(filled())
    assert list(found) == ["cache/0/keys", "cache/0/values", "cache/1/keys", "cache/1/values"]
    assert found["cache/1/values"].unique().tolist() == [6.0]


def test_an_encoder_decoder_cache_is_a_pair() -> None:
    found = paths(EncoderDecoderCache(filled(1), filled(1, 5)))
    assert {path.split("/")[1] for path in found} == {"self_attention_cache", "cross_attention_cache"}


@pytest.mark.parametrize("make", [filled, windowed])
def test_a_cache_made_anew_holds_the_other_tensors_and_leaves_the_first_alone(make: Any) -> None:
    cache = make()
    before = {path: tensor.clone() for path, tensor in paths(cache).items()}
    made = map_leaves(cache, lambda path, item: item * 2 if isinstance(item, torch.Tensor) else item, "cache")
    assert type(made) is type(cache)
    assert made.get_seq_length() == cache.get_seq_length() or make is windowed
    assert {path: tensor.tolist() for path, tensor in paths(made).items()} == {
        path: (tensor * 2).tolist() for path, tensor in before.items()
    }
    made.update(torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4), 0)
    assert {path: tensor.tolist() for path, tensor in paths(cache).items()} == {
        path: tensor.tolist() for path, tensor in before.items()
    }
