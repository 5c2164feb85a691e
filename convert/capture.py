"""What every front end returns: one callable of a source as an ONNX graph, with a way to ask the source itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnx_ir as ir

from transload.serialize.interface import Node, SourceRecord, State, Tensor, leaves

Array = np.ndarray[Any, Any]
Feed = Mapping[str, Array]
"""Tensors by the names of the ONNX graph's inputs or outputs."""


class Reference(Protocol):
    """The source, callable with flat tensors: the other side of the equivalence check."""

    def run(self, feed: Feed) -> dict[str, Array]:
        """The source framework's outputs for `feed`, by output tensor name.

        Never changes the arrays in `feed`. Whatever the framework raises passes through unchanged.
        """

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """The same with weights and floating inputs in float64; None where the source cannot run so."""


@runtime_checkable
class Tappable(Protocol):
    """A source that shows its intermediate values."""

    def tap(self, feed: Feed) -> dict[str, Array]:
        """What its operations give for `feed`, by the names that the capture put into the graph: in the metadata of a
        node under `tap`, for its first output, or as the name of a value itself. One run of the source."""


@dataclass(frozen=True)
class Capture:
    """One callable of a source, captured.

    Args:
        component: The name of the callable (`forward`, `serving_default`).
        model: The graph. Its input and output names are those of the leaves of the trees.
        inputs: The callable's parameters, in order, each as a tree.
        outputs: The tree of what it returns.
        reference: The source itself.
        example: One input set that the source accepts, by input tensor name, state included.
        source: What the source was.
        way: How the graph came about, where there is more than one way (`trace`, `export`).
        notes: Sentences for the user about choices that the front end made.
        doubt: Why the source's own answers may be wrong on this processor, and what to do; '' where they are not.
        state: What the callable carries from call to call; its inputs and outputs follow the others in the graph.
        integer_ranges: The lowest and highest value that makes sense for an integer input, by name, where the front end
            knows it better than the graph shows.
        may_be_empty: Dimensions that may have the size 0, by name.
        must_vary: Dimensions that have to be dynamic, as if the user had asked for them.
        fixed_sizes: Lines of the source at which a size became a constant of the graph, as `file:line: code`.
        assets: Files that come with the model, such as a tokenizer, by relative path.
        resources: Objects that must outlive the lazy weights in `model`, such as a scratch folder.
    """

    component: str
    model: ir.Model
    inputs: dict[str, Node]
    outputs: Node
    reference: Reference
    example: dict[str, Array]
    source: SourceRecord
    way: str = ""
    notes: tuple[str, ...] = ()
    doubt: str = ""
    state: tuple[State, ...] = ()
    integer_ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    may_be_empty: frozenset[str] = frozenset()
    must_vary: frozenset[str] = frozenset()
    fixed_sizes: tuple[str, ...] = ()
    assets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    resources: tuple[object, ...] = field(default=(), repr=False, compare=False)

    def input_leaves(self) -> tuple[Tensor, ...]:
        """The tensors that the graph takes, in order, each once; state comes last."""
        found = {leaf.name: leaf for node in self.inputs.values() for leaf in leaves(node)}
        return (*found.values(), *(state.input for state in self.state))

    def output_leaves(self) -> tuple[Tensor, ...]:
        """The tensors that the graph gives, in order, each once; state comes last."""
        found = {leaf.name: leaf for leaf in leaves(self.outputs)}
        return (*found.values(), *(state.output for state in self.state))


@dataclass(frozen=True)
class Alternatives:
    """One callable of a source that can be captured in several ways, of which none is sure to be right.

    Args:
        component: The name of the callable.
        ways: By name, in the order in which to try them, what captures that way. It raises UnsupportedError where the
            way is closed.
        dimensions: The dimensions that the source itself was seen to take at other sizes: the first way whose capture
            is proven with all of them is the one.
    """

    component: str
    ways: Mapping[str, Callable[[], Capture]]
    dimensions: frozenset[str] = frozenset()
