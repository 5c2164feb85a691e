"""Translating a small program and comparing ONNX Runtime's results with torch's."""

from __future__ import annotations

import copy
import io
import linecache
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from transload.convert.passes import run_passes
from transload.convert.torch.script import translate
from transload.runtime.comparison import DEFAULT_TOLERANCES
from transload.serialize.errors import UnsupportedError


class _Module(torch.nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def script(program: Any) -> Any:
    """A module, script module or scripted function as what torch.jit.load gives."""
    if isinstance(program, torch.jit.ScriptModule):
        module = program
    elif isinstance(program, torch.nn.Module):
        module = torch.jit.script(program.eval())
    else:
        module = _as_module(torch.jit.script(program))
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer).eval()


def trace(program: Callable[..., Any], *args: Any) -> Any:
    """As `script`, of a trace."""
    module = program if isinstance(program, torch.nn.Module) else _Module(program)
    return script(torch.jit.trace(module.eval(), args, check_trace=False, strict=False))


def _as_module(function: Any) -> Any:
    """A module whose forward calls a scripted function; torch.jit.script wants to read its source."""
    arguments = ", ".join(
        f"{each.name}: {each.type.annotation_str}" + (f" = {each.default_value!r}" if each.has_default_value() else "")
        for each in function.schema.arguments
    )
    names = ", ".join(each.name for each in function.schema.arguments)
    source = f"class Holder(torch.nn.Module):\n    def forward(self, {arguments}):\n        return function({names})\n"
    file = f"<holder of {function.name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope = {"torch": torch, "function": function, "Tensor": torch.Tensor, **vars(typing), "__name__": __name__}
    exec(compile(source, file, "exec"), scope)
    return torch.jit.script(scope["Holder"]())


def check(
    program: Any,
    *args: Any,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    others: Sequence[tuple[Any, ...]] = (),
    opset: int = 20,
    method: str = "forward",
    rtol: float | None = None,
    atol: float | None = None,
) -> ir.Model:
    """Translate for `args`, run on them and on `others`, compare; gives the translated model.

    Args:
        program: A module, a scripted or traced one, or a function to be scripted.
        args: Parameters left out take their defaults.
        dynamic: Input name -> axis -> name of a dynamic dimension.
        rtol, atol: Instead of the standard's for the dtype.
    """
    module = script(program)
    schema = getattr(module, method).schema
    values = {each.name: value for each, value in zip(schema.arguments[1:], args, strict=False)}
    for each in schema.arguments[1 + len(args) :]:
        values[each.name] = each.default_value
    model = translate(module, values, dynamic_axes=dynamic or {}, opset=opset, method=method).model
    names = [value.name for value in model.graph.inputs]
    model = run_passes(model).model
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"])
    kept = {value.name for value in session.get_inputs()}
    for given in (args, *others):
        feed = {name: tensor.numpy().copy() for name, tensor in zip(names, tensors(given), strict=True) if name in kept}
        got = session.run(None, feed)
        with torch.no_grad():
            want = tensors(getattr(module, method)(*copy.deepcopy(given)))
        assert len(got) == len(want)
        for index, (ours, theirs) in enumerate(zip(got, want, strict=True)):
            assert_same(ours, theirs.numpy(), f"output {index}", rtol, atol)
    return model


def refusal(program: Any, *args: Any, dynamic: Mapping[str, Mapping[int, str]] | None = None) -> UnsupportedError:
    """The error with which a program is refused."""
    with pytest.raises(UnsupportedError) as caught:
        check(program, *args, dynamic=dynamic)
    return caught.value


def tensors(value: Any) -> list[torch.Tensor]:
    """The tensors in a nested value, in order."""
    match value:
        case torch.Tensor():
            return [value]
        case list() | tuple():
            return [tensor for item in value for tensor in tensors(item)]
        case dict():
            return [tensor for item in value.values() for tensor in tensors(item)]
        case _:
            return []


def assert_same(
    ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], what: str, rtol: float | None, atol: float | None
) -> None:
    """Fail where two arrays differ in dtype, shape, places of NaN and infinities, or by more than the tolerance."""
    assert ours.dtype == theirs.dtype, what
    assert ours.shape == theirs.shape, what
    if theirs.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs, err_msg=what)
        return
    standard = DEFAULT_TOLERANCES[str(theirs.dtype)]
    np.testing.assert_allclose(
        ours,
        theirs,
        rtol=standard.rtol if rtol is None else rtol,
        atol=standard.atol if atol is None else atol,
        err_msg=what,
    )


def op_types(model: ir.Model) -> list[str]:
    """The operators of a model, blocks included, in order."""
    return [node.op_type for node in model.graph.all_nodes()]
