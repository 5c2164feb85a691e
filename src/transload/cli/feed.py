"""The inputs on which a command runs a component."""

from __future__ import annotations

from pathlib import Path

from transload.convert.capture import Array
from transload.convert.npz import read_npz
from transload.serialize import PackageFile
from transload.serialize.errors import UsageError


def read_feed(package: PackageFile, component: str, inputs: Path | None) -> dict[str, Array]:
    """The arrays of a .npz file by input name; without a file those of the component's first vector set.

    Raises:
        UsageError: the file cannot be read, or there is no vector set.
    """
    if inputs is not None:
        return read_npz(inputs)
    sets = package.vectors(component)
    if not sets:
        raise UsageError(f"The component {component!r} has no recorded inputs.", hint="Give --inputs FILE.npz.")
    return dict(sets[0].inputs)
