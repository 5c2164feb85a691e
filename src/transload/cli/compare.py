"""`transload compare`: any two models on the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table

from transload.cli.command import (
    Command,
    describe_error,
    json_option,
    make_console,
    memory_limit_option,
    tell_unprotected,
    time_limit_option,
    verbose_option,
    write_json,
)
from transload.cli.verify import add_output, make_table
from transload.convert.compare.page import write_page
from transload.convert.compare.result import ComparedOutput, ComparedSet, Comparison
from transload.convert.options import parse_input_spec
from transload.convert.supervisor import compare_in_worker
from transload.convert.worker import CompareRequest, Limits, Request
from transload.serialize.errors import MismatchError
from transload.serialize.platform import replace_file

SHOWN = 3
"""Of how many input sets the error message tells; the table has them all."""


@click.command(cls=Command)
@click.argument("reference", metavar="A")
@click.argument("ours", metavar="B")
@click.option(
    "--inputs",
    "feeds",
    multiple=True,
    metavar="FILE.npz",
    help="Inputs by name, those of A or of B; the first file is the example that is varied. Repeatable.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME:DTYPE[DIMS]",
    help="Describe an input of a model that does not know its own. Repeat for each input.",
)
@click.option("--method", "methods", multiple=True, help="TorchScript: a method instead of forward. Repeatable.")
@click.option("--signature", "signatures", multiple=True, help="SavedModel: which signature or function. Repeatable.")
@click.option("--weights", metavar="FILE.safetensors", help="Module factory: weights to load into the module.")
@click.option("--atol", type=click.FloatRange(0), help="Absolute tolerance instead of the standard's.")
@click.option("--rtol", type=click.FloatRange(0), help="Relative tolerance instead of the standard's.")
@click.option(
    "--proof",
    type=click.Choice(["full", "quick", "none"]),
    default="full",
    show_default=True,
    help="How many input sets to try; none tries those of --inputs, or the example, only.",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page for people.")
@click.option("--trust-source", is_flag=True, help="Read the models even if that can run code in them.")
@time_limit_option
@memory_limit_option
@verbose_option
@json_option
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    reference: str,
    ours: str,
    feeds: tuple[str, ...],
    inputs: tuple[str, ...],
    report: Path | None,
    time_limit: float | None,
    memory_limit: int | None,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare two models on many inputs. A is the reference.

    Each is a package, a .onnx file, or anything that `transload convert` takes. Neither needs to have been made by
    transload. The inputs are those of the proof: other seeds, sizes and values than the example's, and both sides of
    branches. Exits with 1 when an output differs.

    \b
    Example:
      transload compare tagger.pt tagger.onnx
      transload compare saved_model/ model.tload --report report.html
      transload compare old.onnx new.onnx --inputs in.npz --proof none --json
    """
    request = CompareRequest(
        reference=Request(source=reference, inputs=tuple(parse_input_spec(text) for text in inputs), **options),
        ours=ours,
        inputs=feeds,
    )
    limits = Limits(time_limit, memory_limit)
    found = compare_in_worker(request, limits=limits, on_unprotected=tell_unprotected, verbose=verbose)
    error = _find_mismatch(found)
    if report is not None:
        with replace_file(report) as file:
            file.write(write_page(found).encode())
    if as_json:
        facts = msgspec.to_builtins(found) | {"passed": found.passed}
        write_json(facts | ({} if error is None else {"error": describe_error(error)}))
    else:
        _print(found)
    if error is not None:
        click.echo(f"transload: {error}", err=True)
        ctx.exit(error.exit_status)


def _find_mismatch(found: Comparison) -> MismatchError | None:
    if found.passed:
        return None
    report = [each.problem for each in found.components if each.problem]
    for component in found.components:
        differing = [each for each in component.sets if not each.passed]
        for each in differing[:SHOWN]:
            report += [f"{component.reference}, {each.case.name}: {line}" for line in each.report[1:-1] or each.report]
        if len(differing) > SHOWN:
            report.append(f"{component.reference}: {len(differing) - SHOWN} more input sets differ")
    report += dict.fromkeys(each.blame for each in found.components if each.blame)
    return MismatchError(f"{found.reference.name} and {found.ours.name} are not the same.", report=tuple(report))


def _print(found: Comparison) -> None:
    console = make_console()
    table: Table = make_table()
    for component in found.components:
        for each in component.sets:
            for output in _worse_run(each):
                add_output(table, component.reference, each.case.name, output.row, undefined=_is_undefined(each))
    console.print(table)
    for component in found.components:
        for name, sizes in component.sizes.items():
            console.print(f"dimension {name}: sizes {', '.join(map(str, sizes))}")
        for line in component.branches:
            console.print(line)
        for note in component.notes:
            console.print(f"note: {note}")
    sets = [each for component in found.components for each in component.sets]
    agreed = sum(each.passed and not _is_undefined(each) for each in sets)
    undefined = sum(map(_is_undefined, sets))
    rest = f", {undefined} undefined in A" if undefined else ""
    word = "the same" if found.passed else "NOT the same"
    console.print(f"{word}: {agreed} of {len(sets)} input sets agree{rest}")


def _is_undefined(each: ComparedSet) -> bool:
    return each.case.result == "undefined"


def _worse_run(each: ComparedSet) -> list[ComparedOutput]:
    """Each output once: of its runs with optimisations off and on the worse one."""
    worse: dict[str, ComparedOutput] = {}
    for output in each.outputs:
        known = worse.setdefault(output.row.name, output)
        if (not output.row.passed, output.row.max_abs_error) > (not known.row.passed, known.row.max_abs_error):
            worse[output.row.name] = output
    return list(worse.values())
