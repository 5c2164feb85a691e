"""How far a graph's outputs move when its weights move by one ULP: its own rounding noise, at any dtype of inputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from transload.convert.capture import Array, Feed

LIMIT_BYTES = 1 << 30
"""Graphs with more weights are left out: the moved weights are held in memory, and protobuf ends at 2 GiB."""

MOVES = 2

MOVABLE = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16}


def spread_by_weights(model: ir.Model, feed: Feed) -> dict[str, Array]:
    """The largest change of each element of each floating output, in float64, by name; empty where it cannot be found.

    Each weight moves up or down at random, twice. The model is not changed.
    """
    weights = [value for graph in model.graphs() for value in graph.initializers.values() if value.const_value]
    if sum(value.const_value.nbytes for value in weights if value.const_value) > LIMIT_BYTES:
        return {}
    try:
        plain = _run(model, feed)
        moved = [_run(_move_weights(model, seed), feed) for seed in range(MOVES)]
    except RuntimeError:
        # All of ONNX Runtime's errors. What it refuses is reported by the comparison itself.
        return {}
    spread: dict[str, Array] = {}
    for name, output in plain.items():
        changes = []
        for outputs in moved:
            if output.dtype.kind == "f" and outputs[name].shape == output.shape:
                with np.errstate(invalid="ignore"):
                    changes.append(np.abs(outputs[name].astype(np.float64) - output))
        if changes:
            spread[name] = np.nan_to_num(np.fmax.reduce(changes), nan=0.0, posinf=0.0)
    return spread


def _move_weights(model: ir.Model, seed: int) -> ir.Model:
    rng = np.random.default_rng(seed)
    moved = model.clone()
    for graph in moved.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is not None and tensor.dtype in MOVABLE:
                array = tensor.numpy()
                signs = np.where(rng.random(array.shape) < 0.5, np.inf, -np.inf).astype(array.dtype)
                # Zeros and infinities are most often constants that mean something: padding, masks.
                array = np.where(np.isfinite(array) & (array != 0), np.nextafter(array, signs), array)
                value.const_value = ir.tensor(array, name=value.name)
    return moved


def _run(model: ir.Model, feed: Feed) -> dict[str, Array]:
    proto = ir.to_proto(ir.external_data.load_to_model(model.clone()))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))
