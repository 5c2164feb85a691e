"""`transload tune`: the fastest way to run a package on this host, found and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from transload.cli.command import Command, json_option, make_console, write_json
from transload.cli.summary import size_text
from transload.convert.npz import read_npz
from transload.convert.passes.tuned_sets import make_graphs
from transload.runtime.model import choose_component
from transload.runtime.tuning.cache import CacheEntry, clear_cache, list_cache
from transload.runtime.tuning.search import Trial
from transload.runtime.tuning.tune import Tuning, embed_component, tune_component
from transload.serialize import open_package
from transload.serialize.errors import UsageError


@click.command(cls=Command)
@click.argument("package", required=False, type=click.Path(path_type=Path))
@click.option("--component", help="Which component; needed where the package has several.")
@click.option("--inputs", type=click.Path(path_type=Path), help="A .npz file to measure with, instead of the vectors.")
@click.option("--threads", type=click.IntRange(1), help="Intra-op threads that are given (default: try several).")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=2.0, show_default=True, help="For each alternative."
)
@click.option("--embed", is_flag=True, help="Write the tuned graph into the package too.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="With --embed: the file to write.")
@click.option("--list", "as_list", is_flag=True, help="Show what the cache holds.")
@click.option("--clear", is_flag=True, help="Remove everything from the cache.")
@json_option
def tune(
    package: Path | None,
    component: str | None,
    inputs: Path | None,
    threads: int | None,
    seconds: float,
    embed: bool,
    output: Path | None,
    as_list: bool,
    clear: bool,
    as_json: bool,
) -> None:
    """Measure how PACKAGE runs fastest on this host, and keep the optimised graph in the user's cache.

    Only what gives the recorded outputs is kept. Loaders use it while package, ONNX Runtime and processor are the
    same, and the portable variant otherwise.

    \b
    Example:
      transload tune tagger.tload
      transload tune tagger.tload --embed -o tuned.tload
      transload tune --list
      transload tune --clear
    """
    console = make_console()
    if as_list or clear:
        if package is not None:
            raise UsageError("--list and --clear concern the whole cache; they take no package.")
        _show_cache(console, clear_cache() if clear else list_cache(), "removed" if clear else "cache", as_json)
        return
    if package is None:
        raise UsageError("Which package is to be tuned?", hint="transload tune PACKAGE, or --list, or --clear.")
    if output is not None and not embed:
        raise UsageError("-o names the package that --embed writes.", hint="Add --embed.")
    opened = open_package(package)
    name = choose_component(opened, component)
    progress = make_console(err=True)
    tuning = tune_component(
        opened,
        name,
        graphs=make_graphs(opened, name),
        inputs=None if inputs is None else read_npz(inputs),
        threads=threads,
        seconds_per_trial=seconds,
        on_trial=(lambda trial: progress.print(_trial_text(trial))) if progress.is_terminal else lambda trial: None,
    )
    written = embed_component(opened, tuning, output or package) if embed else None
    if as_json:
        write_json(_facts(tuning, written))
    else:
        _show_tuning(console, tuning, written)


def _trial_text(trial: Trial) -> str:
    result = trial.reason or f"{trial.ratio:.3f} of the best so far{', taken' if trial.taken else ''}"
    return f"{trial.configuration.text()}: {result}"


def _show_tuning(console: Console, tuning: Tuning, written: Path | None) -> None:
    table = Table("configuration", "time by the best so far", "result", title="tried", title_justify="left")
    for trial in tuning.report.trials:
        ratio = "" if trial.reason else f"{trial.ratio:.3f}"
        table.add_row(trial.configuration.text(), ratio, trial.reason or ("taken" if trial.taken else ""))
    console.print(table)
    record = tuning.record
    console.print(f"best: {record.configuration.text()}")
    console.print(f"{record.baseline_ms:.3f} ms before, {record.tuned_ms:.3f} ms tuned")
    console.print(f"kept in {tuning.path} ({size_text(tuning.size_bytes)})")
    if written is not None:
        console.print(f"embedded in {written}")


def _facts(tuning: Tuning, written: Path | None) -> dict[str, Any]:
    return {
        "component": tuning.component,
        "record": msgspec.to_builtins(tuning.record),
        "trials": [
            {
                "configuration": msgspec.to_builtins(trial.configuration),
                "ratio": None if trial.reason else trial.ratio,
                "taken": trial.taken,
                "reason": trial.reason,
            }
            for trial in tuning.report.trials
        ],
        "path": str(tuning.path),
        "size_bytes": tuning.size_bytes,
        "embedded_in": None if written is None else str(written),
    }


def _show_cache(console: Console, entries: tuple[CacheEntry, ...], title: str, as_json: bool) -> None:
    if as_json:
        write_json({title: [msgspec.to_builtins(entry, enc_hook=str) for entry in entries]})
        return
    table = Table("file", "size", "package", "component", "configuration", "runtime", title=title, title_justify="left")
    for entry in entries:
        record = entry.record
        words = (
            ("damaged, or not this user's", "", "", "")
            if record is None
            else (record.package_name, record.component, record.configuration.text(), record.key.runtime.split()[0])
        )
        table.add_row(entry.path.name, size_text(entry.size_bytes), *words)
    console.print(table)
