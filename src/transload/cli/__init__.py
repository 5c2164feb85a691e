"""The command line: one group, one thin file for each command."""

from __future__ import annotations

import click

from transload.cli.bench import bench
from transload.cli.compare import compare
from transload.cli.convert import convert
from transload.cli.debug import debug
from transload.cli.inspect import inspect
from transload.cli.pack import pack
from transload.cli.passes import passes
from transload.cli.profile import profile
from transload.cli.run import run
from transload.cli.sign import sign
from transload.cli.tune import tune
from transload.cli.unpack import unpack
from transload.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="transload")
def main() -> None:
    """Take trained models out of PyTorch and TensorFlow into one proven package, and run them anywhere.

    \b
    Exit status: 0 done; 1 outputs differ; 2 wrong usage; 3 cannot be converted;
    4 a file is damaged or not trusted; 5 execution failed; 6 a worker crashed
    or ran out of its limits.

    \b
    Example:
      transload convert tagger.pt -o tagger.tload --input 'tokens:int64[batch,seq]'
      transload verify tagger.tload
      transload compare tagger.pt tagger.tload
      transload run tagger.tload --inputs in.npz --outputs out.npz
    """


for command in (convert, inspect, verify, compare, debug, run, bench, profile, tune, passes, pack, unpack, sign):
    main.add_command(command)
