"""Making a failing ONNX graph smaller for as long as a command of the user's still fails on it."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx.utils import Extractor

from transload.serialize.errors import UsageError

Fails = Callable[[onnx.ModelProto], bool]

PLACE = "{}"
"""What stands for the model's path in the command."""


@dataclass(frozen=True)
class Reduced:
    """The smallest graph that still fails, how many nodes there were and are, and how often the check ran."""

    model: onnx.ModelProto
    before: int
    after: int
    checks: int


def command_fails(command: str, time_limit_s: float | None = None) -> Fails:
    """A check that runs a shell-like command on a file and says whether it ended with another status than 0.

    A crash counts as a failure, and so does running past the limit. `{}` is the model's path; without it the path comes
    last.
    """
    words = shlex.split(command)

    def fails(model: onnx.ModelProto) -> bool:
        with tempfile.TemporaryDirectory(prefix="transload-") as folder:
            path = str(Path(folder) / "model.onnx")
            onnx.save(model, path)
            arguments = [word.replace(PLACE, path) for word in words]
            arguments = arguments if any(PLACE in word for word in words) else [*arguments, path]
            try:
                done = subprocess.run(arguments, capture_output=True, timeout=time_limit_s, check=False)
            except subprocess.TimeoutExpired:
                return True
            except OSError as error:
                raise UsageError(f"Cannot run {arguments[0]!r}: {error.strerror}.") from error
            return done.returncode != 0

    return fails


def reduce_model(model: onnx.ModelProto, fails: Fails) -> Reduced:
    """The smallest graph around a failure: first its end is moved forward, then its beginning, then single outputs go.

    Bisection finds each place, so a graph of n nodes takes about 2 log n checks, and a linear walk makes sure at the
    end. What is cut off in front becomes inputs of the graph, of the dtype and rank that shape inference finds.

    Raises:
        UsageError: the check does not fail on the whole model.
    """
    counter = [0]

    def check(candidate: onnx.ModelProto | None) -> bool:
        if candidate is None:
            return False
        counter[0] += 1
        return fails(candidate)

    before = len(model.graph.node)
    if not check(model):
        raise UsageError(
            "The check does not fail on the whole model.", hint="It has to end with another status than 0, or crash."
        )
    best = onnx.shape_inference.infer_shapes(model)
    best = _bisect(best, check, lambda m, k: _keep(m, 0, k))
    best = _bisect(best, check, lambda m, k: _keep(m, len(m.graph.node) - k, len(m.graph.node)))
    shrunk = True
    while shrunk and len(best.graph.node) > 1:
        shrunk = False
        for start, end in ((0, len(best.graph.node) - 1), (1, len(best.graph.node))):
            candidate = _keep(best, start, end)
            if check(candidate):
                assert candidate is not None
                best, shrunk = candidate, True
                break
    return Reduced(best, before, len(best.graph.node), counter[0])


def _bisect(
    model: onnx.ModelProto,
    check: Callable[[onnx.ModelProto | None], bool],
    cut: Callable[[onnx.ModelProto, int], onnx.ModelProto | None],
) -> onnx.ModelProto:
    """The model with the fewest nodes of those that `cut` makes which still fails, if failing is monotone in them."""
    low, high, best = 1, len(model.graph.node), model
    while low < high:
        middle = (low + high) // 2
        candidate = cut(model, middle)
        if check(candidate):
            assert candidate is not None
            best, high = candidate, middle
        else:
            low = middle + 1
    return best


def _keep(model: onnx.ModelProto, start: int, end: int) -> onnx.ModelProto | None:
    """The nodes from `start` to `end` alone; None where types of what they read are not known."""
    nodes = list(model.graph.node)[start:end]
    made = {name for node in nodes for name in node.output if name}
    later = {name for node in list(model.graph.node)[end:] for name in node.input}
    outputs = [value.name for value in model.graph.output if value.name in made]
    outputs += [name for name in dict.fromkeys(n for node in nodes for n in node.output) if name in later]
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [n for n in dict.fromkeys(n for node in nodes for n in node.input) if n and n not in made | constants]
    known = {value.name for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)}
    outputs = list(dict.fromkeys(outputs)) or [nodes[-1].output[0]]
    if any(_reads_outside(node) for node in nodes) or not known.issuperset([*inputs, *outputs]):
        return None
    return Extractor(model).extract_model(inputs, outputs)


def _reads_outside(node: onnx.NodeProto) -> bool:
    """Whether a node has subgraphs: what these read from around them is not among its inputs."""
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
