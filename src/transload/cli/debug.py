"""`transload debug`: the node that is to blame, and the smallest graph that shows it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
import numpy as np
import onnx

from transload.cli.command import (
    Command,
    json_option,
    make_console,
    tell_unprotected,
    time_limit_option,
    verbose_option,
    write_json,
)
from transload.convert.debug.finding import Finding, Statistics
from transload.convert.debug.reduce import command_fails, reduce_model
from transload.convert.npz import write_npz
from transload.convert.options import parse_input_spec
from transload.convert.supervisor import debug_in_worker
from transload.convert.worker import DebugRequest, Limits, Request
from transload.serialize.errors import SourceError, UsageError
from transload.serialize.platform import replace_file


@click.command(cls=Command)
@click.argument("package", metavar="PACKAGE")
@click.option("--source", help="What the package was made from; without it ONNX Runtime is checked by onnx.reference.")
@click.option(
    "--inputs", "feeds", multiple=True, metavar="FILE.npz", help="Inputs that show the difference. Repeatable."
)
@click.option("--input", "inputs", multiple=True, metavar="NAME:DTYPE[DIMS]", help="Describe an input of the source.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The graph to write (default: culprit.onnx).")
@click.option("--reduce", "reduces", is_flag=True, help="Shrink an ONNX file for as long as --check fails on it.")
@click.option("--check", "check", metavar="COMMAND", help="With --reduce: {} is the file. Status 0 is no failure.")
@time_limit_option
@click.option("--trust-source", is_flag=True, help="Read the source even if that can run code in it.")
@verbose_option
@json_option
def debug(
    package: str,
    source: str | None,
    feeds: tuple[str, ...],
    inputs: tuple[str, ...],
    output: Path | None,
    reduces: bool,
    check: str | None,
    time_limit: float | None,
    trust_source: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Find the first node of PACKAGE that computes something else than its source.

    PACKAGE is a package or a .onnx file. Names the node, its source line and both values, and writes the smallest graph
    that shows the difference, with its inputs beside it as .npz. With --reduce, shrinks a .onnx file instead while a
    command of yours still fails on it, or crashes.

    \b
    Example:
      transload debug tagger.tload --source tagger.pt
      transload debug tagger.tload
      transload debug big.onnx --reduce --check 'python check.py {}' -o small.onnx
    """
    target = output or Path("culprit.onnx")
    if reduces != (check is not None):
        raise UsageError("--reduce and --check COMMAND belong together.")
    if check is not None:
        _reduce(Path(package), check, target, time_limit, as_json)
        return
    request = DebugRequest(
        package=Request(
            source=package, inputs=tuple(parse_input_spec(text) for text in inputs), trust_source=trust_source
        ),
        source=source,
        inputs=feeds,
    )
    found = debug_in_worker(request, limits=Limits(time_limit), on_unprotected=tell_unprotected, verbose=verbose)
    if found.model:
        with replace_file(target) as file:
            file.write(found.model)
        arrays = {
            name: np.frombuffer(data, dtype).reshape(shape) for name, (dtype, shape, data) in found.inputs.items()
        }
        write_npz(target.with_suffix(".npz"), arrays)
    if as_json:
        facts = msgspec.to_builtins(found)
        write_json({key: value for key, value in facts.items() if key not in ("model", "inputs")})
    else:
        _print(found, target)


def _print(found: Finding, target: Path) -> None:
    console = make_console()
    console.print(found.summary)
    if not found.node:
        return
    lines = {
        "operation": found.operation,
        "source line": found.line,
        "ONNX node": f"{found.node} ({found.op_type})",
        "tensor": found.value,
        "nodes between known tensors": ", ".join(found.region),
        "difference": found.row,
        "package": _describe(found.ours),
        "source": _describe(found.reference),
        "source runs": str(found.source_runs),
        "smallest graph": f"{target}, inputs {target.with_suffix('.npz')}",
    }
    for name, text in lines.items():
        if text:
            console.print(f"  {name}: {text}", soft_wrap=True)


def _describe(each: Statistics | None) -> str:
    if each is None:
        return ""
    odd = f", {each.nan} NaN" * bool(each.nan) + f", {each.infinite} infinite" * bool(each.infinite)
    shape = ",".join(map(str, each.shape))
    return f"{each.dtype}[{shape}], {each.low:.6g} to {each.high:.6g}, mean {each.mean:.6g}{odd}"


def _reduce(path: Path, check: str, target: Path, time_limit: float | None, as_json: bool) -> None:
    try:
        model = onnx.load(path)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    except Exception as error:
        # Protobuf's own exceptions have no base class that onnx exports.
        raise SourceError(f"{path} is not an ONNX model: {error}") from error
    reduced = reduce_model(model, command_fails(check, time_limit))
    with replace_file(target) as file:
        file.write(reduced.model.SerializeToString())
    if as_json:
        write_json({"nodes_before": reduced.before, "nodes": reduced.after, "checks": reduced.checks})
    else:
        make_console().print(
            f"{target}: {reduced.after} of {reduced.before} nodes still fail, after {reduced.checks} checks"
        )
