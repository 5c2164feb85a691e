"""Decoders with a key/value cache: token for token what the module generates, over weights that are stored once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import transload as tl
from transload.serialize import Package, open_package
from transload.serialize.errors import UsageError
from transload.serialize.interface import input_tensors, output_tensors

from .conftest import COUNT, SPREAD, TEXT, VOCABULARY, Converted, Saved, ask_module, perturb, without_stop_tokens

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_fifty_tokens_are_those_of_the_module(
    name: str, saved: Saved, converted: Converted, sample: ModuleType
) -> None:
    path, model = converted(name), saved(name)[1]
    prefill, decode = tl.load(path, "prefill"), tl.load(path, "decode")
    ids, mask = sample.pad_left([[5, 9, 17, 3, 40]], 0)
    found = sample.generate(prefill, decode, ids, mask, COUNT, without_stop_tokens)
    assert found.tolist() == ask_module(model, input_ids=ids, attention_mask=mask).tolist()
    assert len(set(found[0].tolist())) > 9, "a text of one token would show nothing"


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_fifty_tokens_of_a_batch_with_left_padding_are_those_of_the_module(
    name: str, saved: Saved, converted: Converted, sample: ModuleType
) -> None:
    path, model = converted(name), saved(name)[1]
    prefill, decode = tl.load(path, "prefill"), tl.load(path, "decode")
    ids, mask = sample.pad_left([[5, 9, 17, 3, 40, 8, 21], [33, 12]], 0)
    assert mask.tolist()[1] == [0, 0, 0, 0, 0, 1, 1]
    found = sample.generate(prefill, decode, ids, mask, COUNT, without_stop_tokens)
    assert found.tolist() == ask_module(model, input_ids=ids, attention_mask=mask).tolist()
    alone = sample.generate(prefill, decode, *sample.pad_left([[33, 12]], 0), COUNT, without_stop_tokens)
    assert found[1].tolist() == alone[0].tolist()


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_weights_are_stored_once(name: str, saved: Saved, converted: Converted) -> None:
    opened = open_package(converted(name))
    assert opened.component_names == ("prefill", "decode")
    [data] = {opened.data_member(component).name for component in opened.component_names}
    weights = sum(weight.nbytes for weight in saved(name)[1].parameters())
    stored = sum(member.size_bytes for name, member in opened.members.items() if name.endswith(".data"))
    # Weights of less than 1 KiB lie in the graphs; the others each at a multiple of 64 bytes.
    assert 0.9 * weights <= stored <= 1.02 * weights
    assert data.startswith("shared_assets/")


def test_names_and_dimensions_are_those_that_users_of_optimum_know(converted: Converted) -> None:
    interface = open_package(converted("llama")).interface("decode")
    shapes = {tensor.name: tensor.shape for tensor in (*input_tensors(interface), *output_tensors(interface))}
    layer = ("batch", 2, "past_length", 8)
    assert shapes["input_ids"] == shapes["position_ids"] == ("batch", "sequence")
    assert shapes["attention_mask"] == ("batch", "past_length+sequence")
    assert shapes["past_key_values.1.key"] == shapes["past_key_values.0.value"] == layer
    assert shapes["present.1.value"] == ("batch", 2, "past_length+sequence", 8)
    assert shapes["logits"] == ("batch", "sequence", VOCABULARY)
    assert list(interface.inputs) == ["input_ids", "attention_mask", "position_ids", "past_key_values"]


def test_an_empty_past_is_proven_and_gives_what_prefill_gives(converted: Converted) -> None:
    path = converted("gpt2")
    assert "past_length=0" in [case.name for case in open_package(path).interface("decode").proof.cases]
    feed = {
        "input_ids": np.array([[0, 7, 8], [4, 5, 6]]),
        "attention_mask": np.array([[0, 1, 1], [1, 1, 1]]),
        "position_ids": np.array([[0, 0, 1], [0, 1, 2]]),
    }
    nothing = np.zeros((2, 4, 0, 8), np.float32)
    first = tl.load(path, "prefill")(**feed)
    again = tl.load(path, "decode")(**feed, past_key_values=[{"key": nothing, "value": nothing}] * 2)
    np.testing.assert_allclose(first["logits"], again["logits"], atol=1e-5)


def test_a_mask_of_the_wrong_length_is_refused(converted: Converted) -> None:
    past = np.zeros((1, 4, 3, 8), np.float32)
    with pytest.raises(UsageError, match=r"'past_length\+sequence' is 3 (.|\n)*4 by its terms"):
        tl.load(converted("gpt2"), "decode")(
            input_ids=np.array([[1]]),
            attention_mask=np.ones((1, 3), np.int64),
            position_ids=np.array([[3]]),
            past_key_values=[{"key": past, "value": past}] * 2,
        )


def test_rows_that_see_nothing_are_as_in_the_module(saved: Saved, converted: Converted) -> None:
    """The first positions of a padded row see no token at all; some exporters give other values, or NaN, there."""
    for name in ("gpt2", "llama"):
        ids, mask = np.array([[3, 4, 5, 6]]), np.array([[0, 0, 1, 1]])
        positions = np.array([[0, 0, 0, 1]])
        feed = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        with torch.no_grad():
            expected = saved(name)[1](**{key: torch.from_numpy(value) for key, value in feed.items()}).logits
        found = tl.load(converted(name), "prefill")(**feed)["logits"]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("MistralForCausalLM", {**TEXT, "num_key_value_heads": 2, "sliding_window": 4}),
        ("OPTForCausalLM", {**TEXT, "ffn_dim": 48, "word_embed_proj_dim": 32}),
        ("BloomForCausalLM", {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    ],
)
def test_windows_offsets_and_alibi(
    architecture: str, config: dict[str, Any], tmp_path: Path, sample: ModuleType
) -> None:
    cls = getattr(transformers, architecture)
    torch.manual_seed(0)
    model = perturb(
        cls(cls.config_class(**{**config, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": SPREAD}))
    )
    model.save_pretrained(tmp_path / "model")
    path = tl.convert_model(tmp_path / "model", proof="quick").save(tmp_path / "m.tload")
    ids, mask = sample.pad_left([[5, 9, 17, 3, 40, 8], [33, 12]], 0)
    found = sample.generate(tl.load(path, "prefill"), tl.load(path, "decode"), ids, mask, COUNT, without_stop_tokens)
    assert found.tolist() == ask_module(model, input_ids=ids, attention_mask=mask).tolist()


def test_a_decoder_without_keys_and_values_is_not_taken_for_one(tmp_path: Path) -> None:
    """Its state cannot be carried; and its loop over the text, unrolled, has the example's length."""
    config = transformers.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4)
    perturb(transformers.MambaForCausalLM(config)).save_pretrained(tmp_path / "model")
    with pytest.raises(tl.MismatchError, match="'sequence' cannot be dynamic"):
        tl.convert_model(tmp_path / "model", proof="quick")


