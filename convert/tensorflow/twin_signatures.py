"""Signatures of a SavedModel that are one function under several names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from transload.convert.tensorflow.graph_nodes import called_functions

DEFAULT_SIGNATURE = "serving_default"

WRAPPING = frozenset({"PartitionedCall", "StatefulPartitionedCall", "Identity", "NoOp"})
"""What the functions of signatures are made of: they call another one and hand on what it gives."""

Signature = TypeVar("Signature")


def without_repetition(
    signatures: Mapping[str, Signature], are_same: Callable[[Signature, Signature], bool]
) -> tuple[dict[str, Signature], tuple[str, ...]]:
    """The signatures without those that call the same function as another one; `serving_default` is kept.

    Returns:
        The signatures by name, in order, and a sentence for the user about each that was left out.
    """
    kept: dict[str, Signature] = {}
    notes = []
    for name in sorted(signatures, key=lambda name: (name != DEFAULT_SIGNATURE, name)):
        twin = next((other for other in kept if are_same(signatures[name], kept[other])), None)
        if twin is None:
            kept[name] = signatures[name]
        else:
            notes.append(f"The signature {name!r} is the same function as {twin!r}, and is no component of its own.")
    return dict(sorted(kept.items())), tuple(notes)


def are_same_functions(one: Any, other: Any) -> bool:
    """Whether two ConcreteFunctions are mere wrappers around one function, with equal names in and out."""
    return (
        wrapped_call(one.graph.as_graph_def().node) == wrapped_call(other.graph.as_graph_def().node) is not None
        and one.structured_input_signature == other.structured_input_signature
        and one.structured_outputs == other.structured_outputs
        and [id(outer) for outer, _ in one.graph.captures] == [id(outer) for outer, _ in other.graph.captures]
    )


def wrapped_call(nodes: Iterable[Any]) -> list[tuple[str, ...]] | None:
    """What these nodes of a signature's graph compute, where they only call a function; else None."""
    nodes = list(nodes)
    if any(node.op not in WRAPPING | {"Placeholder"} for node in nodes):
        return None
    return [(node.name, *called_functions(node), *node.input) for node in nodes]
