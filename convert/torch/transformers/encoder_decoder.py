"""Encoder-decoders: the components `encode` and `decode`."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from transload.convert.torch.transformers.cache import PAST as PAST_NAME
from transload.convert.torch.transformers.cache import PRESENT, as_past, build_cache, read_cache
from transload.convert.torch.transformers.part import Part
from transload.convert.torch.transformers.single import main_example
from transload.convert.torch.transformers.text import BATCH, PAST, SEQUENCE, make_ids, text_ranges
from transload.convert.torch.transformers.whole import call_first, demand_agreement
from transload.serialize.errors import UnsupportedError

ENCODE, DECODE = "encode", "decode"

DECODER, ENCODER = "decoder.", "encoder."
"""Which attention keys and values belong to, in their names: that over the tokens so far, or that over the source."""

ENCODER_MASK = "encoder_attention_mask"


class Encode(torch.nn.Module):
    """The source in; the encoder's states, and the keys and values that each layer of the decoder makes of them, out.

    With these the decoder need not make them again for every token.
    """

    def __init__(self, model: transformers.PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        """`last_hidden_state`, float[batch, source, width], and `present.<layer>.encoder.key` and `.value`."""
        # Any token will do: it adds nothing to keys and values of the source.
        first = next(iter(tensors.values()))
        outputs: Any = self.model(
            **tensors,
            decoder_input_ids=torch.zeros((first.shape[0], 1), dtype=torch.int64),
            past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
            use_cache=True,
            return_dict=True,
        )
        cross = read_cache(_attentions(outputs.past_key_values).cross_attention_cache, ENCODER)
        return {"last_hidden_state": outputs.encoder_last_hidden_state, **cross}


class Decode(torch.nn.Module):
    """Tokens, the source's mask, keys and values, and the past in; logits and the present out."""

    def __init__(self, model: transformers.PreTrainedModel, width: int) -> None:
        super().__init__()
        self.model = model
        self._width = width

    def forward(self, **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        """`logits`, float[batch, sequence, vocabulary], and `present.<layer>.decoder.key` and `.value`."""
        keys = tensors[f"{PAST_NAME}.0.{ENCODER}key"]
        # The decoder looks at the states' sizes alone, since it has their keys and values already.
        states = torch.zeros((keys.shape[0], keys.shape[2], self._width), dtype=keys.dtype)
        outputs: Any = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=tensors.get(ENCODER_MASK),
            decoder_input_ids=tensors["input_ids"],
            past_key_values=EncoderDecoderCache(build_cache(tensors, DECODER), build_cache(tensors, ENCODER)),
            use_cache=True,
            return_dict=True,
        )
        cache = _attentions(outputs.past_key_values)
        return {"logits": outputs.logits, **read_cache(cache.self_attention_cache, DECODER)}


def encoder_decoder_parts(model: transformers.PreTrainedModel) -> tuple[Part, Part]:
    """`encode`, which reads the source, and `decode`, which writes on after a past of any length, none included.

    Raises:
        UnsupportedError: the model has no cache, or keeps something else from step to step.
        UsageError: its source is neither text, image nor sound.
    """
    encode = Encode(model)
    example, dimensions = main_example(model, encode, source="source")
    encoded = call_first(encode, example)
    decode = Decode(model, encoded["last_hidden_state"].shape[-1])
    _demand_same_as_whole(encode, decode, example)
    cross = as_past(encoded)
    step: dict[str, torch.Tensor] = {"input_ids": make_ids(model, BATCH, SEQUENCE)}
    columns: dict[str, dict[int, str]] = {"input_ids": {0: "batch", 1: "sequence"}}
    if "attention_mask" in example:
        step[ENCODER_MASK] = example["attention_mask"]
        columns[ENCODER_MASK] = {0: "batch", 1: "source"}
    past = as_past(call_first(decode, {**step, "input_ids": make_ids(model, BATCH, PAST), **cross}))
    if any(tensor.dim() != 4 or tensor.shape[2] != PAST for tensor in past.values()):
        raise UnsupportedError("The keys and values are not of the form [batch, heads, length, width].")
    is_dynamic = any("source" in axes.values() for axes in dimensions.values())
    source_axes = {0: "batch", 2: "source"} if is_dynamic else {0: "batch"}
    layers = {**{key: {0: "batch", 2: "past_length"} for key in past}, **dict.fromkeys(cross, source_axes)}
    ranges = text_ranges(model)
    return (
        Part(ENCODE, encode, example, dimensions, integer_ranges=ranges, must_vary=frozenset({"batch"})),
        Part(
            DECODE,
            decode,
            {**step, **_in_layers(past, cross)},
            {**columns, **layers},
            {name.replace(PAST_NAME, PRESENT, 1): {2: "past_length+sequence"} for name in past},
            integer_ranges=ranges,
            may_be_empty=frozenset({"past_length"}),
            must_vary=frozenset({"batch", "past_length"}),
        ),
    )


def _in_layers(past: dict[str, torch.Tensor], cross: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Both attentions' tensors, layer by layer."""
    names = sorted((*past, *cross), key=lambda name: (int(name.split(".")[1]), ENCODER in name))
    return {name: {**past, **cross}[name] for name in names}


def _attentions(cache: Any) -> EncoderDecoderCache:
    if not isinstance(cache, EncoderDecoderCache):
        raise UnsupportedError(f"What the model keeps from step to step is a {type(cache).__name__}.")
    return cache


def _demand_same_as_whole(encode: Encode, decode: Decode, example: dict[str, torch.Tensor]) -> None:
    """Writing in two steps after `encode` must give what the model gives at once."""
    ids = make_ids(encode.model, BATCH, PAST + SEQUENCE)
    mask = {ENCODER_MASK: example["attention_mask"]} if "attention_mask" in example else {}
    with torch.no_grad():
        model: Any = encode.model
        whole = model(**example, decoder_input_ids=ids, use_cache=False).logits
        cross = as_past(encode(**example))
        left = decode(input_ids=ids[:, :PAST], **mask, **cross)
        right = decode(input_ids=ids[:, PAST:], **mask, **cross, **as_past(left))
    demand_agreement(whole, torch.cat((left["logits"], right["logits"]), 1))
