"""Models with one forward: encoders with a head, vision, audio, and decoders without a cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import transformers

from transload.convert.torch.dimensions import Dimensions
from transload.convert.torch.transformers.part import Part
from transload.convert.torch.transformers.tasks import MULTIPLE_CHOICE, Task
from transload.convert.torch.transformers.text import (
    BATCH,
    CHOICES,
    ENCODED,
    make_ids,
    make_mask,
    takes,
    text_ranges,
)
from transload.serialize.errors import UsageError

FORWARD = "forward"

IMAGE_SIZE = 224
"""Pixels on a side where the configuration names no size."""

SAMPLES = 4000
"""Samples of a waveform: a quarter of a second at 16 kHz, a dozen frames of wav2vec2's."""

FRAMES = 64
"""Frames of a spectrogram where the configuration names no number."""


class Forward(torch.nn.Module):
    """The model's forward: named tensors in, its outputs without a cache."""

    def __init__(self, model: transformers.PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self._options = {"use_cache": False} if takes(model, "use_cache") else {}

    def forward(self, **tensors: torch.Tensor) -> dict[str, Any]:
        """The outputs by the names that transformers gives them."""
        with _kept_settings(self.model):
            outputs = self.model(**tensors, return_dict=True, **self._options)
        return {name: value for name, value in outputs.items() if not isinstance(value, transformers.Cache)}


@contextlib.contextmanager
def _kept_settings(model: torch.nn.Module) -> Iterator[None]:
    """Every submodule's plain attributes as they were, afterwards.

    Swin's blocks shrink their window for an image that is smaller, and keep it so for the next one (transformers 5.23).
    """
    plain = (bool, int, float, str, tuple, type(None))
    former = [
        (child, {name: value for name, value in vars(child).items() if isinstance(value, plain)})
        for child in model.modules()
    ]
    try:
        yield
    finally:
        for child, settings in former:
            vars(child).update(settings)


def single_part(model: transformers.PreTrainedModel, task: Task | None) -> Part:
    """The forward with an example of the model's main input, and for text with masks and token types.

    Raises:
        UsageError: the main input is of another kind.
    """
    forward = Forward(model)
    example, dimensions = main_example(model, forward, task)
    # The length of a made-up text is nobody's choice; sizes of images and sound are the configuration's.
    is_text = model.main_input_name == "input_ids"
    must_vary = frozenset(name for axes in dimensions.values() for name in axes.values() if is_text)
    ranges = text_ranges(model) if is_text else {}
    return Part(FORWARD, forward, example, dimensions, integer_ranges=ranges, must_vary=must_vary)


def main_example(
    model: transformers.PreTrainedModel, call: torch.nn.Module, task: Task | None = None, *, source: str = ""
) -> tuple[dict[str, torch.Tensor], Dimensions]:
    """An example of the model's main input and what belongs to it, and the names of the dimensions that may vary.

    Args:
        model: The model.
        call: What takes the input.
        task: What it is for.
        source: A name for the length of a text other than `sequence`.

    Raises:
        UsageError: the main input is of another kind than text, images or sound.
    """
    main = model.main_input_name
    if main == "input_ids":
        return _text(model, task, source or "sequence")
    shape = _shape(model, main)
    generator = torch.Generator().manual_seed(0)
    example = {main: torch.randn([size for size, _ in shape], generator=generator).to(model.dtype)}
    dimensions = {main: {axis: name for axis, (_, name) in enumerate(shape) if name}}
    return example, _accepted(call, example, dimensions)


def _text(
    model: transformers.PreTrainedModel, task: Task | None, length: str
) -> tuple[dict[str, torch.Tensor], Dimensions]:
    names: tuple[str, ...] = ("batch", length)
    sizes: tuple[int, ...] = (BATCH, ENCODED)
    if task is MULTIPLE_CHOICE:
        names, sizes = ("batch", "choices", length), (BATCH, CHOICES, ENCODED)
    example = {"input_ids": make_ids(model, *sizes)}
    if takes(model, "attention_mask"):
        example["attention_mask"] = make_mask(*sizes)
    if takes(model, "token_type_ids") and getattr(model.config, "type_vocab_size", 0) > 1:
        types = torch.zeros(sizes, dtype=torch.int64)
        types[..., ENCODED // 2 :] = 1
        example["token_type_ids"] = types
    return example, {name: dict(enumerate(names)) for name in example}


def _shape(model: transformers.PreTrainedModel, main: str) -> list[tuple[int, str]]:
    """Sizes and names of an input's dimensions; no name where the size never varies."""
    config: Any = model.config
    bins = getattr(config, "num_mel_bins", None) or getattr(config, "input_feat_per_channel", None)
    if main == "pixel_values":
        height, width = _image_size(config)
        return [(BATCH, "batch"), (getattr(config, "num_channels", 3), ""), (height, "height"), (width, "width")]
    if main == "input_values" and bins:
        return [(BATCH, "batch"), (getattr(config, "max_length", FRAMES), "frames"), (bins, "")]
    if main == "input_values":
        return [(BATCH, "batch"), (SAMPLES, "samples")]
    if main == "input_features" and hasattr(config, "max_source_positions") and hasattr(config, "num_mel_bins"):
        return [(BATCH, "batch"), (bins, ""), (2 * config.max_source_positions, "frames")]
    if main == "input_features" and bins:
        return [(BATCH, "batch"), (FRAMES, "frames"), (bins, "")]
    raise UsageError(
        f"No example can be made up for {type(model).__name__}, which takes {main!r}.",
        hint="Describe its inputs with --input NAME:DTYPE[DIMS], or give --example FILE.npz.",
    )


def _image_size(config: Any) -> tuple[int, int]:
    size = getattr(config, "image_size", None) or IMAGE_SIZE
    if isinstance(size, int):
        return size, size
    return int(size[0]), int(size[1])


def _accepted(call: torch.nn.Module, example: dict[str, torch.Tensor], dimensions: Dimensions) -> Dimensions:
    """Those dimensions that the model takes at twice the size; the graph is simpler where the others have a number."""
    names = dict.fromkeys(name for axes in dimensions.values() for name in axes.values())
    fixed = {name for name in names if not _takes_double(call, example, dimensions, name)}
    return {key: {a: name for a, name in axes.items() if name not in fixed} for key, axes in dimensions.items()}


def _takes_double(call: torch.nn.Module, example: dict[str, torch.Tensor], dimensions: Dimensions, name: str) -> bool:
    double = dict(example)
    for key, axes in dimensions.items():
        for axis, other in axes.items():
            if other == name:
                double[key] = torch.cat((double[key], double[key]), axis)
    # A model refuses a size in any way that Python code can fail.
    try:
        with torch.no_grad():
            call(**double)
    except Exception:
        return False
    return True
