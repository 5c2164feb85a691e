"""One operator of torch's own test database, through the translator and ONNX Runtime, beside torch."""

from __future__ import annotations

import io
import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch

from transload.convert.passes import run_passes
from transload.convert.torch.script import translate
from transload.runtime.comparison import DEFAULT_TOLERANCES
from transload.serialize.errors import TransloadError

SAMPLES = 3
OPSET = 20

UNINITIALIZED = frozenset(
    {
        "empty",
        "empty_like",
        "empty_permuted",
        "empty_strided",
        "new_empty",
        "new_empty_strided",
        "resize_",
        "resize_as_",
    }
)
"""Their results hold whatever the memory held."""

TIED = {"topk": 1, "kthvalue": 1, "linalg_eigh": 1}
"""Operators with an output (this one) for which there are several right answers."""

AMBIGUOUS = {
    "topk": "of equal values, any may be taken",
    "kthvalue": "of equal values, any may be taken",
    "linalg_eig": "eigenvectors are unique only up to a factor",
    "linalg_eigh": "eigenvectors are unique only up to their sign",
    "linalg_svd": "singular vectors are unique only up to their sign",
    "svd": "singular vectors are unique only up to their sign",
    "pca_lowrank": "singular vectors are unique only up to their sign, and it draws random numbers",
    "svd_lowrank": "singular vectors are unique only up to their sign, and it draws random numbers",
}


@dataclass(frozen=True)
class Outcome:
    """How one operator fared.

    `kind` is `right`, `wrong`, `refused`, `not traced` (torch's tracer or its file format fails), `random`,
    `not dense`, `no samples`, or `crashed`.
    """

    name: str
    kind: str
    detail: str = ""
    samples: int = 0


class _Wrapper(torch.nn.Module):
    """An operator with everything but its tensors fixed. Takes and returns tensors; complex ones as real pairs."""

    def __init__(self, call: Any, sample: Any) -> None:
        super().__init__()
        self.call, self.sample = call, sample

    def forward(self, *tensors: torch.Tensor) -> Any:
        given = iter(tensors)

        def fill(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                tensor = next(given)
                return torch.view_as_complex(tensor) if value.is_complex() else tensor
            if isinstance(value, list | tuple):
                filled = [fill(item) for item in value]
                return type(value)(*filled) if hasattr(value, "_fields") else type(value)(filled)
            return value

        args = [fill(self.sample.input), *map(fill, self.sample.args)]
        kwargs = {key: fill(value) for key, value in self.sample.kwargs.items()}
        return _real(self.call(*args, **kwargs))


def _real(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
    if isinstance(value, list | tuple):
        return tuple(_real(item) for item in value)
    return value


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _inputs(sample: Any) -> list[torch.Tensor]:
    found = _tensors([sample.input, *sample.args, list(sample.kwargs.values())])
    return [torch.view_as_real(t.resolve_conj()).clone() if t.is_complex() else t.clone() for t in found]


def run_operator(name: str, dynamic: bool = False) -> Outcome:
    """The outcome of an operator by its name in `op_db`: the first float32 samples and one of an integer dtype.

    Args:
        dynamic: Declare every size of the inputs but 1 as dynamic, equal ones as equal.
    """
    from torch.testing._internal.common_methods_invocations import op_db

    op = next(op for op in op_db if op.formatted_name == name)
    if name in UNINITIALIZED:
        return Outcome(name, "random", "its result is memory as it was")
    count = 0
    for dtype, limit in _dtypes(op):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            try:
                samples = list(itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=False), limit))
            except Exception as error:  # the database's own samples may need what this build lacks
                return Outcome(name, "no samples", _line(error), count)
            for sample in samples:
                outcome = _run_sample(name, op.op, sample, dynamic)
                if outcome is not None:
                    return Outcome(name, outcome[0], f"{dtype}: {outcome[1]}", count)
                count += 1
    if not count:
        return Outcome(name, "no samples", "none for float32 on the CPU")
    return Outcome(name, "ambiguous" if name in AMBIGUOUS else "right", AMBIGUOUS.get(name, ""), count)


def run_module(name: str, dynamic: bool = False) -> Outcome:
    """The outcome of a module by its name in `module_db`: its first float32 samples, in eval mode."""
    from torch.testing._internal.common_modules import module_db

    info = next(each for each in module_db if each.name == name)
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            given = info.module_inputs_func(
                info, device="cpu", dtype=torch.float32, requires_grad=False, training=False
            )
            samples = list(itertools.islice(given, SAMPLES))
        except Exception as error:
            return Outcome(name, "no samples", _line(error))
        for each in samples:
            torch.manual_seed(0)
            made = each.constructor_input
            try:
                module = info.module_cls(*made.args, **made.kwargs).eval()
            except Exception as error:
                return Outcome(name, "no samples", _line(error))
            forward = each.forward_input
            kwargs = dict(forward.kwargs)
            first, *rest = forward.args or (kwargs.pop("input"),)
            outcome = _run_sample(name, module, Sample(first, tuple(rest), kwargs), dynamic)
            if outcome is not None:
                return Outcome(name, *outcome, count)
            count += 1
    return Outcome(name, "right" if count else "no samples", "", count)


@dataclass(frozen=True)
class Sample:
    """Arguments, in the form of torch's SampleInput."""

    input: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def _dtypes(op: Any) -> list[tuple[torch.dtype, int]]:
    supported = op.supported_dtypes("cpu")
    chosen = [(torch.float32, SAMPLES)] if torch.float32 in supported else []
    for dtype in (torch.int64, torch.bool, torch.int32, torch.uint8):
        if dtype in supported:
            return [*chosen, (dtype, 1)]
    return chosen


