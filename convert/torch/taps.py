"""Intermediate values of a TorchScript method, by the names that its IR has for them."""

from __future__ import annotations

from typing import Any

import torch

from transload.convert.torch.threads import one_thread


def tap_method(module: Any, method: str, args: tuple[Any, ...]) -> dict[str, torch.Tensor]:
    """Every tensor that a node outside of branches and loops gives, by debug name, as it was when the node had run.

    One run of the method; `args` are its arguments, in order. Attributes that it changes stay changed.
    """
    # torch has no public way to run an edited graph; tests/convert/torch/test_taps.py fails when this one goes.
    original = getattr(module, method).inlined_graph
    graph = original.copy()
    names, taps = [], []
    # The copy has names of its own.
    for named, node in zip(list(original.nodes()), list(graph.nodes()), strict=True):
        for known, output in zip(named.outputs(), node.outputs(), strict=True):
            if isinstance(output.type(), torch._C.TensorType) and node.kind() != "prim::GetAttr":
                # A copy, since later nodes may change the tensor in place.
                none = graph.create("prim::Constant")
                none.insertAfter(node)
                none.output().setType(torch._C.NoneType.get())
                copy = graph.create("aten::clone", [output, none.output()], 1)
                copy.insertAfter(none)
                copy.output().setType(output.type())
                names.append(known.debugName())
                taps.append(copy.output())
    result = graph.create("prim::TupleConstruct", taps, 1)
    graph.appendNode(result)
    result.output().setType(torch._C.TupleType([tap.type() for tap in taps]))
    while list(graph.outputs()):
        graph.eraseOutput(0)
    graph.registerOutput(result.output())
    function = torch._C._create_function_from_graph("tapped", graph)
    with torch.no_grad(), one_thread():
        return dict(zip(names, function(module, *args), strict=True))
