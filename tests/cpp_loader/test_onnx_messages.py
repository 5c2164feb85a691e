"""The loader's table of ONNX messages is the installed ONNX's own schema; fields that a newer one adds show here."""

from __future__ import annotations

import re
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from loader import ROOT

ROW = re.compile(r"\{Message::(\w+), (\d+), Message::(\w+)(?:, Count::(\w+))?(?:, k(\w+))?(?:, (\d+))?\}")

NAMES = {
    "ModelProto": "model",
    "GraphProto": "graph",
    "NodeProto": "node",
    "AttributeProto": "attribute",
    "TensorProto": "tensor",
    "TensorProto.Segment": "segment",
    "SparseTensorProto": "sparse_tensor",
    "FunctionProto": "function",
    "ValueInfoProto": "value_info",
    "TypeProto": "type",
    "TypeProto.Tensor": "tensor_type",
    "TypeProto.Sequence": "sequence_type",
    "TypeProto.Map": "map_type",
    "TypeProto.Optional": "optional_type",
    "TypeProto.SparseTensor": "sparse_tensor_type",
    "TypeProto.Opaque": "opaque_type",
    "TensorShapeProto": "shape",
    "TensorShapeProto.Dimension": "dimension",
    "StringStringEntryProto": "entry",
    "OperatorSetIdProto": "opset",
    "TensorAnnotation": "annotation",
    "TrainingInfoProto": "training",
    "DeviceConfigurationProto": "configuration",
    "NodeDeviceConfigurationProto": "node_configuration",
    "ShardingSpecProto": "sharding",
    "IntIntListEntryProto": "sharding_groups",
    "ShardedDimProto": "sharded_dimension",
    "SimpleShardedDimProto": "simple_sharding",
}

TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE)


def wire_type(field: Any) -> str:
    if field.type in TEXTS or (field.is_repeated and field.GetOptions().packed):
        return "Text"
    return {FieldDescriptor.TYPE_FLOAT: "Fixed32", FieldDescriptor.TYPE_DOUBLE: "Fixed64"}.get(field.type, "Varint")


def slot(field: Any) -> str:
    """The number that all alternatives of a oneof share; "" elsewhere."""
    if field.containing_oneof is None:
        return ""
    return str(min(other.number for other in field.containing_oneof.fields))


def fields_of(descriptor: Any) -> dict[tuple[str, int], tuple[str, str, str, str]]:
    """Every field of a message and of those that it holds."""
    found: dict[tuple[str, int], tuple[str, str, str, str]] = {}
    queue, seen = [descriptor], set()
    while queue:
        message = queue.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        parent = NAMES[message.full_name.removeprefix("onnx.")]
        for field in message.fields:
            child = "scalar"
            if field.message_type is not None:
                child = NAMES[field.message_type.full_name.removeprefix("onnx.")]
                queue.append(field.message_type)
            count = "many" if field.is_repeated else "once"
            found[parent, field.number] = (child, count, wire_type(field), slot(field))
    return found


def test_the_table_is_onnx_s_schema() -> None:
    rows = ROW.findall((ROOT / "cpp_loader" / "src" / "onnx_messages.h").read_text())
    table = {
        (parent, int(number)): (child, count or "once", wire or "Text", slot)
        for parent, number, child, count, wire, slot in rows
    }
    assert table == fields_of(onnx.ModelProto.DESCRIPTOR)
