"""`transload passes`: what is done to a captured graph."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from transload.cli.command import Command, json_option, make_console, write_json
from transload.convert.passes.listing import list_passes


@click.command(cls=Command)
@json_option
def passes(as_json: bool) -> None:
    """List the passes over captured graphs, in the order in which they run.

    Those of the set `portable` run at conversion, before the equivalence check. The others are tried by `transload
    tune`, which keeps what they make only where it is faster and gives the recorded outputs.

    \b
    Example:
      transload passes --json
    """
    entries = list_passes()
    if as_json:
        write_json([asdict(entry) for entry in entries])
        return
    table = Table("set", "pass", "from", "what it does")
    for entry in entries:
        table.add_row(entry.pass_set, entry.name, entry.package, entry.summary)
    make_console().print(table)
