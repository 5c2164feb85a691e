"""Running a package, as `tl.load` opens it."""

from __future__ import annotations

from transload.convert.peers.runners import Run
from transload.runtime.model import load


def open_model(source: str, threads: int) -> Run:
    """A package; `source` is `FILE` or `FILE#COMPONENT`."""
    path, _, component = source.partition("#")
    model = load(path, component or None, threads=threads or None, device="cpu")
    return lambda feed: model.run(None, feed)
