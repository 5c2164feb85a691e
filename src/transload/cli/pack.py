"""`transload pack`: a folder becomes a package."""

from __future__ import annotations

from pathlib import Path

import click

from transload.cli.command import Command
from transload.serialize import pack_folder


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The package file to write.")
def pack(folder: Path, output: Path) -> None:
    """Make a package of an unpacked one. Digests are made anew.

    \b
    Example:
      transload pack tagger/ -o tagger.tload
    """
    pack_folder(folder, output)
