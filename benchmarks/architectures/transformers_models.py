"""Tiny random members of transformers' model types, with example inputs."""

from __future__ import annotations

import inspect
from typing import Any

import torch

SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "n_embed", "embed_dim"), 32),
    **dict.fromkeys(("encoder_hidden_size", "decoder_hidden_size", "projection_dim", "embedding_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_encoder_layers", "num_decoder_layers", "num_kv_shared_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "n_head_kv"), 2),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "n_inner"), 64),
    **dict.fromkeys(("hidden_dim", "moe_intermediate_size", "shared_expert_intermediate_size", "ffn_hidden_size"), 64),
    **dict.fromkeys(("head_dim", "d_kv", "kv_channels"), 8),
    **dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k"), 2),
    **dict.fromkeys(("vocab_size", "text_vocab_size"), 99),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_source_positions", "n_ctx", "max_seq_len"), 64),
    **dict.fromkeys(("sliding_window", "attention_window", "local_attention"), 4),
    "image_size": 32,
    "patch_size": 8,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "num_mel_bins": 16,
}
"""Small values for the settings that configurations share; only those that a configuration has are set."""

TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "image_token_id": 98}


def make(model_type: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The base model of a type, random, and keyword arguments for it."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(model_type)
    shrink(config)
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in AutoModel.from_config(config).parameters())
    if count > 30e6:
        raise ValueError(f"{count / 1e6:.0f} million parameters are no tiny model")
    torch.manual_seed(0)
    model = AutoModel.from_config(config)
    return model, make_inputs(model)


def shrink(config: Any) -> None:
    """Give a configuration, and those inside of it, small sizes."""
    from transformers import PretrainedConfig

    keys = dict.fromkeys([*vars(config), *config.attribute_map])
    before = getattr(config, "num_hidden_layers", None)
    for name in keys:
        value = getattr(config, name, None)
        if isinstance(value, PretrainedConfig):
            shrink(value)
        elif name in SIZES and isinstance(value, int) and not isinstance(value, bool) and value > 0:
            setattr(config, name, min(value, SIZES[name]))
        elif name in TOKENS and isinstance(value, int) and value >= 99:
            setattr(config, name, TOKENS[name])
        elif name == "layer_types" and isinstance(value, list) and before:
            kinds = list(dict.fromkeys(value))
            setattr(config, name, [kinds[index % len(kinds)] for index in range(2)])


def make_inputs(model: torch.nn.Module) -> dict[str, Any]:
    """Example inputs by the model's main input."""
    config: Any = model.config
    generator = torch.Generator().manual_seed(1)
    name = model.main_input_name
    if name == "pixel_values":
        size = getattr(config, "image_size", 32)
        size = size if isinstance(size, int) else 32
        channels = getattr(config, "num_channels", 3)
        inputs: dict[str, Any] = {name: torch.randn(2, channels, size, size, generator=generator)}
        parameters = inspect.signature(model.forward).parameters
        if "interpolate_pos_encoding" in parameters:
            inputs["interpolate_pos_encoding"] = True
        if "noise" in parameters:
            # Of which patches are masked at random.
            inputs["noise"] = torch.rand(2, (size // config.patch_size) ** 2, generator=generator)
        return inputs
    if name == "input_values":
        return {name: torch.randn(2, 1200, generator=generator)}
    if name == "input_features":
        return {name: torch.randn(2, getattr(config, "num_mel_bins", 16), 40, generator=generator)}
    tokens = torch.randint(3, 90, (2, 7), generator=generator)
    inputs = {"input_ids": tokens, "attention_mask": torch.tensor([[1] * 7, [1] * 5 + [0] * 2])}
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(3, 90, (2, 5), generator=generator)
    return inputs
