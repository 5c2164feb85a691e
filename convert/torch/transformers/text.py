"""Examples of token ids, masks and positions, and what range their integers have."""

from __future__ import annotations

import inspect

import torch
import transformers

BATCH, PAST, SEQUENCE, CHOICES = 2, 5, 3, 4
"""Sizes in the examples: no two are equal, none is 1, and neither is a sum of two of them one of the others."""

ENCODED = 7
"""The length of what an encoder takes."""

Ranges = dict[str, tuple[int, int]]


def make_ids(model: transformers.PreTrainedModel, *shape: int) -> torch.Tensor:
    """Token ids, int64, from anywhere in the vocabulary; the same on every call."""
    generator = torch.Generator().manual_seed(shape[-1])
    return torch.randint(0, vocabulary_size(model), shape, generator=generator)


def make_mask(*shape: int) -> torch.Tensor:
    """A mask, int64, that hides the first tokens of the first row: left padding, as generation in batches has it."""
    mask = torch.ones(shape, dtype=torch.int64)
    mask.reshape(-1, shape[-1])[0, : max(1, shape[-1] // 3)] = 0
    return mask


def make_positions(mask: torch.Tensor, length: int) -> torch.Tensor:
    """The positions of the last `length` tokens, counted from each row's first token that is not hidden, int64."""
    return (mask.cumsum(-1) - 1).clamp(min=0)[:, -length:]


def vocabulary_size(model: transformers.PreTrainedModel) -> int:
    """How many rows the table of the input tokens has."""
    table = model.get_input_embeddings()
    return int(getattr(table, "num_embeddings", 0) or model.config.get_text_config().vocab_size)


def text_ranges(model: transformers.PreTrainedModel) -> Ranges:
    """The ranges of integers that the configuration tells."""
    config = model.config.get_text_config()
    ranges = {"input_ids": (0, vocabulary_size(model) - 1)}
    if positions := getattr(config, "max_position_embeddings", None):
        ranges["position_ids"] = (0, int(positions) - 1)
    if kinds := getattr(config, "type_vocab_size", None):
        ranges["token_type_ids"] = (0, int(kinds) - 1)
    return ranges


def takes(model: torch.nn.Module, parameter: str) -> bool:
    """Whether the model's forward has a parameter of that name."""
    return parameter in inspect.signature(model.forward).parameters
