"""`transload inspect`: what is in a package."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from transload.cli.command import Command, json_option, make_console, write_json
from transload.cli.summary import (
    package_facts,
    proof_text,
    read_opsets,
    size_text,
    source_text,
    structure_text,
    tensor_rows,
)
from transload.serialize import PackageFile, open_package
from transload.serialize.interface import Interface
from transload.serialize.layout import SIGNATURE_NAME


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@json_option
def inspect(package: Path, as_json: bool) -> None:
    """Show a package's components, inputs, outputs, evidence and members.

    \b
    Example:
      transload inspect tagger.tload
      transload inspect tagger.tload --json
    """
    opened = open_package(package)
    if as_json:
        write_json(package_facts(opened))
        return
    console = make_console()
    own = opened.manifest.additional_metadata.transload
    console.print(f"{opened.manifest.package_name}: {size_text(opened.size_bytes)}, sha256 {opened.digest}")
    tools = ", ".join(f"{name} {version}" for name, version in own.tools.items())
    console.print(f"format {own.format_version}, written by {own.producer}{f' with {tools}' if tools else ''}")
    signed = "; signed, see `transload verify --signed-by`" if SIGNATURE_NAME in opened.members else ""
    console.print(f"licence: {own.license or 'not told'}{signed}")
    for name in opened.component_names:
        _print_component(console, opened, name)
    console.print()
    members = Table("member", "size", "offset", title="members", title_justify="left")
    for name, member in opened.members.items():
        members.add_row(name, size_text(member.size_bytes), str(member.offset))
    console.print(members)


def _print_component(console: Console, package: PackageFile, name: str) -> None:
    interface = package.interface(name)
    console.print()
    table = Table("", "name", "type", title=f"component {name}", title_justify="left")
    for row in tensor_rows(interface):
        table.add_row(*row)
    console.print(table)
    console.print(f"call: {structure_text(interface)}")
    console.print(f"source: {source_text(interface)}")
    opsets = read_opsets(package, name)
    console.print(f"opset: {', '.join(f'{domain} {version}' for domain, version in opsets.items())}")
    if interface.operator_domains:
        console.print(f"needs a library of operators: {', '.join(interface.operator_domains)}", style="yellow")
    _print_evidence(console, interface)


def _print_evidence(console: Console, interface: Interface) -> None:
    unproven = interface.proof.level == "none"
    console.print(
        f"{'WARNING: ' if unproven else ''}proof: {proof_text(interface.proof)}", style="yellow" if unproven else ""
    )
    for output, tolerance in interface.tolerances.items():
        noise = f", the source's own noise {tolerance.noise:.3g}" if tolerance.noise else ""
        wider = " (widened by the user)" if interface.user_tolerance else ""
        console.print(
            f"tolerance of {output}: atol {tolerance.atol:g}, rtol {tolerance.rtol:g}{noise}{wider}",
            style="yellow" if wider else "",
        )
    for note in interface.proof.notes:
        console.print(f"note: {note}")
