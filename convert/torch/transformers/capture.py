"""Capturing a transformers folder: each part of its model is traced and translated."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import transformers

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments, describe_signature, described_values
from transload.convert.torch.assembly import assemble, prepare_example, run_example
from transload.convert.torch.dimensions import Dimensions
from transload.convert.torch.flat_module import FlatModule
from transload.convert.torch.graph import strip_initializer_prefix
from transload.convert.torch.probing import probe_other_sizes
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import TorchReference
from transload.convert.torch.script import DEFAULT_OPSET, translate
from transload.convert.torch.tracing import trace
from transload.convert.torch.transformers.cache import nest_layers
from transload.convert.torch.transformers.decoder import decoder_parts
from transload.convert.torch.transformers.encoder_decoder import encoder_decoder_parts
from transload.convert.torch.transformers.folder import collect_assets, read_folder
from transload.convert.torch.transformers.loading import load_model
from transload.convert.torch.transformers.part import Part
from transload.convert.torch.transformers.single import FORWARD, Forward, single_part
from transload.convert.torch.transformers.tasks import SPEECH_TO_TEXT, TEXT_GENERATION, TEXT_TO_TEXT, Task, find_task
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import Dict


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """The model's components, with tokenizer and labels as assets of the first.

    Raises:
        UsageError: an unknown task, or inputs that do not fit.
        UnsupportedError: transformers has no such architecture, or operators have no translation.
        SourceError: the folder is damaged, or code or pickles would have to be read.
    """
    assert isinstance(source.path, Path)
    folder = read_folder(source.path)
    task = find_task(folder.architecture, options.task)
    model, notes = load_model(folder, task)
    parts, part_notes = _split(model, task, options)
    captures = [_capture_part(part, source, options, (*notes, *part_notes)) for part in parts]
    assets = collect_assets(folder, model.config.id2label if task is not None and task.has_labels else None)
    return [dataclasses.replace(captures[0], assets=assets), *captures[1:]]


def _split(
    model: transformers.PreTrainedModel, task: Task | None, options: ConvertOptions
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The parts of the model, and notes for the user."""
    if options.inputs or options.example is not None:
        return (_described_part(model, options),), ()
    if task in (TEXT_GENERATION, TEXT_TO_TEXT, SPEECH_TO_TEXT):
        try:
            return (encoder_decoder_parts if model.config.is_encoder_decoder else decoder_parts)(model), ()
        except UnsupportedError as error:
            note = f"There is one component, which reads the whole text at every step. {error.what}"
            return (single_part(model, task),), (note,)
    return (single_part(model, task),), ()


def _described_part(model: transformers.PreTrainedModel, options: ConvertOptions) -> Part:
    """The forward with the inputs that the user describes."""
    values = described_values(options, describe_signature(model.forward))
    return Part(FORWARD, Forward(model), values, {})


def _capture_part(part: Part, source: Source, options: ConvertOptions, notes: tuple[str, ...]) -> Capture:
    arguments = Arguments({}, dict(part.example))
    arguments, example, dimensions = prepare_example(arguments, options)
    dimensions = part.dimensions or dimensions
    reference = TorchReference(part.module, arguments, lambda: copy.deepcopy(part.module).double())
    outputs = run_example(reference, example)
    moving = probe_other_sizes(reference, outputs, example, dimensions)
    moving = {**moving, **{name: {**moving.get(name, {}), **axes} for name, axes in part.output_dimensions.items()}}
    model, trace_notes = _translate_trace(FlatModule(part.module, arguments, outputs), arguments, dimensions, options)
    found = assemble(
        source,
        model,
        arguments,
        outputs,
        reference,
        component=part.component,
        example=example,
        dimensions=dimensions,
        moving=moving,
        notes=(*notes, *trace_notes),
    )
    assert isinstance(found.outputs, Dict)
    return dataclasses.replace(
        found,
        inputs=nest_layers(found.inputs),
        outputs=Dict(nest_layers(found.outputs.items)),
        integer_ranges=part.integer_ranges,
        may_be_empty=part.may_be_empty,
        must_vary=part.must_vary,
    )


def _translate_trace(
    flat: FlatModule, arguments: Arguments, dimensions: Dimensions, options: ConvertOptions
) -> tuple[Any, tuple[str, ...]]:
    tensors = arguments.tensors()
    with quiet():
        traced = trace(flat, tuple(tensors.values())).program
    translation = translate(traced, tensors, dynamic_axes=dimensions, opset=options.opset or DEFAULT_OPSET)
    if translation.state:
        changed = ", ".join(slot.path for slot in translation.state)
        raise UnsupportedError(f"The model changes its own buffers: {changed}.")
    strip_initializer_prefix(translation.model, "module.model.")
    return translation.model, translation.notes
