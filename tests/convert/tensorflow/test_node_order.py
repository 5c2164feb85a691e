"""A conversion's bytes depend neither on addresses in memory nor on what was converted before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tf2onnx import utils
from tf2onnx.graph import Graph

import transload as tl
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.node_order import FIRST_NAME, keep_order, restart_names


def chain_of_identities() -> Any:
    weight = tf.constant(np.arange(12, dtype=np.float32).reshape(3, 4))
    return tf.function(lambda x: {"b": x @ weight, "a": x}, input_signature=[tf.TensorSpec([None, 3], name="x")])


def loop_in_a_branch() -> Any:
    def run(x: Any) -> Any:
        def grow(step: Any, y: Any) -> Any:
            return step + 1, tf.identity(tf.cond(tf.reduce_sum(y) > 0, lambda: y * 2.0, lambda: y - 1.0))

        grown = tf.while_loop(
            lambda step, y: step < 3, grow, (0, x), shape_invariants=(None, tf.TensorShape([None, 3]))
        )
        return {"b": tf.transpose(grown[1]), "a": tf.identity(grown[1]), "c": tf.identity(x)}

    return tf.function(run, input_signature=[tf.TensorSpec([None, 3], name="x")])


def einsum_of_several() -> Any:
    specs = [tf.TensorSpec([None, 2], name="x"), tf.TensorSpec([None, 3], name="y")]
    return tf.function(lambda x, y: tf.einsum("ba,bc->bac", x, y), input_signature=specs)


@pytest.mark.parametrize("make", [chain_of_identities, loop_in_a_branch, einsum_of_several])
def test_conversions_one_after_another_give_the_same_bytes(make: Any, tmp_path: Path) -> None:
    found = set()
    for turn in range(6):
        # Made anew: TensorFlow numbers functions with a counter, too.
        source = make()
        # Others may have been converted in between: the counter of names then has another number of digits.
        for _ in range(10**turn if turn < 4 else 0):
            utils.make_name("other")
        tl.convert_model(source, proof="none").save(tmp_path / "model.tload")
        found.add((tmp_path / "model.tload").read_bytes())
    assert len(found) == 1


def test_tf2onnx_has_its_own_order_back_afterwards() -> None:
    before = Graph.extract_sub_graph_nodes
    with pytest.raises(KeyError), keep_order():
        assert Graph.extract_sub_graph_nodes is not before
        raise KeyError
    assert Graph.extract_sub_graph_nodes is before


def test_names_are_numbered_anew() -> None:
    # Where this fails after an upgrade, tf2onnx counts elsewhere, and restart_names no longer does anything.
    utils.make_name("other")
    restart_names()
    assert utils.make_name("name") == f"name__{FIRST_NAME + 1}"
