"""`transload unpack`: a package becomes a folder."""

from __future__ import annotations

from pathlib import Path

import click

from transload.cli.command import Command
from transload.serialize import unpack_package


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder to write; new or empty."
)
def unpack(package: Path, output: Path) -> None:
    """Check a package's digests and write its members as files, which ONNX Runtime and ONNX tools open.

    \b
    Example:
      transload unpack tagger.tload -o tagger/
    """
    unpack_package(package, output)
