"""Encoder-decoders: token for token what the module generates, with the source's keys and values made once."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

import transload as tl
from transload.serialize import open_package
from transload.serialize.interface import input_tensors, output_tensors

from .conftest import COUNT, VOCABULARY, Converted, Saved, ask_module, without_stop_tokens


def test_fifty_steps_from_padded_texts_are_those_of_the_module(
    saved: Saved, converted: Converted, sample: ModuleType
) -> None:
    """Along tokens that are given, since a random T5 says one word over and over."""
    path, model = converted("t5"), saved("t5")[1]
    ids, mask = sample.pad_left([[5, 9, 17, 3, 40, 8, 21], [33, 12]], 0)
    given = np.random.default_rng(0).integers(3, VOCABULARY, (2, COUNT))
    seen: list[np.ndarray] = []

    def choose(logits: np.ndarray) -> np.ndarray:
        seen.append(logits)
        return np.asarray(given[:, len(seen) - 1])

    sample.generate_from(tl.load(path, "encode"), tl.load(path, "decode"), ids, mask, 0, COUNT, choose)
    before = np.concatenate((np.zeros((2, 1), np.int64), given[:, :-1]), 1)
    with torch.no_grad():
        expected = model(
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask),
            decoder_input_ids=torch.from_numpy(before),
        ).logits.numpy()
    found = np.stack(seen, 1)
    assert found.argmax(-1).tolist() == expected.argmax(-1).tolist()
    assert len(set(found.argmax(-1).ravel().tolist())) > 9, "always the same token would show nothing"
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(abs(expected).max()))


def test_fifty_tokens_from_sound_are_those_of_the_module(saved: Saved, converted: Converted) -> None:
    path = converted("whisper")
    encode, decode = tl.load(path, "encode"), tl.load(path, "decode")
    sound = np.random.default_rng(0).standard_normal((2, 8, 40)).astype(np.float32)
    source = encode(input_features=sound)["present"]
    nothing = np.zeros((2, 4, 0, 8), np.float32)
    past = [{"decoder": {"key": nothing, "value": nothing}} for _ in source]
    token, tokens = np.full((2, 1), 1), []
    for _ in range(COUNT):
        layers = [{**layer, **each} for layer, each in zip(past, source, strict=True)]
        outputs = decode(input_ids=token, past_key_values=layers)
        past = outputs["present"]
        token = without_stop_tokens(outputs["logits"][:, -1])[:, None]
        tokens.append(token)
    expected = ask_module(saved("whisper")[1], input_features=sound)
    assert np.concatenate(tokens, 1).tolist() == expected.tolist()
    assert len(set(expected.ravel().tolist())) > 9, "a text of one token would show nothing"


def test_names_and_dimensions(converted: Converted) -> None:
    opened = open_package(converted("t5"))
    assert opened.component_names == ("encode", "decode")
    encode, decode = opened.interface("encode"), opened.interface("decode")
    assert {tensor.name: tensor.shape for tensor in input_tensors(encode)} == {
        "input_ids": ("batch", "source"),
        "attention_mask": ("batch", "source"),
    }
    shapes = {tensor.name: tensor.shape for tensor in (*input_tensors(decode), *output_tensors(decode))}
    assert shapes["encoder_attention_mask"] == ("batch", "source")
    assert shapes["past_key_values.1.decoder.key"] == ("batch", 4, "past_length", 8)
    assert shapes["past_key_values.1.encoder.value"] == ("batch", 4, "source", 8)
    assert shapes["present.0.decoder.key"] == ("batch", 4, "past_length+sequence", 8)
    assert shapes["logits"] == ("batch", "sequence", VOCABULARY)
    assert "past_length=0" in [case.name for case in decode.proof.cases]


def test_sound_has_the_length_of_the_configuration_and_any_batch(converted: Converted) -> None:
    opened = open_package(converted("whisper"))
    [sound] = input_tensors(opened.interface("encode"))
    assert (sound.name, sound.shape) == ("input_features", ("batch", 8, 40))
    shapes = {tensor.name: tensor.shape for tensor in input_tensors(opened.interface("decode"))}
    assert shapes["past_key_values.0.encoder.key"] == ("batch", 4, 20, 8)


def test_weights_are_stored_once(saved: Saved, converted: Converted) -> None:
    for name in ("t5", "whisper"):
        opened = open_package(converted(name))
        weights = sum(weight.nbytes for weight in saved(name)[1].parameters())
        assert sum(m.size_bytes for path, m in opened.members.items() if path.endswith(".data")) <= 1.02 * weights


def test_the_program_makes_texts_of_texts(
    converted: Converted, sample: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    sample.main([str(converted("t5")), "--ids", "5,9,17", "--ids", "8", "--count", "6"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(0 <= int(token) < VOCABULARY for line in lines for token in line.split(","))
