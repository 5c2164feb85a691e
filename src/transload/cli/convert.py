"""`transload convert`: a source becomes a proven package, in a child process with limits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from transload.cli.command import (
    Command,
    json_option,
    libraries_option,
    make_console,
    memory_limit_option,
    parse_size,
    tell_unprotected,
    time_limit_option,
    verbose_option,
    write_json,
)
from transload.cli.summary import package_facts, proof_text, size_text
from transload.convert.options import parse_input_spec
from transload.convert.supervisor import WorkerReport, convert_in_worker
from transload.convert.worker import Limits, Request
from transload.serialize import PackageFile, open_package

STAGES = ("detect", "capture", "passes", "equivalence", "package")


@click.command(cls=Command)
@click.argument("source")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The package file to write.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME:DTYPE[DIMS]",
    help="Describe an input; a dimension with a name is dynamic, 32*NAME in steps. Repeat for each input.",
)
@click.option(
    "--example",
    "examples",
    multiple=True,
    metavar="FILE.npz",
    help="Example inputs, by parameter name. A second one of other sizes tells which dimensions are dynamic.",
)
@click.option("--opset", type=click.IntRange(7), help="The ONNX opset (default: 20 for TorchScript, otherwise 18).")
@click.option("--method", "methods", multiple=True, help="TorchScript: a method instead of forward. Repeatable.")
@click.option("--all-methods", is_flag=True, help="TorchScript: every method that the file exports, each a component.")
@click.option(
    "--signature",
    "signatures",
    multiple=True,
    metavar="NAME",
    help="SavedModel: a signature or function, each a component (default: all signatures). Repeatable.",
)
@click.option(
    "--inputs-as-nchw",
    "inputs_as_nchw",
    multiple=True,
    metavar="NAME",
    help="TensorFlow: an input that the package takes as NCHW where the source takes NHWC. Repeatable.",
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="SavedModel with several graphs: a tag. Repeatable.")
@click.option(
    "--outputs",
    metavar="NAME,NAME",
    help="TensorFlow's graphs: the output tensors (default: the sinks of a frozen graph).",
)
@click.option(
    "--task", help="transformers folder: the task, such as text-classification (default: the architecture's own)."
)
@click.option("--weights", metavar="FILE.safetensors", help="Module factory: weights to load into the module.")
@click.option("--atol", type=click.FloatRange(0), help="Absolute tolerance instead of the standard's; recorded.")
@click.option("--rtol", type=click.FloatRange(0), help="Relative tolerance instead of the standard's; recorded.")
@click.option(
    "--proof",
    type=click.Choice(["full", "quick", "none"]),
    default="full",
    show_default=True,
    help="How much evidence to gather that source and package agree.",
)
@click.option(
    "--select",
    type=click.Choice(["first", "fastest"]),
    default="first",
    show_default=True,
    help="Module: of several ways to capture it, the first that is proven, or the fastest of all that are.",
)
@click.option("--trust-source", is_flag=True, help="Read the source even if that can run code in it.")
@click.option("--license", metavar="SPDX", help="The model's licence, such as Apache-2.0; recorded.")
@libraries_option
@time_limit_option
@click.option("--cpu-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="As much processor time.")
@memory_limit_option
@click.option("--file-limit", type=parse_size, metavar="SIZE", help="Size of a file that the worker writes.")
@click.option("--no-sandbox", is_flag=True, help="Let the worker write anywhere and use the network.")
@verbose_option
@json_option
def convert(
    source: str,
    output: Path,
    inputs: tuple[str, ...],
    outputs: str | None,
    examples: tuple[str, ...],
    time_limit: float | None,
    cpu_limit: float | None,
    memory_limit: int | None,
    file_limit: int | None,
    no_sandbox: bool,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert SOURCE, prove that nothing changed, and write the package.

    SOURCE is a TorchScript file, a .pt2 file, a module factory (package.module:callable), a folder that transformers
    saved, a SavedModel folder, a frozen GraphDef, a .keras or .h5 file, or a .onnx file. What it is, its content
    decides. It is converted in a child process that can write into its own folder only and has no network (a module
    factory, being your own code, may do both); if it crashes or runs out of its limits, the exit status is 6. Nothing
    is written unless source and package agree. An existing output is replaced.

    \b
    Example:
      transload convert tagger.pt -o tagger.tload --input 'tokens:int64[batch,seq]'
      transload convert codec.pt -o codec.tload --method encode --method decode --input 'x[n,4]' --input 'code[n,3]'
      transload convert my-model/ -o model.tload --task text-classification
      transload convert saved_model/ -o model.tload --signature serving_default --inputs-as-nchw image
      transload convert my_models:make_tagger -o tagger.tload --weights tagger.safetensors --example in.npz
      transload convert my_models:make_tagger -o tagger.tload --example short.npz --example long.npz --select fastest
    """
    if len(examples) > 2:
        raise click.UsageError("--example can be given twice, not more often.")
    request = Request(
        source=source,
        inputs=tuple(parse_input_spec(text) for text in inputs),
        outputs=tuple(name.strip() for name in outputs.split(",")) if outputs else (),
        example=examples[0] if examples else None,
        second_example=examples[1] if len(examples) > 1 else None,
        **options,
    )
    limits = Limits(time_limit, memory_limit, cpu_limit, file_limit, sandbox=not no_sandbox)
    with _progress(make_console(err=True), shown=not verbose) as on_stage:
        report = convert_in_worker(request, output, limits=limits, on_stage=on_stage, verbose=verbose)
    tell_unprotected(report.unprotected)
    package = open_package(output)
    if as_json:
        took = {"stage_seconds": report.stage_seconds, "peak_memory_bytes": report.peak_memory_bytes}
        write_json(package_facts(package) | took)
    else:
        _print_summary(package, report)


@contextlib.contextmanager
def _progress(console: Console, *, shown: bool) -> Iterator[Callable[[str], None]]:
    """A bar that moves with the stages, on a terminal; elsewhere nothing."""
    if not shown or not console.is_terminal:
        yield lambda stage: None
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("start", total=len(STAGES))
        yield lambda stage: progress.update(task, description=stage, completed=STAGES.index(stage), refresh=True)


def _print_summary(package: PackageFile, report: WorkerReport) -> None:
    console = make_console()
    seconds = sum(report.stage_seconds.values())
    console.print(
        f"{package.path.name}: {size_text(package.size_bytes)}, converted in {seconds:.1f} s "
        f"with {size_text(report.peak_memory_bytes)} of memory at most"
    )
    for name in package.component_names:
        interface = package.interface(name)
        console.print(f"{name}: proof {proof_text(interface.proof)}")
        if interface.user_tolerance:
            console.print(f"{name}: the tolerance was widened by the user")
        for note in interface.proof.notes:
            console.print(f"note: {note}")
