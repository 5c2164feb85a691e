"""`transload profile`: which operators, modules and source lines a package's time goes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from rich.table import Table

from transload.cli.command import Command, json_option, make_console, write_json
from transload.cli.feed import read_feed
from transload.runtime.model import choose_component
from transload.runtime.profile import NodeTime, Profile, profile_component
from transload.serialize import open_package

VIEWS: dict[str, Callable[[NodeTime], str]] = {
    "operator": lambda node: node.op_type,
    "module": lambda node: node.place.module or "(top)",
    "source": lambda node: node.place.source or "(not known)",
    "node": lambda node: node.name,
}


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--component", help="Which component; needed where the package has several.")
@click.option("--by", "views", type=click.Choice(tuple(VIEWS)), multiple=True, help="Repeat for several tables.")
@click.option("--depth", type=click.IntRange(1), help="Sum modules below this many parts of their path.")
@click.option("--top", type=click.IntRange(1), default=15, show_default=True, help="Rows of each table.")
@click.option("--inputs", type=click.Path(path_type=Path), help="A .npz file to run on, instead of the vectors.")
@click.option("--calls", type=click.IntRange(1), default=10, show_default=True, help="Calls to average over.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Intra-op threads (default: ONNX Runtime's choice).")
@click.option("--no-optimize", is_flag=True, help="Without graph optimisations: every node of the package's graph.")
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE.json", help="Write a Chrome trace.")
@json_option
def profile(
    package: Path,
    component: str | None,
    views: tuple[str, ...],
    depth: int | None,
    top: int,
    inputs: Path | None,
    calls: int,
    threads: int,
    no_optimize: bool,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Show where PACKAGE's time goes: by operator, by the framework's module, by its source line.

    Nodes that ONNX Runtime fused count for the place of the last of their parts. The trace opens in chrome://tracing
    and in Perfetto.

    \b
    Example:
      transload profile tagger.tload
      transload profile tagger.tload --by module --depth 2 --trace trace.json
    """
    opened = open_package(package)
    name = choose_component(opened, component)
    feed = read_feed(opened, name, inputs)
    found = profile_component(opened, name, feed, calls=calls, threads=threads, optimize=not no_optimize)
    if trace is not None:
        trace.write_text(json.dumps(found.trace))
    if as_json:
        write_json({"call_s": found.call_s, "nodes": msgspec.to_builtins(found.nodes)})
        return
    console = make_console()
    console.print(
        f"{found.call_s * 1e3:.3f} ms a call, {sum(node.seconds for node in found.nodes) * 1e3:.3f} ms in nodes"
    )
    for view in views or ("operator", "module", "source"):
        console.print(_make_table(found, view, top, depth))


def _make_table(found: Profile, view: str, top: int, depth: int | None) -> Table:
    key = VIEWS[view]
    if view == "module" and depth is not None:
        key = _shorten(depth)
    rows = found.by(key)
    whole = sum(seconds for _, seconds, _ in rows) or 1.0
    table = Table(view, "ms", "%", "runs")
    for name, seconds, runs in rows[:top]:
        table.add_row(name, f"{seconds * 1e3:.3f}", f"{100 * seconds / whole:.1f}", f"{runs:g}")
    if rest := rows[top:]:
        seconds = sum(row[1] for row in rest)
        table.add_row(f"({len(rest)} more)", f"{seconds * 1e3:.3f}", f"{100 * seconds / whole:.1f}", "")
    return table


def _shorten(depth: int) -> Callable[[NodeTime], str]:
    def key(node: NodeTime) -> str:
        separator = "/" if "/" in node.place.module else "."
        return separator.join(node.place.module.split(separator)[:depth]) or "(top)"

    return key
