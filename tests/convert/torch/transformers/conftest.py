"""Tiny models as transformers saves them, with random weights in every layer, and their packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import PreTrainedModel

import transload as tl

VOCABULARY = 61
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
SPREAD = 0.4
"""The spread of weights with which a random decoder says more than the same word over and over."""
LABELS = {0: "nothing", 1: "a thing", 2: "Körper"}


def perturb(model: PreTrainedModel) -> PreTrainedModel:
    """The model in eval mode with all weights moved, so that no bias is 0 and no norm an identity."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator) * (weight.abs().mean() + 0.05))
    return model.eval()


def bert() -> transformers.BertConfig:
    return transformers.BertConfig(**TEXT, id2label=LABELS)


def gpt2() -> transformers.GPT2Config:
    return transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=SPREAD,
    )


def llama() -> transformers.LlamaConfig:
    return transformers.LlamaConfig(**TEXT, num_key_value_heads=2, initializer_range=SPREAD)


def vit() -> transformers.ViTConfig:
    sizes = {"image_size": 16, "patch_size": 4, "hidden_size": 32, "intermediate_size": 48}
    return transformers.ViTConfig(**sizes, num_hidden_layers=2, num_attention_heads=4, id2label=LABELS)


def wav2vec2() -> transformers.Wav2Vec2Config:
    convolutions = {"conv_dim": [16] * 3, "conv_kernel": [10, 3, 2], "conv_stride": [5, 2, 2]}
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "classifier_proj_size": 16}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return transformers.Wav2Vec2Config(vocab_size=20, **sizes, **convolutions, **positions, id2label=LABELS)


def t5() -> transformers.T5Config:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    return transformers.T5Config(vocab_size=VOCABULARY, **sizes, decoder_start_token_id=0, eos_token_id=2)


def whisper() -> transformers.WhisperConfig:
    sides = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in {"layers": 2, "attention_heads": 4, "ffn_dim": 48}.items()
    }
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    lengths = {"max_source_positions": 20, "max_target_positions": 64, "num_mel_bins": 8}
    return transformers.WhisperConfig(
        vocab_size=VOCABULARY, d_model=32, **sides, **tokens, **lengths, init_std=SPREAD, suppress_tokens=None
    )


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "bert": lambda: transformers.BertForSequenceClassification(bert()),
    "gpt2": lambda: transformers.GPT2LMHeadModel(gpt2()),
    "llama": lambda: transformers.LlamaForCausalLM(llama()),
    "t5": lambda: transformers.T5ForConditionalGeneration(t5()),
    "whisper": lambda: transformers.WhisperForConditionalGeneration(whisper()),
    "vit": lambda: transformers.ViTForImageClassification(vit()),
    "wav2vec2": lambda: transformers.Wav2Vec2ForSequenceClassification(wav2vec2()),
}


QUICKLY = ("wav2vec2", "whisper")
"""Models for which a test needs no full proof."""

COUNT = 50


def without_stop_tokens(logits: np.ndarray) -> np.ndarray:
    """The likeliest tokens but the one that ends a text: so `min_new_tokens` has it."""
    hidden = logits.copy()
    hidden[:, TEXT["eos_token_id"]] = -np.inf
    return np.asarray(hidden.argmax(-1), np.int64)


def ask_module(model: Any, **tensors: np.ndarray) -> np.ndarray:
    """The 50 tokens that transformers itself generates, greedily and without stopping."""
    given = {name: torch.from_numpy(array) for name, array in tensors.items()}
    tokens = model.generate(**given, max_new_tokens=COUNT, min_new_tokens=COUNT, do_sample=False, pad_token_id=0)
    return np.asarray(tokens[:, -COUNT:].numpy())


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    """The program samples/text_generation/generate.py."""
    path = Path(__file__).resolve().parents[4] / "samples" / "text_generation" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Saved = Callable[[str], tuple[Path, PreTrainedModel]]
Converted = Callable[[str], Path]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A model of `MODELS` and the folder that it was saved to."""
    made: dict[str, tuple[Path, PreTrainedModel]] = {}

    def save(name: str) -> tuple[Path, PreTrainedModel]:
        if name not in made:
            torch.manual_seed(0)
            model = perturb(MODELS[name]())
            folder = tmp_path_factory.mktemp("models") / name
            model.save_pretrained(folder)
            made[name] = folder, model
        return made[name]

    return save


@pytest.fixture(scope="session")
def converted(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The package of a model of `MODELS`."""
    made: dict[str, Path] = {}

    def convert(name: str) -> Path:
        if name not in made:
            package = tl.convert_model(saved(name)[0], proof="quick" if name in QUICKLY else "full")
            made[name] = package.save(tmp_path_factory.mktemp("packages") / f"{name}.tload")
        return made[name]

    return convert
