"""`transload bench`: how fast a package runs here, and beside other runtimes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from transload.cli.bar_chart import Bar, draw_bars
from transload.cli.command import Command, json_option, make_console, write_json
from transload.cli.feed import read_feed
from transload.convert.peers.feeds import batch_dimension, resize_batch
from transload.convert.peers.race import Contestant, Lap, race
from transload.convert.peers.runners import RUNNERS
from transload.runtime.model import choose_component
from transload.serialize import PackageFile, open_package, unpack_package
from transload.serialize.errors import UsageError
from transload.serialize.interface import input_tensors

FROM_PACKAGE = frozenset({"onnxruntime", "openvino"})
"""Runtimes that open the package's own graph; the others need the source."""


@dataclass(frozen=True)
class Row:
    """One line of the result."""

    batch: int | None
    lap: Lap
    ratio: float


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--component", help="Which component; needed where the package has several.")
@click.option("--against", default="", metavar="NAME,NAME", help="onnxruntime, openvino, torch, tensorflow.")
@click.option("--source", help="What torch (.pt, .pt2) or tensorflow (FOLDER[#SIGNATURE]) is to run.")
@click.option("--batch", "batches", default="", metavar="N,N", help="Batch sizes (default: the recorded inputs').")
@click.option("--threads", default="0", show_default=True, metavar="N,N", help="Threads; 0 is each runtime's choice.")
@click.option("--inputs", type=click.Path(path_type=Path), help="A .npz file to run on, instead of the vectors.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Turns of each runtime.")
@click.option("--seconds", type=click.FloatRange(0), default=1.0, show_default=True, help="How long a turn takes.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw the throughput.")
@json_option
def bench(
    package: Path,
    component: str | None,
    against: str,
    source: str | None,
    batches: str,
    threads: str,
    inputs: Path | None,
    rounds: int,
    seconds: float,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure latency, throughput, load time and memory of PACKAGE, beside other runtimes if wanted.

    Each runtime has a process of its own, and they take turns. `ratio` is the other's median by ours: above 1, ours is
    faster. Time to the first output counts from an imported library; private memory is what opening wrote, not what it
    mapped.

    \b
    Example:
      transload bench tagger.tload --batch 1,8 --threads 1,2
      transload bench tagger.tload --against onnxruntime,torch --source tagger.pt
    """
    opened = open_package(package)
    name = choose_component(opened, component)
    interface = opened.interface(name)
    feed = read_feed(opened, name, inputs)
    feed = {tensor.name: feed[tensor.name] for tensor in input_tensors(interface) if tensor.name in feed}
    sizes = _numbers("--batch", batches, 1)
    feeds = [resize_batch(interface, feed, size) for size in sizes] or [feed]
    labels: list[int | None] = [*sizes] or [_batch_of(opened, name, feed)]
    rows: list[Row] = []
    with _contestants(opened, name, against, source) as contestants:
        for count in _numbers("--threads", threads, 0):
            laps = race(contestants, feeds, threads=count, rounds=rounds, seconds=seconds)
            for label, batch_laps in zip(labels, laps, strict=True):
                rows += [Row(label, lap, lap.median_s / batch_laps[0].median_s) for lap in batch_laps]
    if plot is not None:
        plot.write_text(draw_bars(f"{opened.manifest.package_name}: calls per second", [_bar(row) for row in rows]))
    if as_json:
        write_json({"package": str(package), "component": name, "rows": [_facts(row) for row in rows]})
    else:
        make_console().print(_make_table(rows))


def _numbers(option: str, text: str, least: int) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) >= least for part in parts):
        raise UsageError(f"{option} takes numbers of {least} and more, separated by commas; not {text!r}.")
    return [int(part) for part in parts]


def _batch_of(package: PackageFile, component: str, feed: dict[str, Any]) -> int | None:
    interface = package.interface(component)
    name = batch_dimension(interface)
    for tensor in input_tensors(interface):
        if name is not None and tensor.shape and tensor.shape[0] == name and tensor.name in feed:
            return int(feed[tensor.name].shape[0])
    return None


@contextmanager
def _contestants(package: PackageFile, component: str, against: str, source: str | None) -> Iterator[list[Contestant]]:
    names = [name.strip() for name in against.split(",") if name.strip()]
    if unknown := [name for name in names if name not in RUNNERS or name == "transload"]:
        known = ", ".join(name for name in RUNNERS if name != "transload")
        raise UsageError(f"There is no runtime {unknown[0]!r} to measure against.", hint=f"Choose from {known}.")
    if source is None and (missing := [name for name in names if name not in FROM_PACKAGE]):
        raise UsageError(f"{missing[0]} runs the source, not the package.", hint="Give --source.")
    with tempfile.TemporaryDirectory(prefix="transload-") as scratch:
        graph = ""
        if FROM_PACKAGE & set(names):
            folder = unpack_package(package.path, Path(scratch) / "unpacked")
            graph = str(folder / package.variant(component).variant_directory / "model.onnx")
        sources = {name: graph if name in FROM_PACKAGE else str(source) for name in names}
        yield [
            Contestant("transload", RUNNERS["transload"], f"{package.path}#{component}"),
            *(Contestant(name, RUNNERS[name], sources[name]) for name in names),
        ]


def _facts(row: Row) -> dict[str, Any]:
    lap = row.lap
    return {
        "runtime": lap.contestant,
        "threads": lap.threads,
        "batch": row.batch,
        "median_ms": lap.median_s * 1e3,
        **{f"p{percent}_ms": lap.percentile_s(percent) * 1e3 for percent in (90, 99)},
        "calls_per_second": 1 / lap.median_s,
        "items_per_second": None if row.batch is None else row.batch / lap.median_s,
        "ratio": row.ratio,
        "load_ms": lap.load_s * 1e3,
        "first_output_ms": lap.first_output_s * 1e3,
        "private_bytes": lap.private_bytes,
        "peak_bytes": lap.peak_bytes,
    }


def _make_table(rows: list[Row]) -> Table:
    table = Table(
        *("runtime", "threads", "batch", "median ms", "p90", "p99", "items/s", "ratio"),
        *("load ms", "first output ms", "private MB", "peak MB"),
    )
    for row in rows:
        facts = _facts(row)
        items = facts["items_per_second"]
        table.add_row(
            facts["runtime"],
            str(facts["threads"] or "auto"),
            "" if row.batch is None else str(row.batch),
            f"{facts['median_ms']:.3f}",
            f"{facts['p90_ms']:.3f}",
            f"{facts['p99_ms']:.3f}",
            "" if items is None else f"{items:.0f}",
            f"{row.ratio:.2f}",
            f"{facts['load_ms']:.0f}",
            f"{facts['first_output_ms']:.0f}",
            f"{facts['private_bytes'] / 1e6:.0f}",
            f"{facts['peak_bytes'] / 1e6:.0f}",
        )
    return table


def _bar(row: Row) -> Bar:
    batch = "" if row.batch is None else f", batch {row.batch}"
    return Bar(f"{row.lap.contestant}, {row.lap.threads or 'auto'} threads{batch}", 1 / row.lap.median_s)