def _run_sample(name: str, call: Any, sample: Any, dynamic: bool) -> tuple[str, str] | None:
    """None where all is right; else the kind and the detail."""
    wrapper = _Wrapper(call, sample).eval()
    inputs = _inputs(sample)
    if any(tensor.layout != torch.strided for tensor in inputs):
        return "not dense", "sparse samples"
    with torch.no_grad():
        try:
            torch.manual_seed(1)
            want = wrapper(*[tensor.clone() for tensor in inputs])
            torch.manual_seed(2)
            again = wrapper(*[tensor.clone() for tensor in inputs])
        except Exception as error:
            return "no samples", _line(error)
        wanted = _tensors(want)
        if not wanted:
            return "not dense", f"it returns {type(want).__name__}"
        if any(tensor.layout != torch.strided for tensor in wanted):
            return "not dense", "it returns a sparse tensor"
        if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(wanted, _tensors(again), strict=True)):
            return "random", "it draws random numbers"
        try:
            module = _save_and_load(torch.jit.trace(wrapper, tuple(inputs), check_trace=False, strict=False))
            # The file is the source: a trace may lose that a constant was a number of Python's.
            wanted = _tensors(module(*[tensor.clone() for tensor in inputs]))
        except Exception as error:
            return "not traced", _line(error)
        truth = _truth(call, sample)
    try:
        got = _translate_and_run(module, inputs, dynamic)
    except TransloadError as error:
        operations = getattr(error, "operations", ())
        reason = "; ".join(f"{each.name}: {each.reason}" for each in operations) or error.what
        return "random" if "random numbers" in reason or "in training mode" in reason else "refused", reason
    except Exception as error:
        return "refused", f"ONNX Runtime: {_line(error)}"
    if name in TIED:
        del wanted[TIED[name]], got[TIED[name]]
        truth = None
    return _compare(wanted, got, truth)


def _save_and_load(module: Any) -> Any:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def _truth(call: Any, sample: Any) -> list[np.ndarray[Any, Any]] | None:
    if isinstance(sample, Sample):
        # A module's weights would have to be widened too.
        return None

    def wide(value: torch.Tensor) -> torch.Tensor:
        return value.double() if value.dtype == torch.float32 else value

    try:
        widened = sample.transform(lambda value: wide(value) if isinstance(value, torch.Tensor) else value)
        return [tensor.numpy() for tensor in _tensors(_real(call(widened.input, *widened.args, **widened.kwargs)))]
    except Exception:
        return None


def _dynamic_axes(tensor: torch.Tensor) -> dict[int, str]:
    axes = {axis: f"size_{size}" for axis, size in enumerate(tensor.shape) if size != 1}
    if tensor.shape[-1:] == (2,):
        # These may be the real and imaginary part of a complex number.
        del axes[tensor.dim() - 1]
    return axes


def _translate_and_run(module: Any, inputs: list[torch.Tensor], dynamic: bool) -> list[np.ndarray[Any, Any]]:
    parameters = [argument.name for argument in module.forward.schema.arguments[1:]]
    values = dict(zip(parameters, inputs, strict=True))
    axes = {name: _dynamic_axes(tensor) for name, tensor in values.items()} if dynamic else {}
    model = translate(module, values, dynamic_axes=axes, opset=OPSET).model
    feed = {value.name: tensor.numpy() for value, tensor in zip(model.graph.inputs, inputs, strict=True)}
    model = run_passes(model).model
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = {value.name for value in session.get_inputs()}
    return list(session.run(None, {name: array for name, array in feed.items() if name in names}))


def _compare(
    wanted: list[torch.Tensor], got: list[np.ndarray[Any, Any]], truth: list[np.ndarray[Any, Any]] | None
) -> tuple[str, str] | None:
    if len(wanted) != len(got):
        return "wrong", f"{len(got)} outputs instead of {len(wanted)}"
    for index, (tensor, ours) in enumerate(zip(wanted, got, strict=True)):
        theirs = tensor.numpy()
        if theirs.dtype != ours.dtype:
            return "wrong", f"output {index} is {ours.dtype} instead of {theirs.dtype}"
        if theirs.shape != ours.shape:
            return "wrong", f"output {index} has shape {ours.shape} instead of {theirs.shape}"
        if theirs.dtype.kind != "f":
            if not np.array_equal(theirs, ours):
                return "wrong", f"output {index} differs: {_first(theirs, ours, theirs != ours)}"
            continue
        tolerance = DEFAULT_TOLERANCES[str(theirs.dtype)]
        finite = np.isfinite(theirs)
        same = np.where(np.isnan(theirs), np.isnan(ours), theirs == ours)
        with np.errstate(all="ignore"):
            near = np.abs(ours - theirs) <= tolerance.atol + tolerance.rtol * np.abs(theirs)
            if truth is not None and truth[index].shape == theirs.shape:
                noise = np.abs(theirs - truth[index])
                near |= np.abs(ours - truth[index]) <= 4 * noise + tolerance.atol
        bad = ~np.where(finite, near, same)
        if bad.any():
            return "wrong", f"output {index} differs: {_first(theirs, ours, bad)}"
    return None


def _first(theirs: Any, ours: Any, bad: Any) -> str:
    place = tuple(np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size}, at {[int(i) for i in place]} {ours[place]} instead of {theirs[place]}"


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1][:200]}"
