"""The ways to capture an nn.Module: tracing or scripting into our own translator, and torch.export in two modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.capture import Array, Capture
from transload.convert.error_lines import first_line, last_line
from transload.convert.options import DEFAULT_OPSET
from transload.convert.source import Source
from transload.convert.torch.arguments import Arguments
from transload.convert.torch.assembly import assemble
from transload.convert.torch.data_reads import find_data_reads
from transload.convert.torch.dimensions import Dimensions
from transload.convert.torch.dynamo_exporter import export_program
from transload.convert.torch.flat_module import FlatModule
from transload.convert.torch.graph import strip_initializer_prefix
from transload.convert.torch.probing import MovingAxes
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import StateTensor, TorchReference, attribute_tensor, evaluating, get_attribute
from transload.convert.torch.script import DEFAULT_OPSET as SCRIPT_OPSET
from transload.convert.torch.script import translate
from transload.convert.torch.tensors import to_numpy
from transload.convert.torch.torchscript import fit_parameters
from transload.convert.torch.tracing import Trace, trace, trace_with_loops
from transload.serialize.errors import UnsupportedError, UnsupportedOperation
from transload.serialize.interface import Node


@dataclass(frozen=True)
class Callee:
    """A module with all that is known of it before it is captured.

    Args:
        source: Where it came from.
        module: The module.
        arguments: Its arguments, with the tensors of the example.
        example: The example's tensors by name.
        dimensions: Names of the dimensions that shall be dynamic.
        outputs: The tree of what it returns for the example.
        reference: The module, callable with flat tensors.
        moving: Which axes of the outputs follow the inputs' sizes.
        state: What it changes of itself.
        notes: Sentences for the user.
        opset: The ONNX opset that the user asked for.
        component: The name of the callable.
    """

    source: Source
    module: torch.nn.Module
    arguments: Arguments
    example: dict[str, Array]
    dimensions: Dimensions
    outputs: Node
    reference: TorchReference
    moving: MovingAxes
    state: tuple[StateTensor, ...] = ()
    notes: tuple[str, ...] = ()
    opset: int | None = None
    component: str = "forward"

    @cached_property
    def flat(self) -> FlatModule:
        """The module as a function of tensors."""
        return FlatModule(self.module, self.arguments, self.outputs, self.state)

    @cached_property
    def initial_state(self) -> dict[str, torch.Tensor]:
        """The state before the first call, by the names of its inputs."""
        return {each.input: attribute_tensor(get_attribute(self.module, each.path)).clone() for each in self.state}

    def tensors(self) -> dict[str, torch.Tensor]:
        """What the flat module takes, by name: the example's tensors, then the state. New ones each time."""
        copies = {name: tensor.clone() for name, tensor in self.arguments.tensors().items()}
        return copies | {name: tensor.clone() for name, tensor in self.initial_state.items()}


def ways_to_capture(callee: Callee) -> Mapping[str, Callable[[], Capture]]:
    """The ways by name, in the order in which to try them.

    Tracing is right for most models and about ten times as fast as torch.export; loops over sizes cost it time, so that
    they are kept only where the trace without them has a size too few; scripting fails at once or follows control flow
    that neither a trace nor torch.export can; strict export differs from the other in what it refuses.
    docs/architectures.md has the numbers.
    """
    return {
        "trace": partial(_capture_trace, callee, trace),
        "trace with loops": partial(_capture_trace, callee, trace_with_loops),
        "script": partial(_capture_script, callee),
        "export": partial(_capture_export, callee, strict=False),
        "strict export": partial(_capture_export, callee, strict=True),
    }


Tracer = Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], Trace]


def _capture_trace(callee: Callee, tracer: Tracer) -> Capture:
    """A trace of the example, translated by us.

    Raises:
        UnsupportedError: the module's Python code depends on its inputs' values, of which a trace holds one case; or
            operators have no translation.
    """
    with evaluating(callee.flat), torch.no_grad(), quiet():
        # Both run the module's code in ways of which it may know nothing; it raises whatever it likes.
        try:
            watched = callee.tensors().values()
            warned, silent = find_data_reads(lambda: callee.flat(*watched), watched)
            traced = tracer(callee.flat, tuple(callee.tensors().values()))
        except UnsupportedError:
            raise
        except Exception as error:
            raise UnsupportedError(f"torch cannot trace the module: {last_line(error)}") from error
    if fixed := sorted(silent | (warned & traced.fixed)):
        raise UnsupportedError(
            "The module's Python code depends on the values of its inputs, which a trace would fix.",
            operations=tuple(UnsupportedOperation(line.read(), str(line)) for line in fixed),
        )
    translation = translate(
        traced.program, callee.tensors(), dynamic_axes=callee.dimensions, opset=callee.opset or SCRIPT_OPSET
    )
    if translation.state:
        paths = ", ".join(each.path for each in translation.state)
        raise UnsupportedError(f"The trace changes attributes that calls in a row do not: {paths}.")
    fixed_sizes = tuple(f"{line}: {line.read()}" for line in sorted(traced.fixed))
    return replace(_assemble(callee, translation.model, translation.notes), fixed_sizes=fixed_sizes)


