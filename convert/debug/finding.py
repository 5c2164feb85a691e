"""What `transload debug` found, as plain values that cross the border of a process."""

from __future__ import annotations

import msgspec


class Statistics(msgspec.Struct, frozen=True):
    """A tensor in a few numbers, over its finite elements."""

    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float
    mean: float
    nan: int
    infinite: int


class Finding(msgspec.Struct, frozen=True):
    """What `transload debug` found. `node` is empty where the outputs agree, or no single node could be told.

    Args:
        summary: One sentence.
        node, op_type, line, value: The ONNX node, its operator, its source line, and the tensor that it makes.
        operation: The source's own name of that tensor.
        region: The nodes in one of which the fault is, in order; one alone where the source shows every tensor.
        row: How the tensor differs, as text.
        ours, reference: Both sides in a few numbers.
        matched, nodes: How many nodes' values the source shows too, and how many there are.
        source_runs: How often the source ran.
        model, inputs: `culprit.onnx`, and what to feed it.
    """

    summary: str
    node: str = ""
    op_type: str = ""
    line: str = ""
    value: str = ""
    operation: str = ""
    region: tuple[str, ...] = ()
    row: str = ""
    ours: Statistics | None = None
    reference: Statistics | None = None
    matched: int = 0
    nodes: int = 0
    source_runs: int = 0
    model: bytes = b""
    inputs: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
