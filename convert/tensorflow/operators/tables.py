"""Lookup tables with fixed content, as LabelEncoder."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from transload.convert.capture import Array
from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator
from transload.convert.tensorflow.table_content import Table
from transload.serialize.errors import UnsupportedError

STRING, INT64, FLOAT = int(TensorProto.STRING), int(TensorProto.INT64), int(TensorProto.FLOAT)
SUFFIXES = {STRING: "strings", INT64: "int64s", FLOAT: "floats"}


def _table(g: Emitter) -> Table:
    table = g.tables.get(g.inputs[0])
    if table is None:
        raise UnsupportedError("The content of the lookup table is not known.")
    return table


def _kind(dtype: int) -> int:
    """The one of LabelEncoder's types that holds a type."""
    if dtype in (STRING, FLOAT):
        return dtype
    if dtype in (int(TensorProto.INT32), INT64):
        return INT64
    raise UnsupportedError("Tables of such a type have no LabelEncoder.")


@operator("LookupTableFindV2", "LookupTableFind")
def find(g: Emitter) -> str:
    table, (_, keys, default) = _table(g), g.inputs
    value_dtype = g.dtype(g.node.output[0])
    key_kind, value_kind = _kind(g.dtype(keys)), _kind(value_dtype)
    fallback = g.known(default)
    if fallback is None:
        raise UnsupportedError("The value for what is not in the table depends on the data.")
    known = np.asarray(fallback).item()
    attributes = {
        f"keys_{SUFFIXES[key_kind]}": _listed(table.keys, key_kind),
        f"values_{SUFFIXES[value_kind]}": _listed(table.values, value_kind),
        f"default_{SUFFIXES[value_kind].removesuffix('s')}": _listed(np.array([known], dtype=object), value_kind)[0],
    }
    if not table.keys.size:
        raise UnsupportedError("The lookup table is empty.")
    keys = keys if g.dtype(keys) == key_kind else g.Cast(keys, to=key_kind)
    found = g.graph.make_node(
        "LabelEncoder", [keys], attr=attributes, domain="ai.onnx.ml", dtypes=[value_kind], shapes=[g.shape(keys)]
    ).output[0]
    return str(found if value_kind == value_dtype else g.Cast(found, to=value_dtype))


def _listed(values: Array, kind: int) -> list[object]:
    if kind == STRING:
        return [value if isinstance(value, bytes) else str(value).encode() for value in values.tolist()]
    return [int(value) if kind == INT64 else float(value) for value in values.tolist()]


@operator("LookupTableSizeV2")
def size(g: Emitter) -> str:
    return g.tensor(np.array(_table(g).keys.size, np.int64))
