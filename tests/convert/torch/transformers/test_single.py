"""Models with one forward: what they take, what they give, what comes with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import transload as tl
from transload.serialize import open_package
from transload.serialize.interface import Interface, input_tensors

from .conftest import LABELS, TEXT, VOCABULARY, Converted, Saved, perturb


def interface_of(path: Path, component: str = "forward") -> Interface:
    return open_package(path).interface(component)


def ask(model: Any, **tensors: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        outputs = model(**{name: torch.from_numpy(array) for name, array in tensors.items()}, return_dict=True)
    return {name: value.numpy() for name, value in outputs.items()}


def test_a_text_classifier_takes_ids_mask_and_types_of_any_size(saved: Saved, converted: Converted) -> None:
    path = converted("bert")
    interface = interface_of(path)
    assert {tensor.name: tensor.shape for tensor in input_tensors(interface)} == dict.fromkeys(
        ("input_ids", "attention_mask", "token_type_ids"), ("batch", "sequence")
    )
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (3, 13))
    mask = np.ones_like(ids)
    mask[0, 9:], mask[1, :4] = 0, 0
    types = (np.arange(13) > 5).astype(np.int64) * np.ones_like(ids)
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    expected = ask(saved("bert")[1], **feed)
    found = tl.load(path)(**feed)
    assert list(found) == ["logits"] == list(expected)
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-5)
    assert all(verification.passed for verification in tl.verify(path))


def test_the_package_holds_configuration_and_labels(saved: Saved, converted: Converted) -> None:
    opened = open_package(converted("bert"))
    assert json.loads(opened.read_asset("labels.json")) == list(LABELS.values())
    assert opened.read_asset("config.json") == (saved("bert")[0] / "config.json").read_bytes()


def test_an_image_classifier_has_the_size_of_its_configuration(saved: Saved, converted: Converted) -> None:
    path = converted("vit")
    [pixels] = input_tensors(interface_of(path))
    assert (pixels.name, pixels.shape) == ("pixel_values", ("batch", 3, 16, 16))
    images = np.random.default_rng(0).standard_normal((5, 3, 16, 16)).astype(np.float32)
    expected = ask(saved("vit")[1], pixel_values=images)["logits"]
    np.testing.assert_allclose(tl.load(path)(pixel_values=images)["logits"], expected, atol=1e-5)


def test_an_audio_classifier_takes_waveforms_of_any_length(saved: Saved, converted: Converted) -> None:
    path = converted("wav2vec2")
    [samples] = input_tensors(interface_of(path))
    assert (samples.name, samples.shape) == ("input_values", ("batch", "samples"))
    waves = np.random.default_rng(0).standard_normal((2, 777)).astype(np.float32)
    expected = ask(saved("wav2vec2")[1], input_values=waves)["logits"]
    np.testing.assert_allclose(tl.load(path)(input_values=waves)["logits"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "config", "outputs"),
    [
        ("BertForTokenClassification", transformers.BertConfig, ["logits"]),
        ("BertModel", transformers.BertConfig, ["last_hidden_state", "pooler_output"]),
        ("RobertaForQuestionAnswering", transformers.RobertaConfig, ["start_logits", "end_logits"]),
        ("ElectraForMaskedLM", transformers.ElectraConfig, ["logits"]),
        ("BertForMultipleChoice", transformers.BertConfig, ["logits"]),
    ],
)
def test_heads_of_encoders(architecture: str, config: type, outputs: list[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = perturb(getattr(transformers, architecture)(config(**TEXT)))
    model.save_pretrained(tmp_path / "model")
    path = tl.convert_model(tmp_path / "model", proof="quick").save(tmp_path / "m.tload")
    shape = (2, 3, 9) if "Multiple" in architecture else (2, 9)
    rng = np.random.default_rng(0)
    feed = {
        tensor.name: rng.integers(0, VOCABULARY if tensor.name == "input_ids" else 1, shape)
        for tensor in input_tensors(interface_of(path))
    } | {"attention_mask": np.ones(shape, np.int64)}
    expected, found = ask(model, **feed), tl.load(path)(**feed)
    assert list(found) == list(expected) == outputs
    for name in outputs:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_another_task_takes_the_same_weights(saved: Saved, tmp_path: Path) -> None:
    package = tl.convert_model(saved("bert")[0], task="feature-extraction", proof="quick")
    found = tl.load(package.save(tmp_path / "m.tload"))(
        input_ids=np.array([[4, 5, 6]]), attention_mask=np.ones((1, 3), np.int64), token_type_ids=np.zeros((1, 3), int)
    )
    expected = ask(saved("bert")[1].bert, input_ids=np.array([[4, 5, 6]]))
    np.testing.assert_allclose(found["last_hidden_state"], expected["last_hidden_state"], atol=1e-5)
    assert any("no use of 2 weights" in note for note in package.components[0].interface.proof.notes)


def test_inputs_may_be_described(saved: Saved, tmp_path: Path) -> None:
    package = tl.convert_model(saved("bert")[0], inputs=["input_ids:int64[batch,seq]"], proof="quick")
    path = package.save(tmp_path / "m.tload")
    assert [(tensor.name, tensor.shape) for tensor in input_tensors(interface_of(path))] == [
        ("input_ids", ("batch", "seq"))
    ]
    ids = np.array([[4, 5, 6, 7]])
    expected = ask(saved("bert")[1], input_ids=ids)["logits"]
    np.testing.assert_allclose(tl.load(path)(input_ids=ids)["logits"], expected, atol=1e-5)


def test_a_tokenizer_comes_with_the_model(saved: Saved, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved("bert")[0], folder)
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "vocab.txt").write_text("[PAD]\n")
    (folder / "README.md").write_text("not needed")
    package = tl.convert_model(folder, proof="none")
    assert sorted(package.assets) == ["config.json", "labels.json", "tokenizer.json", "vocab.txt"]


def test_a_model_that_shrinks_its_windows_for_good_is_asked_afresh_each_time(tmp_path: Path) -> None:
    """After a small image, Swin (transformers 5.23) refuses its own size."""
    sizes = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "window_size": 4}
    config = transformers.SwinConfig(**sizes, depths=[1, 1], num_heads=[2, 2], id2label=LABELS)
    model = perturb(transformers.SwinForImageClassification(config))
    model.save_pretrained(tmp_path / "model")
    path = tl.convert_model(tmp_path / "model", proof="quick").save(tmp_path / "m.tload")
    interface = interface_of(path)
    assert [tensor.shape for tensor in input_tensors(interface)] == [("batch", 3, "32*height", "32*width")]
    assert {case.name: case.result for case in interface.proof.cases}["seed 1"] == "equal"
    for shape in ((3, 3, 32, 32), (2, 3, 96, 64)):
        images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        expected = ask(model, pixel_values=images)["logits"]
        np.testing.assert_allclose(tl.load(path)(pixel_values=images)["logits"], expected, atol=1e-5)
