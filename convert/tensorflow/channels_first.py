"""Inputs that a package takes as NCHW where the source takes NHWC, as the user asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Capture, Feed, Reference
from transload.convert.options import DEFAULT_OPSET, ConvertOptions
from transload.convert.structure import map_tensors
from transload.convert.tensorflow.tf2onnx_adapter import Target
from transload.serialize.errors import UsageError
from transload.serialize.interface import Tensor

RANK = 4
TO_CHANNELS_FIRST = (0, 3, 1, 2)
TO_CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class ChannelsLastReference:
    """A source that takes NHWC, fed with NCHW for the inputs in `names`."""

    source: Reference
    names: frozenset[str]

    def run(self, feed: Feed) -> dict[str, Array]:
        """The source's outputs."""
        return self.source.run(self._turn(feed))

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """The source's outputs in float64, where it has any."""
        return self.source.run_float64(self._turn(feed))

    def _turn(self, feed: Feed) -> dict[str, Array]:
        return {
            name: np.transpose(array, TO_CHANNELS_LAST) if name in self.names else array for name, array in feed.items()
        }


def choose_target(options: ConvertOptions, tensors: Mapping[str, str]) -> Target:
    """What tf2onnx shall write; `tensors` are TensorFlow's names of the inputs by ours.

    Raises:
        UsageError: an input that is to be NCHW is not there.
    """
    if unknown := [name for name in options.inputs_as_nchw if name not in tensors]:
        raise UsageError(f"The source has no input {unknown[0]!r}.", hint=f"Inputs: {', '.join(tensors) or 'none'}.")
    channels_first = tuple(tensors[name] for name in options.inputs_as_nchw)
    return Target(options.opset or DEFAULT_OPSET, channels_first, with_extensions=bool(options.libraries))


def put_channels_first(capture: Capture, names: Sequence[str]) -> Capture:
    """The capture, whose graph takes these inputs as NCHW already, with interface, example and reference to fit.

    Raises:
        UsageError: an input has another rank than 4.
    """
    if not names:
        return capture

    def turn(leaf: Tensor) -> Tensor:
        if leaf.name not in names:
            return leaf
        if leaf.shape is None or len(leaf.shape) != RANK:
            raise UsageError(f"The input {leaf.name!r} is no NHWC image: its rank is not {RANK}.")
        return Tensor(leaf.name, leaf.dtype, tuple(leaf.shape[axis] for axis in TO_CHANNELS_FIRST))

    inputs = {name: map_tensors(tree, turn) for name, tree in capture.inputs.items()}
    turned = replace(
        capture,
        inputs=inputs,
        reference=ChannelsLastReference(capture.reference, frozenset(names)),
        example={
            name: np.ascontiguousarray(np.transpose(array, TO_CHANNELS_FIRST)) if name in names else array
            for name, array in capture.example.items()
        },
    )
    leaves = {leaf.name: leaf for leaf in turned.input_leaves()}
    for value in turned.model.graph.inputs:
        if value.name in names:
            value.shape = ir.Shape(leaves[value.name or ""].shape or ())
    return turned