def _capture_script(callee: Callee) -> Capture:
    """The module compiled by torch.jit.script, translated by us.

    Raises:
        UnsupportedError: the module's code is not TorchScript, or operators have no translation.
    """
    with evaluating(callee.module), quiet():
        # The compiler raises anything over code that is not in its language.
        try:
            scripted: Any = torch.jit.script(callee.module)
        except Exception as error:
            raise UnsupportedError(f"The module is not TorchScript: {first_line(error)}") from error
    given = {**callee.arguments.omitted, **callee.arguments.positional, **callee.arguments.keyword}
    given = {name: given[name] for name in callee.arguments.order}
    translation = translate(
        scripted,
        fit_parameters(scripted, "forward", given),
        dynamic_axes=callee.dimensions,
        opset=callee.opset or SCRIPT_OPSET,
    )
    state = {each.path: each for each in callee.state}
    if {slot.path for slot in translation.state} != set(state):
        raise UnsupportedError("The script changes other attributes than the module was seen to change.")
    callee = replace(callee, state=tuple(state[slot.path] for slot in translation.state))
    return _assemble(callee, translation.model, translation.notes)


def _capture_export(callee: Callee, *, strict: bool) -> Capture:
    """The graph of torch.export, written by torch's exporter.

    Raises:
        UnsupportedError: torch cannot export the module; all operators without translation are listed.
    """
    tensors = callee.tensors()
    with evaluating(callee.flat):
        flat = _strict_module(callee) if strict else callee.flat
        model, notes = export_program(
            flat,
            tuple(tensors.values()),
            _dynamic_shapes(tensors, callee.dimensions),
            opset=callee.opset or DEFAULT_OPSET,
            names=tuple(tensors),
        )
    return _assemble(callee, model, notes)


def _strict_module(callee: Callee) -> FlatModule:
    """The module as torch.export reads it from its bytecode, which the other export then takes instead.

    Raises:
        UnsupportedError: torch cannot read it, or it changes itself.
    """
    if callee.state:
        raise UnsupportedError("Strict export does not see what the module changes of itself.")
    args, kwargs = callee.arguments.fill(callee.tensors())
    shapes = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
    given = Arguments(dict(zip(callee.arguments.positional, args, strict=True)), kwargs)
    for name, tensor in given.tensors().items():
        shapes[tensor] = dict.fromkeys(callee.dimensions.get(name, ()), torch.export.Dim.DYNAMIC)
    with quiet():
        try:
            made = shapes.dynamic_shapes(callee.module, args, kwargs)  # type: ignore[no-untyped-call]
            program = torch.export.export(callee.module, args, kwargs, dynamic_shapes=made, strict=True)
        except Exception as error:
            raise UnsupportedError(f"torch cannot export the module: {first_line(error)}") from error
    return FlatModule(program.module(), callee.arguments, callee.outputs)


def _assemble(callee: Callee, model: ir.Model, notes: tuple[str, ...]) -> Capture:
    strip_initializer_prefix(model, "module.")
    captured = assemble(
        callee.source,
        model,
        callee.arguments,
        callee.outputs,
        callee.reference,
        component=callee.component,
        example=callee.example,
        dimensions=callee.dimensions,
        moving=callee.moving,
        state=tuple((each.path, each.input, each.output) for each in callee.state),
        initial={name: to_numpy(tensor) for name, tensor in callee.initial_state.items()},
        notes=(*callee.notes, *notes),
    )
    _store_initial_state(model, captured)
    return captured


def _store_initial_state(model: ir.Model, captured: Capture) -> None:
    """Give the inputs that carry state their values before the first call, where the graph does not have them yet."""
    inputs = {value.name: value for value in model.graph.inputs}
    for each in captured.state:
        value = inputs[each.input.name]
        if not value.is_initializer():
            value.const_value = ir.tensor(captured.example[each.input.name], name=each.input.name)
            model.graph.register_initializer(value)


def _dynamic_shapes(tensors: Mapping[str, Any], dimensions: Dimensions) -> Any:
    """Every declared dimension on its own: torch finds by itself which must be equal."""
    if not dimensions:
        return None
    dynamic = torch.export.Dim.DYNAMIC
    return (tuple(dict.fromkeys(dimensions.get(name, ()), dynamic) for name in tensors),)
