"""Decoders with a key/value cache: the components `prefill` and `decode`."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from transload.convert.torch.dimensions import Dimensions
from transload.convert.torch.transformers.cache import PAST as PAST_NAME
from transload.convert.torch.transformers.cache import PRESENT, as_past, build_cache, read_cache
from transload.convert.torch.transformers.part import Part
from transload.convert.torch.transformers.text import (
    BATCH,
    ENCODED,
    PAST,
    SEQUENCE,
    make_ids,
    make_mask,
    make_positions,
    takes,
    text_ranges,
)
from transload.convert.torch.transformers.whole import call_first, demand_agreement
from transload.serialize.errors import UnsupportedError

PREFILL, DECODE = "prefill", "decode"

MASK_COLUMNS = "past_length+sequence"


class CachedDecoder(torch.nn.Module):
    """Tokens, mask, positions and the past of each layer in; logits and the present of each layer out."""

    def __init__(self, model: transformers.PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        """`logits`, float[batch, sequence, vocabulary], and `present.<layer>.key`, `present.<layer>.value`."""
        given = {name: tensor for name, tensor in tensors.items() if not name.startswith(PAST_NAME)}
        outputs: Any = self.model(**given, past_key_values=build_cache(tensors), use_cache=True, return_dict=True)
        return {"logits": outputs.logits, **read_cache(outputs.past_key_values)}


def decoder_parts(model: transformers.PreTrainedModel) -> tuple[Part, Part]:
    """`prefill`, which reads a text, and `decode`, which goes on after a past of any length, none included.

    Raises:
        UnsupportedError: the model has no cache, or keeps something else from step to step.
    """
    if not takes(model, "past_key_values"):
        raise UnsupportedError("The model takes no past.")
    module = CachedDecoder(model)
    start = _tokens(model, make_mask(BATCH, ENCODED), ENCODED)
    step = _tokens(model, make_mask(BATCH, PAST + SEQUENCE), SEQUENCE)
    past = as_past(call_first(module, _tokens(model, torch.ones(BATCH, PAST, dtype=torch.int64), PAST)))
    if any(tensor.dim() != 4 or tensor.shape[2] != PAST for tensor in past.values()):
        raise UnsupportedError("The keys and values are not of the form [batch, heads, length, width].")
    _demand_same_as_whole(module)
    ranges = text_ranges(model)
    layers: Dimensions = {name: {0: "batch", 2: "past_length"} for name in past}
    return (
        Part(
            PREFILL,
            module,
            start,
            _token_dimensions(start, "sequence"),
            integer_ranges=ranges,
            must_vary=frozenset({"batch", "sequence"}),
        ),
        Part(
            DECODE,
            module,
            {**step, **past},
            {**_token_dimensions(step, MASK_COLUMNS), **layers},
            {name.replace(PAST_NAME, PRESENT, 1): {2: MASK_COLUMNS} for name in past},
            integer_ranges=ranges,
            may_be_empty=frozenset({"past_length"}),
            must_vary=frozenset({"batch", "past_length"}),
        ),
    )


def _tokens(model: transformers.PreTrainedModel, mask: torch.Tensor, length: int) -> dict[str, torch.Tensor]:
    """Inputs for the last `length` tokens below a mask of all of them."""
    tensors = {"input_ids": make_ids(model, len(mask), length)}
    if takes(model, "attention_mask"):
        tensors["attention_mask"] = mask
    if takes(model, "position_ids"):
        tensors["position_ids"] = make_positions(mask, length)
    return tensors


def _token_dimensions(tensors: dict[str, torch.Tensor], mask_columns: str) -> Dimensions:
    return {name: {0: "batch", 1: mask_columns if name == "attention_mask" else "sequence"} for name in tensors}


def _demand_same_as_whole(module: CachedDecoder) -> None:
    """Reading a text in two steps must give what reading it at once gives."""
    mask = torch.ones(BATCH, PAST + SEQUENCE, dtype=torch.int64)
    whole = _tokens(module.model, mask, PAST + SEQUENCE)
    first = {name: tensor[:, :PAST] for name, tensor in whole.items()}
    second = {name: tensor if name == "attention_mask" else tensor[:, PAST:] for name, tensor in whole.items()}
    with torch.no_grad():
        logits = module.model(**whole, use_cache=False).logits
        left = module(**first)
        right = module(**second, **as_past(left))
    demand_agreement(logits, torch.cat((left["logits"], right["logits"]), 1))