def test_the_sampler_draws_by_probability(sample: ModuleType) -> None:
    logits = np.log(np.tile([0.5, 0.3, 0.15, 0.05], (4000, 1)))
    drawn = np.bincount(sample.make_sampler(1.0, None, 0)(logits), minlength=4) / 4000
    np.testing.assert_allclose(drawn, [0.5, 0.3, 0.15, 0.05], atol=0.03)
    best = np.bincount(sample.make_sampler(1.0, 2, 0)(logits), minlength=4) / 4000
    np.testing.assert_allclose(best, [0.625, 0.375, 0, 0], atol=0.03)
    cold = sample.make_sampler(0.05, None, 0)(logits)
    assert (cold == 0).mean() > 0.99


def test_the_program_prints_token_ids_and_texts(
    saved: Saved, converted: Converted, sample: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w0"))
    tokenizer.pre_tokenizer = Whitespace()
    package = open_package(converted("llama")).to_package()
    assets = {**package.assets, "tokenizer.json": tokenizer.to_str().encode()}
    path = Package(package.name, package.components, package.resources, assets).save(tmp_path / "m.tload")
    sample.main([str(path), "--ids", "5,9,17", "--ids", "8", "--count", "6"])
    first = capsys.readouterr().out.splitlines()
    assert all(len(line.split(",")) == 6 for line in first) and len(first) == 2
    sample.main([str(path), "--text", "w5 w9 w17", "--text", "w8", "--count", "6"])
    assert capsys.readouterr().out.replace("w", "").replace(" ", ",").splitlines() == first
    sample.main([str(path), "--ids", "5,9,17", "--count", "6", "--temperature", "2", "--top-k", "9", "--seed", "3"])
    drawn = capsys.readouterr().out
    sample.main([str(path), "--ids", "5,9,17", "--count", "6", "--temperature", "2", "--top-k", "9", "--seed", "3"])
    assert capsys.readouterr().out == drawn
    assert drawn.splitlines() != first[:1]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_fifty_tokens_from_cpp_are_those_of_the_module(
    name: str, saved: Saved, converted: Converted, generate_cpp: Path
) -> None:
    prompt = [5, 9, 17, 3, 40]
    command = [str(generate_cpp), str(converted(name)), str(COUNT), *map(str, prompt)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [int(word) for word in done.stdout.split()]
    tokens = torch.tensor([prompt])
    with torch.no_grad():
        for _ in range(COUNT):
            # The whole text every time, without a cache.
            best = saved(name)[1](tokens, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
            tokens = torch.cat((tokens, best), 1)
    assert found == tokens[0, len(prompt) :].tolist()
    assert len(set(found)) > 9, "a text of one token would show nothing"


@pytest.fixture(scope="module")
def generate_cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """samples/text_generation/generate.cpp, compiled over the built loader."""
    build, program = ROOT / "build" / "cpp", tmp_path_factory.mktemp("cpp") / "generate"
    assert (build / "libtransload.so").exists(), "The C++ loader is not built; run `make loader`."
    source = ROOT / "samples" / "text_generation" / "generate.cpp"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'cpp_loader' / 'include'}", f"-L{build}"]
    command = ["c++", *flags, str(source), "-o", str(program), "-ltransload", f"-Wl,-rpath,{build}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program
