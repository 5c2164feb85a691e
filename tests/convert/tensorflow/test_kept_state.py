"""Functions that write to their variables: as declared state where they assign them, else refused by the operation."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import CycleError
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorflow.python.framework import op_def_registry

import transload as tl
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.graph_nodes import ancestors
from transload.convert.tensorflow.kept_state import changes_variable, keeps_state
from transload.serialize.errors import UnsupportedError

CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "ResourceScatterMul": lambda state, x: state.scatter_mul(tf.IndexedSlices(x[:1], [0])),
    "ResourceScatterDiv": lambda state, x: state.scatter_div(tf.IndexedSlices(x[:1], [0])),
    "ResourceScatterMax": lambda state, x: state.scatter_max(tf.IndexedSlices(x[:1], [0])),
    "ResourceScatterNdMin": lambda state, x: state.scatter_nd_min([[0]], x[:1]),
    "ResourceApplyGradientDescent": lambda state, x: tf.raw_ops.ResourceApplyGradientDescent(
        var=state.handle, alpha=0.5, delta=x
    ),
}

PARTS: dict[str, Callable[[Any, Any], Any]] = {
    "scatter_add": lambda state, x: state.scatter_add(tf.IndexedSlices(x[:3], [2, 0, 2])),
    "scatter_sub": lambda state, x: state.scatter_sub(tf.IndexedSlices(x[:2], [1, 0])),
    "scatter_update": lambda state, x: state.scatter_update(tf.IndexedSlices(x[:2], [2, 1])),
    "scatter_add_of_pairs": lambda state, x: state.scatter_add(tf.IndexedSlices(x[None, :2], [[1, 1]])),
    "scatter_nd_add": lambda state, x: state.scatter_nd_add([[2, 1], [0, 0], [2, 1]], x[0, :3]),
    "scatter_nd_sub": lambda state, x: state.scatter_nd_sub([[1]], x[:1]),
    "slice": lambda state, x: state[:, 1:3].assign(x[:, :2]),
    "slice_with_steps": lambda state, x: state[::-2, ::2].assign(x[:2, 1:3]),
    "row": lambda state, x: state[1].assign(x[2]),
    "element": lambda state, x: state[2, -1].assign(x[0, 0]),
    "slice_with_ellipsis": lambda state, x: state[..., tf.newaxis, 3].assign(x[:, :1]),
    "row_that_is_computed": lambda state, x: state[tf.cast(x[0, 0] > 0, tf.int32)].assign(x[1]),
    "scatter_nd_update": lambda state, x: state.scatter_nd_update([[0, 3], [2, 0]], x[0, :2]),
}


def trace(body: Callable[[Any], Any]) -> Any:
    return tf.function(body).get_concrete_function(tf.TensorSpec([3], tf.float32, name="x"))


@pytest.mark.parametrize("op_type", CHANGES)
def test_a_change_of_a_part_of_a_variable_is_refused(op_type: str) -> None:
    state = tf.Variable([1.0, 2.0, 3.0])

    def step(x: Any) -> Any:
        CHANGES[op_type](state, x)
        return state + x

    with pytest.raises(UnsupportedError) as caught:
        keeps_state(trace(step))
    assert op_type in [operation.name for operation in caught.value.operations]


def test_a_change_in_a_branch_is_refused() -> None:
    state = tf.Variable([1.0, 2.0, 3.0])

    def step(x: Any) -> Any:
        return tf.cond(x[0] > 0, lambda: state.scatter_mul(tf.IndexedSlices(x[:1], [0])) + 0.0, lambda: x)

    with pytest.raises(UnsupportedError) as caught:
        keeps_state(trace(step))
    assert {operation.name for operation in caught.value.operations} == {"ResourceScatterMul"}


def record(source: Any, path: Path) -> Any:
    """The stream of the package of a source."""
    tl.convert_model(source).save(path / "model.tload")
    return tl.load(path / "model.tload").stream()


def test_reads_have_the_value_that_was_last_assigned(tmp_path: Path) -> None:
    total = tf.Variable([1.0, 2.0, 3.0], name="total")
    untouched = tf.Variable([10.0, 20.0, 30.0])

    @tf.function(input_signature=[tf.TensorSpec([3], name="x")])
    def step(x: Any) -> Any:
        before = total.read_value()
        total.assign_add(x)
        between = total * 1.0
        total.assign(total * x + untouched)
        total.assign_sub(x)
        return {"before": before, "between": between, "after": total + 0.0}

    stream = record(step, tmp_path)
    state = np.array([1, 2, 3], np.float32)
    for x in np.array([[1, 2, -1], [3, -2, 1], [0, 1, 2]], np.float32):
        between = state + x
        after = between * x + np.array([10, 20, 30], np.float32) - x
        found = stream(x)
        np.testing.assert_array_equal(found["before"], state)
        np.testing.assert_array_equal(found["between"], between)
        np.testing.assert_array_equal(found["after"], after)
        state = after
    np.testing.assert_array_equal(total.numpy(), [1, 2, 3])


def test_a_variable_that_no_output_reads_is_carried_too(tmp_path: Path) -> None:
    calls = tf.Variable(5, dtype=tf.int64, name="x")

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def step(x: Any) -> Any:
        tf.function(lambda: calls.assign_add(2))()
        return x * 2.0

    package = tl.convert_model(step)
    [state] = package.components[0].interface.state
    assert (state.name, state.output.name) == ("x_1", "x_1_next")
    package.save(tmp_path / "model.tload")
    found = tl.load(tmp_path / "model.tload").run(None, {"x": np.ones(1, np.float32), "x_1": np.array(40)})
    assert [np.asarray(each).tolist() for each in found] == [[2.0], 42]


def test_a_stateful_network_goes_on_where_the_last_call_ended(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input(batch_shape=(2, 5, 3))
    inner = keras.layers.GRU(6, stateful=True, return_sequences=True)(x)
    model = keras.Model(x, keras.layers.LSTM(4, stateful=True)(inner))
    model.export(str(tmp_path / "saved"), verbose=False)
    stream = record(tmp_path / "saved", tmp_path)
    rows = np.random.default_rng(0).standard_normal((3, 2, 5, 3)).astype(np.float32)
    for batch in rows:
        [found] = stream(batch).values()
        np.testing.assert_allclose(found, model(batch), rtol=1e-5, atol=1e-6)
    stream.reset()
    again = next(iter(stream(rows[0]).values()))
    assert np.abs(again - found).max() > 0.01


def test_state_beside_tables_and_loops(tmp_path: Path) -> None:
    entries = tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), tf.constant([5.0, 6.0]))
    table = tf.lookup.StaticHashTable(entries, 0.0)
    calls, weight = tf.Variable(0, dtype=tf.int64, name="calls"), tf.Variable(2 * np.eye(3, dtype=np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="ids")])
    def step(ids: Any) -> Any:
        calls.assign_add(1)
        grown = tf.while_loop(lambda n, y: n < 2, lambda n, y: (n + 1, y @ weight), (0, tf.ones([1, 3])))[1]
        return {"values": table.lookup(ids), "calls": calls.read_value(), "grown": grown}

    stream = record(step, tmp_path)
    stream(np.array([3]))
    found = stream(np.array([2, 1]))
    assert found["values"].tolist() == [6, 5]
    assert found["calls"] == 2
    assert found["grown"].tolist() == [[4, 4, 4]]


class Meter(tf.Module):
    """Changes three variables in branches, cases and loops, also in those that lie in each other."""

    def __init__(self) -> None:
        super().__init__()
        self.count = tf.Variable(0.0, name="count")
        self.total = tf.Variable([1.0, 2.0], name="total")
        self.last = tf.Variable(0, name="last")
        self.weight = tf.Variable([0.5, 0.25], name="weight")

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def branches(self, x: Any) -> Any:
        if tf.reduce_sum(x) > 0.0:
            self.count.assign_add(1.0)
            y = x * self.count
        else:
            before = self.total * 1.0
            self.total.assign(self.total * self.weight + before)
            y = x + self.total
        return {"y": y, "count": self.count + 0.0, "total": self.total + 0.0}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def loops(self, x: Any) -> Any:
        for row in x:
            self.count.assign_add(row[0])
            if self.count > 2.0:
                self.total.assign_sub(row * self.weight)
                self.last.assign(self.last * 2 + 1)
        while self.count > 3.0:
            self.count.assign_sub(1.5)
        return {"count": self.count + 0.0, "total": self.total * 2.0, "last": self.last + 0}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="n"), tf.TensorSpec([None, 2], name="x")])
    def cases(self, n: Any, x: Any) -> Any:
        def add() -> Any:
            self.last.assign_add(n + 1)
            return x * 2.0

        def read() -> Any:
            return x + tf.cast(self.last, tf.float32)

        y = tf.switch_case(n, [add, read, lambda: x])
        return {"y": y, "last": self.last + 0}


METHODS = ("branches", "loops", "cases")


@pytest.mark.parametrize("method", METHODS)
def test_variables_that_branches_and_loops_change_are_carried(method: str, tmp_path: Path) -> None:
    converted, kept = Meter(), Meter()
    stream = record(getattr(converted, method), tmp_path)
    source = getattr(kept, method)
    rng = np.random.default_rng(0)
    for number, rows in enumerate((2, 1, 3, 2, 4)):
        x = (rng.standard_normal((rows, 2)) + (1 if number % 2 else -1)).astype(np.float32)
        feed = {"x": x} | ({"n": np.array(number % 3, np.int32)} if method == "cases" else {})
        expected = source(**{name: tf.constant(value) for name, value in feed.items()})
        found = stream(**feed)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-6, atol=1e-6, err_msg=f"{name} {number}")


def test_a_variable_that_only_a_loop_s_condition_reads_is_none_that_it_changes(tmp_path: Path) -> None:
    limit, steps = tf.Variable(3.0, name="limit"), tf.Variable(0.0, name="steps")

    @tf.function(input_signature=[tf.TensorSpec([], name="x")])
    def step(x: Any) -> Any:
        while x < limit:
            x += 1.0
            steps.assign_add(1.0)
        limit.assign_add(1.0)
        return {"x": x, "steps": steps + 0.0}

    stream = record(step, tmp_path)
    assert {name: float(value) for name, value in stream(np.float32(0.5)).items()} == {"x": 3.5, "steps": 3}
    assert {name: float(value) for name, value in stream(np.float32(0.5)).items()} == {"x": 4.5, "steps": 7}


@pytest.mark.parametrize("change", PARTS)
def test_changes_of_parts_are_carried(change: str, tmp_path: Path) -> None:
    start = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)

    def build() -> Any:
        state = tf.Variable(start, name="state")

        @tf.function(input_signature=[tf.TensorSpec([3, 4], name="x")])
        def step(x: Any) -> Any:
            PARTS[change](state, x)
            return {"state": state * 1.0}

        return step

    stream, source = record(build(), tmp_path), build()
    for x in np.random.default_rng(0).standard_normal((3, 3, 4)).astype(np.float32):
        [(name, found)] = stream(x).items()
        np.testing.assert_allclose(found, source(x)[name].numpy(), rtol=1e-6, atol=1e-6)


def test_a_condition_of_a_loop_that_changes_a_variable_is_refused() -> None:
    steps = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([], name="x")])
    def step(x: Any) -> Any:
        return tf.while_loop(lambda y: steps.assign_add(1.0) < 3.0, lambda y: (y * 2.0,), (x,))[0] + steps

    with pytest.raises(UnsupportedError) as caught:
        tl.convert_model(step)
    [operation] = caught.value.operations
    assert (operation.name, operation.reason) == ("While", "the condition of a loop changes a variable")


def test_a_buffer_that_a_loop_fills_is_carried(tmp_path: Path) -> None:
    def build() -> Any:
        buffer, place = tf.Variable(tf.zeros([4, 2]), name="buffer"), tf.Variable(0, name="place")

        @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
        def step(x: Any) -> Any:
            for row in x:
                buffer.scatter_update(tf.IndexedSlices(row, place % 4))
                buffer.scatter_nd_add([[0, 0]], [1.0])
                place.assign_add(1)
            return {"buffer": buffer * 1.0}

        return step

    stream, source = record(build(), tmp_path), build()
    rng = np.random.default_rng(0)
    for rows in (3, 1, 2):
        x = rng.standard_normal((rows, 2)).astype(np.float32)
        [(name, found)] = stream(x).items()
        np.testing.assert_allclose(found, source(x)[name].numpy(), rtol=1e-6)


def test_what_comes_before_a_node_and_loops_of_tensorflow_1() -> None:
    graph_def = tf.compat.v1.GraphDef()
    for name, inputs in (("a", []), ("b", ["a:1"]), ("c", ["^b"]), ("d", ["c", "a"]), ("e", ["a"])):
        graph_def.node.add(name=name, op="NoOp", input=inputs)
    found = ancestors(graph_def.node, {"b", "c", "e"})
    assert {name: set(before) for name, before in found.items()} == {
        "a": set(),
        "b": set(),
        "c": {"b"},
        "d": {"b", "c"},
        "e": set(),
    }
    graph_def.node[0].input.append("d")
    with pytest.raises(CycleError):
        ancestors(graph_def.node, {"b"})


def test_scatters_into_tensors_and_reads_change_nothing() -> None:
    state = tf.Variable([1.0, 2.0, 3.0])

    def read(x: Any) -> Any:
        scattered = tf.scatter_nd([[0]], x[:1], [3])
        return state + tf.tensor_scatter_nd_sub(scattered, [[1]], x[:1]) + tf.gather(state, [0, 1, 2])

    assert not keeps_state(trace(read))
    assert not changes_variable("ScatterNd")
    assert not changes_variable("ScatterNdNonAliasingAdd")


REFERENCE_SCATTERS = [f"Scatter{kind}" for kind in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Update")]
REFERENCE_SCATTERS += [f"ScatterNd{kind}" for kind in ("Add", "Sub", "Update")]


@pytest.mark.parametrize("op_type", [*REFERENCE_SCATTERS, "Assign", "ApplyAdam", "SparseApplyAdagrad"])
def test_operations_on_variables_of_tensorflow_1_change_them(op_type: str) -> None:
    definition = op_def_registry.get(op_type)
    assert definition.input_arg[0].is_ref
    assert changes_variable(op_type)
