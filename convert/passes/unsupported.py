"""Listing what of a graph is not standard ONNX: every such node at once."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from transload.convert.passes.metadata import SOURCE_KEY
from transload.serialize.errors import UnsupportedOperation
from transload.serialize.operator_domains import is_library_domain

STANDARD_DOMAINS = {"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml"}


def find_unsupported(model: ir.Model, *, with_libraries: bool = False) -> tuple[UnsupportedOperation, ...]:
    """Each node that is neither a standard operator at the model's opset nor a call of the model's own functions.

    The same operator at several places is listed at each. `with_libraries` leaves out those that a library may define.
    """
    found = []
    for node, imports in _nodes(model):
        if node.op_identifier() in model.functions or (with_libraries and is_library_domain(node.domain)):
            continue
        reason = _refuse(node, imports)
        if reason:
            name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            found.append(UnsupportedOperation(name, _location(node), reason))
    return tuple(found)


def find_library_domains(model: ir.Model) -> tuple[str, ...]:
    """The domains of operators that only a library can define, sorted."""
    found = {node.domain for node, _ in _nodes(model) if node.op_identifier() not in model.functions}
    return tuple(sorted(domain for domain in found if is_library_domain(domain)))


def _nodes(model: ir.Model) -> Iterator[tuple[ir.Node, dict[str, int]]]:
    for node in model.graph.all_nodes():
        yield node, model.opset_imports
    for function in model.functions.values():
        for node in function.all_nodes():
            yield node, function.opset_imports


def _refuse(node: ir.Node, imports: dict[str, int]) -> str:
    if node.domain not in STANDARD_DOMAINS:
        return "not an ONNX operator"
    domain = STANDARD_DOMAINS[node.domain]
    opset = node.version or imports.get(domain, imports.get("ai.onnx", 0) if not domain else 0)
    if not opset:
        return f"the model does not import the operator set {domain or 'ai.onnx'!r}"
    try:
        onnx.defs.get_schema(node.op_type, opset, domain)
    except onnx.defs.SchemaError:
        return f"not in opset {opset} of {domain or 'ai.onnx'}"
    return ""


def _location(node: ir.Node) -> str:
    parts = [f"node {node.name!r}" if node.name else "", node.metadata_props.get(SOURCE_KEY, "")]
    return ", ".join(part for part in parts if part)
