"""Functions that write to their variables are refused, by whatever operation they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tensorflow.python.framework import op_def_registry

from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.kept_state import changes_variable, refuse_state
from transload.serialize.errors import UnsupportedError

CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "AssignVariableOp": lambda state, x: state.assign(x),
    "AssignSubVariableOp": lambda state, x: state.assign_sub(x),
    "ResourceScatterSub": lambda state, x: state.scatter_sub(tf.IndexedSlices(x[:1], [0])),
    "ResourceScatterMax": lambda state, x: state.scatter_max(tf.IndexedSlices(x[:1], [0])),
    "ResourceScatterNdSub": lambda state, x: state.scatter_nd_sub([[0]], x[:1]),
    "ResourceStridedSliceAssign": lambda state, x: state[:1].assign(x[:1]),
    "ResourceApplyGradientDescent": lambda state, x: tf.raw_ops.ResourceApplyGradientDescent(
        var=state.handle, alpha=0.5, delta=x
    ),
}


def trace(body: Callable[[Any], Any]) -> Any:
    return tf.function(body).get_concrete_function(tf.TensorSpec([3], tf.float32, name="x"))


@pytest.mark.parametrize("op_type", CHANGES)
def test_a_change_of_a_variable_is_refused(op_type: str) -> None:
    state = tf.Variable([1.0, 2.0, 3.0])

    def step(x: Any) -> Any:
        CHANGES[op_type](state, x)
        return state + x

    with pytest.raises(UnsupportedError) as caught:
        refuse_state(trace(step))
    assert op_type in [operation.name for operation in caught.value.operations]


def test_a_change_in_a_branch_is_refused() -> None:
    state = tf.Variable([1.0, 2.0, 3.0])

    def step(x: Any) -> Any:
        return tf.cond(x[0] > 0, lambda: state.scatter_sub(tf.IndexedSlices(x[:1], [0])) + 0.0, lambda: x)

    with pytest.raises(UnsupportedError) as caught:
        refuse_state(trace(step))
    assert {operation.name for operation in caught.value.operations} == {"ResourceScatterSub"}


def test_scatters_into_tensors_and_reads_change_nothing() -> None:
    state = tf.Variable([1.0, 2.0, 3.0])

    def read(x: Any) -> Any:
        scattered = tf.scatter_nd([[0]], x[:1], [3])
        return state + tf.tensor_scatter_nd_sub(scattered, [[1]], x[:1]) + tf.gather(state, [0, 1, 2])

    refuse_state(trace(read))
    assert not changes_variable("ScatterNd")
    assert not changes_variable("ScatterNdNonAliasingAdd")


REFERENCE_SCATTERS = [f"Scatter{kind}" for kind in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Update")]
REFERENCE_SCATTERS += [f"ScatterNd{kind}" for kind in ("Add", "Sub", "Update")]


@pytest.mark.parametrize("op_type", [*REFERENCE_SCATTERS, "Assign", "ApplyAdam", "SparseApplyAdagrad"])
def test_operations_on_variables_of_tensorflow_1_change_them(op_type: str) -> None:
    definition = op_def_registry.get(op_type)
    assert definition.input_arg[0].is_ref
    assert changes_variable(op_type)
