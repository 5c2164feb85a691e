"""Captures for the tests: a graph made by hand on one side, a torch or numpy function on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import torch
from onnx import helper, numpy_helper

from transload.convert.capture import Array, Capture, Feed
from transload.convert.equivalence.check import check_equivalence
from transload.convert.equivalence.evidence import Evidence
from transload.convert.equivalence.sides import LoadModel
from transload.convert.options import ConvertOptions, InputSpec
from transload.serialize.dtypes import dtype_from_numpy
from transload.serialize.errors import ExecutionError
from transload.serialize.interface import SourceRecord, Tensor, Tuple

DIM_NAMES = ("batch", "time", "height", "width")


class FunctionReference:
    """A source that is a Python function of arrays, returning arrays in the order of the outputs."""

    def __init__(self, function: Callable[..., Any], outputs: Sequence[str], *, has_float64: bool = True) -> None:
        self.function = function
        self.outputs = outputs
        self.has_float64 = has_float64

    def run(self, feed: Feed) -> dict[str, Array]:
        results = self.function(**feed)
        results = results if isinstance(results, tuple) else (results,)
        return dict(zip(self.outputs, map(np.asarray, results), strict=True))

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        if not self.has_float64:
            return None
        wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feed.items()}
        return self.run(wide)


class ModuleReference(FunctionReference):
    """A source that is a torch module."""

    def __init__(self, module: torch.nn.Module, outputs: Sequence[str], *, has_float64: bool = True) -> None:
        super().__init__(self._call, outputs, has_float64=has_float64)
        self.module = module

    def _call(self, **feed: Array) -> tuple[Array, ...]:
        wide = any(array.dtype == np.float64 for array in feed.values())
        self.module.to(torch.float64 if wide else torch.float32)
        with torch.no_grad():
            results = self.module(*(torch.from_numpy(array.copy()) for array in feed.values()))
        results = results if isinstance(results, tuple) else (results,)
        return tuple(result.numpy() for result in results)


class StubRunner:
    """ONNX Runtime over a model in memory, in place of a loaded package."""

    def __init__(self, model: onnx.ModelProto, optimize: bool) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        if not optimize:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, Array]) -> list[Array]:
        try:
            outputs: list[Array] = self.session.run(output_names, dict(feed))
        except Exception as error:
            raise ExecutionError(f"ONNX Runtime failed: {error}") from error
        return outputs


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[str, Sequence[int | str]]],
    outputs: Mapping[str, str],
    weights: Mapping[str, Array] | None = None,
    opset: int = 18,
) -> onnx.ModelProto:
    """A model; inputs are name to dtype and shape, outputs name to dtype."""
    number = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9, "float64": 11, "string": 8, "bfloat16": 16}
    made = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info(name, number[dtype], shape) for name, (dtype, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, number[dtype], None) for name, dtype in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def capture(
    model: onnx.ModelProto,
    reference: Any,
    example: Mapping[str, Array],
    outputs: Mapping[str, str] | None = None,
) -> Capture:
    """A capture whose trees follow from the model's inputs; `outputs` is the source's view, name to dtype."""
    graph_ir = ir.serde.deserialize_model(model)
    inputs = {}
    for value in graph_ir.graph.inputs:
        dims = tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape or ())
        inputs[str(value.name)] = Tensor(str(value.name), dtype_from_numpy(example[str(value.name)].dtype), dims)
    if outputs is None:
        outputs = {str(value.name): "float32" for value in graph_ir.graph.outputs}
    tree = Tuple(tuple(Tensor(name, dtype, None) for name, dtype in outputs.items()))
    record = SourceRecord("onnx", "test", "0")
    return Capture("main", graph_ir, inputs, tree, reference, dict(example), record)


def stub_loader(model: onnx.ModelProto) -> LoadModel:
    return lambda path, component, optimize: StubRunner(model, optimize)


def check(made: Capture, model: onnx.ModelProto, **options: Any) -> Evidence:
    """The check, every named dimension asked for by the user."""
    specs = tuple(InputSpec(t.name, t.dtype, t.shape) for t in made.inputs.values() if isinstance(t, Tensor))  # type: ignore[arg-type]
    return check_equivalence(
        made, Path("unused"), ConvertOptions(inputs=specs, **options), load_model=stub_loader(model)
    )


def randn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
