"""How far a graph's outputs move when its weights move by one ULP: its own rounding noise, at any dtype of inputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import run_in_runtime

MOVES = 2

MOVABLE = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16}


def spread_by_weights(model: ir.Model, feed: Feed) -> dict[str, Array]:
    """The largest change of each element of each floating output, in float64, by name; empty where it cannot be found.

    Each weight moves up or down at random, twice. The model is not changed.
    """
    plain = run_in_runtime(model, feed)
    if plain is None:
        return {}
    moved = [run_in_runtime(_move_weights(model, seed), feed) for seed in range(MOVES)]
    spread: dict[str, Array] = {}
    for name, output in plain.items():
        others = [outputs[name] for outputs in moved if outputs is not None]
        if output.dtype.kind == "f" and others and all(other.shape == output.shape for other in others):
            with np.errstate(invalid="ignore"):
                changes = [np.abs(other.astype(np.float64) - output) for other in others]
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
