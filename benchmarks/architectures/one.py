"""One architecture: converted and proven, or timed beside torch's exporter."""

from __future__ import annotations

import importlib
import logging
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Literal

import torch

import transload as tl
from benchmarks.architectures import timm_models, transformers_models
from benchmarks.architectures.difference import largest_difference
from transload.convert.torch.quiet import quiet
from transload.convert.torch.reference import flatten_outputs
from transload.serialize import Package
from transload.serialize.errors import TransloadError
from transload.serialize.interface import Constant, Node, input_tensors, leaves

WRONG = 1e-3
"""A difference, relative to the largest output, that no rounding explains."""

LOADED = (
    "transload.api",
    "transload.convert.pipeline",
    "transload.convert.detect",
    "transload.convert.torch.module",
    "transload.runtime.model",
)
"""The modules that import all others which a conversion needs."""

FAMILIES = {"timm": timm_models.make, "transformers": transformers_models.make}


def load(name: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The model of a name such as `timm/resnet18`, with weights that show errors, and its arguments."""
    family, _, model = name.partition("/")
    module, arguments = FAMILIES[family](model)
    perturb(module)
    calibrate(module, arguments)
    return module.eval(), arguments


def perturb(module: torch.nn.Module) -> None:
    """Move weights that are all equal: a scale of one, a bias of zero or a gain of 1e-6 hides what is done with it."""
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.is_floating_point() and weight.numel() > 1 and bool((weight == weight.flatten()[0]).all()):
                size = max(float(weight.flatten()[0].abs()), 0.1)
                weight.add_(torch.randn_like(weight) * 0.3 * size)


def calibrate(module: torch.nn.Module, arguments: dict[str, Any]) -> None:
    """Give batch normalizations the statistics of what reaches them, without which deep networks fade or explode."""
    norms = [child for child in module.modules() if isinstance(child, torch.nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    module.eval()
    for norm in norms:
        norm.momentum = 0.5
        norm.train()
    with torch.no_grad():
        for _ in range(4):
            # Some want more than one value per channel in training, which small inputs do not give.
            try:
                module(**arguments)
            except ValueError:
                break
    module.eval()


def convert(name: str, proof: Literal["quick", "full"]) -> dict[str, Any]:
    """What became of the conversion with its proof."""
    module, arguments = load(name)
    start = time.perf_counter()
    try:
        package = tl.convert_model(module, kwargs=arguments, proof=proof)
    except TransloadError as error:
        text = str(error)
        return {"result": type(error).__name__, "reason": text[:3000], "seconds": time.perf_counter() - start}
    seconds = time.perf_counter() - start
    [component] = package.components
    interface = component.interface
    evidence = interface.proof
    dynamic = [dim for tensor in input_tensors(interface) for dim in tensor.shape or () if isinstance(dim, str)]
    return {
        # Not "greater is wrong": NaN is neither.
        "result": "proven" if (difference := compare_anew(module, arguments, package)) <= WRONG else "wrong",
        "difference": difference,
        "proof": evidence.level,
        "way": interface.source.way,
        "dynamic": list(dict.fromkeys(dynamic)),
        "inputs": {tensor.name: list(tensor.shape or ()) for tensor in input_tensors(interface)},
        "outputs": sum(1 for _ in leaves(interface.outputs)),
        "cases": {
            kind: sum(case.result == kind for case in evidence.cases) for kind in ("equal", "noise", "undefined")
        },
        "error": max((case.max_abs_error for case in evidence.cases if case.result != "undefined"), default=0.0),
        "notes": list(evidence.notes),
        "seconds": seconds,
    }


def compare_anew(module: torch.nn.Module, arguments: dict[str, Any], package: Package) -> float:
    """The largest difference between module and package on inputs that the proof did not choose.

    As `largest_difference`. Where the first axis of an input is dynamic, it is one longer.
    """
    [component] = package.components
    shapes = {tensor.name: tensor.shape or () for tensor in input_tensors(component.interface)}
    generator = torch.Generator().manual_seed(7)
    feed = {}
    for name, tensor in _tensors(arguments).items():
        grows = bool(shapes[name]) and isinstance(shapes[name][0], str)
        more = torch.cat([tensor, tensor.flip(0)[:1]]) if grows else tensor
        feed[name] = (
            more + 0.3 * torch.randn(more.shape, generator=generator) if more.is_floating_point() else more.roll(1, -1)
        )
    with torch.no_grad():
        expected = flatten_outputs(module(**arguments | feed), tuple(feed))[1]
    with tempfile.TemporaryDirectory() as folder:
        package.save(Path(folder) / "m.tload")
        model = tl.load(Path(folder) / "m.tload", threads=1)
        found = model.run(list(expected), {name: tensor.numpy() for name, tensor in feed.items()})
    return largest_difference(found, [tensor.numpy() for tensor in expected.values()])


def _tensors(arguments: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in arguments.items() if isinstance(value, torch.Tensor)}


def time_capture(name: str) -> dict[str, float]:
    """Seconds of a conversion without proof, and of torch's own exporter with the dimensions that were found."""
    module, arguments = load(name)
    start = time.perf_counter()
    package = tl.convert_model(module, kwargs=arguments, proof="none")
    ours = time.perf_counter() - start
    inputs = package.components[0].interface.inputs
    start = time.perf_counter()
    with quiet(), torch.no_grad():
        torch.onnx.export(
            module,
            (),
            kwargs=dict(arguments),
            dynamo=True,
            dynamic_shapes=_dynamic_shapes(inputs, arguments),
            opset_version=18,
            verbose=False,
        )
    return {"ours_s": ours, "raw_s": time.perf_counter() - start}


def _dynamic_shapes(inputs: dict[str, Node], arguments: dict[str, Any]) -> dict[str, Any]:
    shapes: dict[str, Any] = {}
    for name in arguments:
        tensors = [] if isinstance(inputs[name], Constant) else list(leaves(inputs[name]))
        axes = enumerate(tensors[0].shape or ()) if tensors else ()
        shapes[name] = {axis: torch.export.Dim.DYNAMIC for axis, dim in axes if isinstance(dim, str)}
    return shapes


def prepare_process() -> None:
    """Import what every model needs, once, before processes are forked for them.

    All of transload too, so that a long sweep runs the code with which it began.
    """
    timm_models.declare_torchvision_operators()
    import timm
    import transformers

    for name in LOADED:
        importlib.import_module(name)
    transformers.logging.set_verbosity_error()
    logging.getLogger(timm.__name__).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
