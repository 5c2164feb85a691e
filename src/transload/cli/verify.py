"""`transload verify`: the recorded inputs once more, and a table of what came out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from transload.cli.command import Command, describe_error, json_option, libraries_option, make_console, write_json
from transload.runtime.comparison import OutputComparison, format_rows
from transload.runtime.verify import ComponentVerification, replay
from transload.serialize import open_package
from transload.serialize.errors import MismatchError
from transload.serialize.signature import TrustedFile, TrustedIdentity, check_signature


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--signed-by", metavar="FILE|NAME", help="A public key or root certificate, PEM; or an identity.")
@click.option("--issuer", metavar="URL", help="Who vouches for a Sigstore identity.")
@click.option("--signature", type=click.Path(path_type=Path), help="The signature, if neither inside nor PACKAGE.sig.")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or cuda:N.")
@libraries_option
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    package: Path,
    signed_by: str | None,
    issuer: str | None,
    signature: Path | None,
    device: str,
    libraries: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check a package's digests, run it on its recorded inputs and compare with the source's outputs.

    With --signed-by, check first that it is, member for member, what that signer signed. Exits with 1 when an output
    differs, with 4 when something was tampered with.

    \b
    Example:
      transload verify tagger.tload
      transload verify tagger.tload --signed-by maker.pub
      transload verify tagger.tload --signed-by me@example.org --issuer https://accounts.google.com
    """
    opened = open_package(package, integrity="sha256")
    if signed_by is not None:
        trusted = TrustedFile(Path(signed_by)) if issuer is None else TrustedIdentity(signed_by, issuer)
        check_signature(opened, trusted, signature)
        click.echo(f"transload: signed by {signed_by}", err=True)
    verifications = replay(package, device=device, libraries=libraries)
    # What was checked and what was run must be one file.
    opened.archive.check_unchanged()
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
        make_console().print(_fill_table(verifications))
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


def _fill_table(verifications: tuple[ComponentVerification, ...]) -> Table:
    table = make_table()
    for item in verifications:
        for index, outputs in enumerate(item.sets):
            for output in outputs:
                add_output(table, item.component, str(index), output)
    return table


def make_table() -> Table:
    """The table of `verify` and `compare`, empty."""
    return Table("component", "set", "output", "result", "max abs error", "max rel error", "missed")


def add_output(table: Table, component: str, inputs: str, output: OutputComparison, *, undefined: bool = False) -> None:
    """Add one output for one input set; `undefined` where the reference has no answer with which to compare."""
    verdict = "undefined" if undefined else "equal" if output.passed else "DIFFERS"
    table.add_row(
        component,
        inputs,
        output.name,
        verdict,
        f"{output.max_abs_error:.3g}",
        f"{output.max_rel_error:.3g}",
        f"{output.missed} of {output.size}",
        style="red" if verdict == "DIFFERS" else "",
    )
