"""The passes that every captured graph goes through, in order."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import (
    DeduplicateInitializersPass,
    LiftConstantsToInitializersPass,
    RemoveUnusedFunctionsPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)

from transload.convert.passes.bfloat16 import WidenBfloat16Pass
from transload.convert.passes.canonical_names import CanonicalNamesPass
from transload.convert.passes.constant_shapes import ConstantShapesPass
from transload.convert.passes.gelu import GeluPass
from transload.convert.passes.ir_version import SetIrVersionPass
from transload.convert.passes.layer_normalization import LayerNormalizationPass
from transload.convert.passes.metadata import TidyMetadataPass
from transload.convert.passes.pool_padding import GuardPoolPaddingPass
from transload.convert.passes.recurrent_layers import RecurrentLayersPass
from transload.convert.passes.reduction_axes import CountAxesFromFrontPass
from transload.convert.passes.rms_normalization import DivideByRootPass
from transload.convert.passes.signed_operand import UnsignOperandPass
from transload.convert.passes.skip_normalization import KeepResidualApartPass
from transload.convert.passes.transposed_matmul import GuardTransposedMatMulPass
from transload.convert.passes.zero_points import OwnZeroPointsPass

# Constants of more elements than this leave the graph's nodes, so that the package can store them as external data.
LIFT_ELEMENTS = 16

# Larger equal tensors are stored once by the package; comparing them here would read every lazy weight.
DEDUPLICATE_ELEMENTS = 1024


@dataclass(frozen=True)
class PassReport:
    """What came out: the model (the one that went in, changed in place) and sentences for the user."""

    model: ir.Model
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def _quiet_passes() -> Iterator[None]:
    """onnx_ir's passes warn of everything that they leave alone."""
    logger = logging.getLogger("onnx_ir")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def portable_passes() -> tuple[ir.passes.PassBase, ...]:
    """The passes themselves."""
    return (
        SetIrVersionPass(),
        RecurrentLayersPass(),
        LayerNormalizationPass(),
        DivideByRootPass(),
        GeluPass(),
        ConstantShapesPass(),
        RemoveUnusedNodesPass(),
        RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        LiftConstantsToInitializersPass(size_limit=LIFT_ELEMENTS),
        DeduplicateInitializersPass(size_limit=DEDUPLICATE_ELEMENTS),
        RemoveUnusedOpsetsPass(),
        GuardPoolPaddingPass(),
        CountAxesFromFrontPass(),
        KeepResidualApartPass(),
        WidenBfloat16Pass(),
        GuardTransposedMatMulPass(),
        UnsignOperandPass(),
        OwnZeroPointsPass(),
        TidyMetadataPass(),
        CanonicalNamesPass(),
    )


def run_passes(model: ir.Model, state: frozenset[str] = frozenset()) -> PassReport:
    """Bring a captured graph into the form in which packages hold graphs. Changes the model in place.

    Args:
        model: The graph.
        state: The names of inputs that keep their initializers, as the value before the first call.

    Raises:
        UnsupportedError: the model uses features that the oldest supported ONNX Runtime cannot read.
    """
    notes = []
    model.graph.inputs[:] = [value for value in model.graph.inputs if value.name in state or not value.is_initializer()]
    for each in portable_passes():
        with _quiet_passes():
            result = each(model)
        model = result.model
        if result.modified and isinstance(each, GuardPoolPaddingPass):
            notes.append("Padding before pooling was marked so that ONNX Runtime's faulty Pad_Fusion leaves it alone.")
    return PassReport(model, tuple(notes))
