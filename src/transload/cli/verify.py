"""`transload verify`: the recorded inputs once more, and a table of what came out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from transload.cli.command import Command, describe_error, json_option, make_console, write_json
from transload.runtime.comparison import format_rows
from transload.runtime.verify import ComponentVerification, replay
from transload.serialize.errors import MismatchError


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or cuda:N.")
@json_option
@click.pass_context
def verify(ctx: click.Context, package: Path, device: str, as_json: bool) -> None:
    """Check a package's digests, run it on its recorded inputs and compare with the source's outputs.

    Exits with 1 when an output differs.

    \b
    Example:
      transload verify tagger.tload
    """
    verifications = replay(package, device=device)
    error = _find_mismatch(package, verifications)
    if as_json:
        write_json(
            {
                "package": str(package),
                "passed": error is None,
                "components": {
                    item.component: [[asdict(output) for output in outputs] for outputs in item.sets]
                    for item in verifications
                },
            }
            | ({} if error is None else {"error": describe_error(error)})
        )
    else:
        make_console().print(_make_table(verifications))
    for item in verifications:
        if not item.sets:
            click.echo(
                f"transload: component {item.component!r} has no recorded inputs; nothing was checked.", err=True
            )
    if error is not None:
        click.echo(f"transload: {error}", err=True)
        ctx.exit(error.exit_status)


def _find_mismatch(package: Path, verifications: tuple[ComponentVerification, ...]) -> MismatchError | None:
    if all(item.passed for item in verifications):
        return None
    report = tuple(
        f"{item.component}, set {index}: {row}"
        for item in verifications
        for index, outputs in enumerate(item.sets)
        for row in format_rows(tuple(output for output in outputs if not output.passed))
    )
    return MismatchError(f"{package.name} does not give the recorded outputs.", report=report)


def _make_table(verifications: tuple[ComponentVerification, ...]) -> Table:
    table = Table("component", "set", "output", "result", "max abs error", "max rel error", "missed")
    for item in verifications:
        for index, outputs in enumerate(item.sets):
            for output in outputs:
                table.add_row(
                    item.component,
                    str(index),
                    output.name,
                    "equal" if output.passed else "DIFFERS",
                    f"{output.max_abs_error:.3g}",
                    f"{output.max_rel_error:.3g}",
                    f"{output.missed} of {output.size}",
                    style="" if output.passed else "red",
                )
    return table
