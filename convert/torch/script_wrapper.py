"""A script module around another one that takes and returns plain tensors, written in TorchScript itself.

torch's exporter knows no None, no keyword and no dict among arguments or results. The wrapper builds the inner module's
arguments from tensors and constants, and takes its result apart.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import torch

from transload.convert.torch.arguments import Arguments
from transload.convert.torch.quiet import quiet
from transload.serialize.errors import UsageError
from transload.serialize.interface import Constant, Dict, List, Node, Nothing, Tensor, Tuple


class _Holder(torch.nn.Module):
    def __init__(self, module: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.module = module


def flatten_script_module(
    module: torch.jit.ScriptModule, arguments: Arguments, outputs: Node
) -> torch.jit.ScriptModule:
    """The wrapper. Its forward takes the tensors of `arguments` in order and returns those of `outputs`, in order.

    Raises:
        UsageError: the arguments do not fit the module's signature.
    """
    variables = {path: f"t{index}" for index, path in enumerate(arguments.tensors())}
    values = ", ".join(_expression(value, name, variables) for name, value in arguments.positional.items())
    # A parameter without annotation is a tensor in TorchScript.
    lines = [f"def forward(self, {', '.join(variables.values())}):"]
    lines.append(f"    result = self.module.forward({values})")
    results = _take_apart("result", outputs, forward_schema(module).returns[0].type, lines, count())
    lines.append(f"    return ({', '.join(results)})")
    with quiet():
        wrapper: torch.jit.ScriptModule = torch.jit.script(_Holder(module))
    try:
        wrapper.define("\n".join(lines) + "\n")
    except RuntimeError as error:
        reason = next((line for line in str(error).splitlines() if line.startswith("Expected")), str(error))
        raise UsageError(
            f"The inputs do not fit the TorchScript module: {reason}", where=str(forward_schema(module))
        ) from error
    wrapper.eval()
    return wrapper


def forward_schema(module: torch.jit.ScriptModule) -> Any:
    """The schema of the module's forward; its first argument is the module itself."""
    forward: Any = module.forward
    return forward.schema


def _expression(value: Any, path: str, variables: dict[str, str]) -> str:
    match value:
        case torch.Tensor():
            return variables[path]
        case dict():
            pairs = [f"{key!r}: {_expression(item, f'{path}/{key}', variables)}" for key, item in value.items()]
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            items = [_expression(item, f"{path}/{index}", variables) for index, item in enumerate(value)]
            return f"[{', '.join(items)}]" if isinstance(value, list) else f"({', '.join(items)},)"
        case float():
            return repr(value) if value - value == 0 else f'float("{value}")'
        case _:
            return repr(value)


def _take_apart(expression: str, node: Node, kind: Any, lines: list[str], numbers: count[int]) -> list[str]:
    """Expressions for the tensors below `expression`; statements that they need are appended to `lines`."""
    if isinstance(node, Nothing | Constant):
        return []
    if kind.kind() == "OptionalType":
        name = f"given{next(numbers)}"
        lines += [f"    {name} = {expression}", f"    assert {name} is not None"]
        return _take_apart(name, node, kind.getElementType(), lines, numbers)
    match node:
        case Tensor():
            return [expression]
        case Dict(items=mapping):
            children = [(repr(key), item, kind.getValueType()) for key, item in mapping.items()]
        case List(items=items):
            children = [(str(index), item, kind.getElementType()) for index, item in enumerate(items)]
        case Tuple(items=items):
            children = [(str(index), item, kind.elements()[index]) for index, item in enumerate(items)]
    return [
        found
        for key, item, child in children
        for found in _take_apart(f"{expression}[{key}]", item, child, lines, numbers)
    ]
