"""From a TorchScript method to an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.structure import map_leaves
from transload.convert.torch.graph import name_found_symbols
from transload.convert.torch.reference import attribute_tensor, get_attribute
from transload.convert.torch.script.attributes import Attributes
from transload.convert.torch.script.builder import IR_VERSION, SYMBOL_PREFIX, Builder
from transload.convert.torch.script.dtypes import NUMBER_DTYPE, to_onnx
from transload.convert.torch.script.interpreter import Interpreter
from transload.convert.torch.script.literals import from_python
from transload.convert.torch.script.poison import Raised
from transload.convert.torch.script.values import Complex, Dict, List, Number, Perhaps, Storage, Tensor, Vector
from transload.convert.torch.script.weights import store_transposed
from transload.serialize.errors import UnsupportedError, UsageError

OPSETS = range(17, 24)
"""The ONNX opsets that translations are written for."""

DEFAULT_OPSET = 20
"""The oldest with all that the translations use: Gelu, and DFT and GridSample in their later forms."""

MAX_ROUNDS = 4


@dataclass(frozen=True)
class StateSlot:
    """An attribute that the method changes. `growing` are the axes whose size it changes."""

    path: str
    growing: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Translation:
    """The graph of a method.

    Args:
        model: The graph. Inputs are the tensors of the arguments in order, then the state; outputs likewise.
        state: The attributes that the method changes, in the order of the graph's last inputs and outputs. These
            inputs have initializers: the values before the first call.
        notes: Sentences for the user.
    """

    model: ir.Model
    state: tuple[StateSlot, ...] = ()
    notes: tuple[str, ...] = ()


def translate(
    module: torch.jit.ScriptModule,
    values: Mapping[str, Any],
    *,
    dynamic_axes: Mapping[str, Mapping[int, str]],
    opset: int,
    method: str = "forward",
) -> Translation:
    """The graph of a method.

    Args:
        module: The script module, in eval mode.
        values: Every argument of the method, in order; its tensors, at any depth, become the graph's inputs, under the
            names of their paths.
        dynamic_axes: Input name -> axis -> name of a dynamic dimension. Other sizes are those of the tensors given.
        opset: The ONNX opset to write.
        method: Which method.

    Raises:
        UsageError: this opset is not written, or the method raises an exception for these arguments.
        UnsupportedError: something in the method has no translation; all of it is listed.
    """
    if opset not in OPSETS:
        raise UsageError(
            f"TorchScript is not translated to opset {opset}.", hint=f"Choose one from {OPSETS[0]} to {OPSETS[-1]}."
        )
    slots: tuple[StateSlot, ...] = ()
    for _ in range(MAX_ROUNDS):
        # What the method changes is known at the end of a translation; then it has to be an input from the start.
        translator = _Translator(module, opset, slots)
        translator.run(values, dynamic_axes, method)
        found = translator.find_state()
        if found == slots:
            return translator.finish()
        slots = found
    raise UnsupportedError("What the module changes of itself does not settle: its attributes change in size or kind.")


def may_change_itself(module: Any, method: str) -> bool:
    """Whether the method may change attributes of the module: it sets one, or changes some tensor in place."""

    def may_change(block: Any) -> bool:
        return any(
            node.kind() == "prim::SetAttr"
            or (node.kind().startswith("aten::") and node.kind().endswith("_") and not node.kind().endswith("__"))
            or any(map(may_change, node.blocks()))
            for node in block.nodes()
        )

    return may_change(getattr(module, method).inlined_graph)


class _Translator:
    """One attempt, with these attributes as state."""

    def __init__(self, module: Any, opset: int, slots: tuple[StateSlot, ...]) -> None:
        self.module = module
        self.slots = slots
        self.b = Builder(opset)
        self.inputs: list[ir.Value] = []
        state = {slot.path: self._make_state(slot) for slot in slots}
        self.interpreter = Interpreter(self.b, Attributes(module, state))
        self.result: Any = None

    def run(self, values: Mapping[str, Any], dynamic_axes: Mapping[str, Mapping[int, str]], method: str) -> None:
        def take(path: str, item: Any) -> Any:
            return self._make_input(path, item, dynamic_axes.get(path, {})) if isinstance(item, torch.Tensor) else item

        arguments = [from_python(self.interpreter, map_leaves(value, take, name)) for name, value in values.items()]
        graph = getattr(self.module, method).inlined_graph
        try:
            self.result = self.interpreter.call(graph, (self.module, *arguments))
        except Raised as error:
            raise UsageError(f"The method {method!r} raises an exception for inputs such as these: {error}") from error
        failures = tuple(self.interpreter.failures.values())
        if failures:
            raise UnsupportedError(
                f"{len(failures)} operations of the TorchScript method {method!r} have no translation to ONNX.",
                operations=failures,
                hint="Change these operations in the source, or convert the module itself instead of its TorchScript.",
            ) from self.interpreter.first_failure

    def find_state(self) -> tuple[StateSlot, ...]:
        """The attributes that have changed, those that were state already first."""
        former = {slot.path: slot for slot in self.slots}
        changed = self.interpreter.attributes.changed()
        return tuple(
            self._slot(path, changed.get(path), former.get(path)) for path in dict.fromkeys([*former, *changed])
        )

    def finish(self) -> Translation:
        """The graph with its inputs and outputs."""
        self.b.graph.inputs.extend(self.inputs)
        changed = self.interpreter.attributes.changed()
        results = list(_tensors(self.result))
        for slot in self.slots:
            value = changed.get(slot.path, self.interpreter.attributes.initial(slot.path))
            results.append(value if isinstance(value, Tensor) else self._as_tensor(value))
            self.b.graph.inputs.append(self.b.graph.initializers[slot.path])
        for tensor in results:
            self.b.graph.outputs.append(_output(self.interpreter, tensor))
        store_transposed(self.b.graph)
        model = ir.Model(self.b.graph, ir_version=IR_VERSION)
        name_found_symbols(model, SYMBOL_PREFIX)
        return Translation(model, self.slots, tuple(self.b.notes))

    def _make_input(self, path: str, item: torch.Tensor, axes: Mapping[int, str]) -> Tensor:
        shape = [axes.get(axis, size) for axis, size in enumerate(item.shape)]
        value = ir.Value(name=self.b.unique(path), type=ir.TensorType(to_onnx(item.dtype)), shape=ir.Shape(shape))
        self.inputs.append(value)
        return Tensor(Storage(value))

    def _make_state(self, slot: StateSlot) -> Tensor | Number:
        initial = get_attribute(self.module, slot.path)
        value = self.b.variable(attribute_tensor(initial), slot.path)
        name = slot.path.replace(".", "_")
        sizes = enumerate(attribute_tensor(initial).shape)
        value.shape = ir.Shape([f"{name}_dim{axis}" if axis in slot.growing else size for axis, size in sizes])
        return Tensor(Storage(value)) if isinstance(initial, torch.Tensor) else Number(value, type(initial))

    def _slot(self, path: str, value: Any, former: StateSlot | None) -> StateSlot:
        initial = get_attribute(self.module, path)
        if not isinstance(initial, torch.Tensor | int | float | bool):
            raise UnsupportedError(
                f"The module changes its attribute {path!r}, which is {type(initial).__name__} before the first call.",
                hint="State has to be a tensor or a number from the start.",
            )
        growing = former.growing if former else frozenset()
        if isinstance(initial, torch.Tensor) and isinstance(value, Tensor):
            content = self.interpreter.value(value)
            if content.dtype != to_onnx(initial.dtype) or self.b.rank(content) != initial.dim():
                raise UnsupportedError(f"The module changes dtype or rank of its attribute {path!r}.")
            sizes = enumerate(zip(content.shape or (), initial.shape, strict=True))
            growing |= {axis for axis, (now, before) in sizes if now != before}
        return StateSlot(path, growing)

    def _as_tensor(self, value: Any) -> Tensor:
        if not isinstance(value, Number | int | float | bool):
            raise UnsupportedError(f"The module sets an attribute to a {type(value).__name__}.")
        kind = value.kind if isinstance(value, Number) else type(value)
        return Tensor(Storage(self.b.scalar(value, NUMBER_DTYPE[kind])))


def _tensors(result: Any) -> Iterator[Tensor]:
    """The tensors of a result, in the order of the interface's tree."""
    match result:
        case Tensor():
            yield result
        case List(content=list() as items) | (tuple() as items):
            for item in items:
                yield from _tensors(item)
        case Dict(content=items):
            for item in items.values():
                yield from _tensors(item)
        case Number() | List(content=Vector()):
            raise UnsupportedError(
                "A Python number, or a list of them, is returned that depends on the inputs.",
                hint="Return a tensor (torch.tensor).",
            )
        case Perhaps():
            raise UnsupportedError(
                "What is returned is None or not, depending on the data.", hint="Return a tensor in every case."
            )
        case List():
            raise UnsupportedError("The number of tensors that the method returns depends on its inputs.")


def _output(interpreter: Interpreter, tensor: Tensor) -> ir.Value:
    content = interpreter.read(tensor)
    if isinstance(content, Complex):
        raise UnsupportedError(
            "A complex tensor is returned, which ONNX does not have.",
            hint="Return real and imaginary parts (torch.view_as_real).",
        )
    value = interpreter.value(tensor)
    interpreter.b.name_sizes(value)
    if any(value is each for each in interpreter.b.graph.outputs):
        copy: ir.Value = interpreter.b.Identity(value)
        return copy
    return value
