"""What the lookup tables that a function captures hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transload.convert.capture import Array
from transload.convert.tensorflow.framework import tf


@dataclass(frozen=True)
class Table:
    """The entries of a lookup table: keys, in ascending order, and the value of each, as vectors."""

    keys: Array
    values: Array


FINDS = frozenset({"LookupTableFindV2"})


def read_tables(function: Any) -> dict[str, Table]:
    """The content of each table that a ConcreteFunction captures, by the name of the tensor that stands for it."""
    kinds = _find_kinds(function)
    tables: dict[str, Table] = {}
    for outer, inner in function.graph.captures:
        if inner.dtype != tf.resource or inner.name not in kinds or not hasattr(outer, "numpy"):
            continue
        key_dtype, value_dtype = kinds[inner.name]
        keys, values = tf.raw_ops.LookupTableExportV2(table_handle=outer, Tkeys=key_dtype, Tvalues=value_dtype)
        # TensorFlow lists them in the order of a hash that is seeded anew in every process.
        order = np.argsort(keys.numpy())
        tables[inner.name] = Table(keys.numpy()[order], values.numpy()[order])
    return tables


def _find_kinds(function: Any) -> dict[str, tuple[Any, Any]]:
    """The types of keys and values of the tables that a graph looks up, called functions included."""
    kinds: dict[str, tuple[Any, Any]] = {}
    graph = function.graph
    for op in graph.get_operations():
        if op.type in FINDS:
            kinds[op.inputs[0].name] = (op.get_attr("Tin"), op.get_attr("Tout"))
        elif op.type in ("PartitionedCall", "StatefulPartitionedCall"):
            # The function as it was traced, which TensorFlow keeps but does not show.
            called = graph._get_function(op.get_attr("f").name)
            found = _find_kinds(called)
            for outside, inside in zip(op.inputs, called.graph.inputs, strict=True):
                if inside.name in found:
                    kinds[outside.name] = found[inside.name]
    return kinds
