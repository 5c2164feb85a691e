"""Capturing an ExportedProgram, in memory or from a .pt2 file. It knows its own inputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.capture import Array, Capture
from transload.convert.options import EXAMPLE_SIZES, ConvertOptions, InputSpec, make_example
from transload.convert.source import Source
from transload.convert.structure import map_leaves
from transload.convert.torch.arguments import Arguments
from transload.convert.torch.assembly import assemble, prepare_example, run_example
from transload.convert.torch.dynamo_exporter import export_program
from transload.convert.torch.graph import dimension_name, graph_shape, name_inputs_and_outputs, rename_dimensions
from transload.convert.torch.probing import probe_other_sizes
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import TorchReference
from transload.convert.torch.tensors import to_torch
from transload.serialize.dtypes import dtype_from_onnx
from transload.serialize.errors import SourceError, UnsupportedError, UsageError


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    ...
