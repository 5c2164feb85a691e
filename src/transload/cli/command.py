"""What commands have in common: options, how errors become text, JSON and an exit status, and where output goes."""

from __future__ import annotations

import re
import sys
import traceback
import unicodedata
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.text import Text

from transload.convert.platform import exits_on_termination
from transload.serialize.errors import ExecutionError, TransloadError, error_fields
from transload.serialize.strict_json import encode_json

INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, as shells count it: 128 + SIGINT."""

PIPE_WIDTH = 160
"""Columns of tables where there is no terminal to ask."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: str) -> int:
    """Read `8G` or `500M`; the units are powers of 1024."""
    match = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", text, re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a size such as 8G or 500M.")
    return int(match[1]) * _UNITS[match[2].upper()]


time_limit_option = click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Give up after this."
)
memory_limit_option = click.option(
    "--memory-limit", type=parse_size, metavar="SIZE", help="Address space of the worker, such as 8G."
)
verbose_option = click.option("--verbose", is_flag=True, help="Show what the frameworks write, and tracebacks.")
libraries_option = click.option(
    "--library",
    "libraries",
    multiple=True,
    metavar="FILE",
    help="A shared library of operators that the model needs; its code runs. Repeatable.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")


class Command(click.Command):
    """A command whose errors have the exit status of their class."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error ends here."""
        try:
            with exits_on_termination():
                return super().invoke(ctx)
        except TransloadError as error:
            report_error(error, as_json=ctx.params.get("as_json", False))
            ctx.exit(error.exit_status)
        except KeyboardInterrupt:
            click.echo("transload: interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            # Python would exit with 1, which here means that outputs differ.
            traceback.print_exc()
            what = f"Unexpected {type(error).__name__}: {error}"
            failure = ExecutionError(what, hint="This is a fault of transload; please report it.")
            report_error(failure, as_json=ctx.params.get("as_json", False))
            ctx.exit(failure.exit_status)


def report_error(error: TransloadError, *, as_json: bool) -> None:
    """The error as text on stderr and, if asked for, as an object on stdout."""
    click.echo(show_controls(f"transload: {error}"), err=True)
    if as_json:
        write_json({"error": describe_error(error)})


def tell_unprotected(missing: tuple[str, ...]) -> None:
    """Say on stderr what of the worker's sandbox this machine does not have; nothing where it has all."""
    if missing:
        click.echo(f"transload: the sandbox is incomplete here: {'; '.join(missing)}.", err=True)


def describe_error(error: TransloadError) -> dict[str, Any]:
    """An error as JSON: its class, its message, its exit status and its own fields."""
    fields: dict[str, Any] = msgspec.to_builtins(error_fields(error), enc_hook=str)
    return {
        "class": type(error).__name__,
        "message": str(error),
        "exit_status": error.exit_status,
        **fields,
    }


def write_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(encode_json(value), nl=False)


class _PlainConsole(Console):
    """A console that shows the control characters of a text instead of sending them to the terminal."""

    def render_str(self, text: str, **kwargs: Any) -> Text:
        """What becomes of every string that is printed, in tables too."""
        return super().render_str(show_controls(text), **kwargs)


def show_controls(text: str) -> str:
    """A stranger's text without what could command a terminal: escapes are shown as Python writes them."""
    return "".join(
        repr(each)[1:-1] if unicodedata.category(each) in ("Cc", "Cf") and each != "\n" else each for each in text
    )


def make_console(*, err: bool = False) -> Console:
    """A console for text that holds names of tensors: no markup, so that `[batch,3]` stays what it is."""
    console = _PlainConsole(stderr=err, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console = _PlainConsole(
            file=sys.stderr if err else sys.stdout, markup=False, emoji=False, highlight=False, width=PIPE_WIDTH
        )
    return console
