"""What lookup tables hold is read from the tables that a function captures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.table_content import read_tables


def make_table() -> Any:
    entries = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([3, 5], tf.int64))
    return tf.lookup.StaticHashTable(entries, default_value=-1)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_table_is_read_however_deep_the_call_is_that_looks_it_up(depth: int) -> None:
    table = make_table()
    look_up = tf.function(table.lookup)
    for _ in range(depth):
        look_up = tf.function(lambda words, inner=look_up: inner(words) + 1)
    function = look_up.get_concrete_function(tf.TensorSpec([None], tf.string))
    calls = [op for op in function.graph.get_operations() if op.type in ("PartitionedCall", "StatefulPartitionedCall")]
    assert bool(calls) == (depth > 0)
    (found,) = read_tables(function).values()
    assert dict(zip(found.keys.tolist(), found.values.tolist(), strict=True)) == {b"a": 3, b"b": 5}


def test_a_table_has_the_name_of_the_tensor_that_stands_for_it() -> None:
    table = make_table()
    function = tf.function(table.lookup).get_concrete_function(tf.TensorSpec([None], tf.string))
    names = [inner.name for _, inner in function.graph.captures if inner.dtype == tf.resource]
    assert len(names) == 1
    assert list(read_tables(function)) == names


def test_what_a_table_holds_comes_in_ascending_order_of_keys() -> None:
    keys = np.random.default_rng(0).permutation(100).astype(np.int64)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, keys * 10), default_value=-1)
    (found,) = read_tables(tf.function(table.lookup).get_concrete_function(tf.TensorSpec([None], tf.int64))).values()
    assert found.keys.tolist() == list(range(100))
    assert found.values.tolist() == list(range(0, 1000, 10))
