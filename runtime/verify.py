"""Replaying the vectors stored in a package: does it still give, here and today, what the source gave?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transload.runtime.comparison import OutputComparison, compare_outputs, format_rows
from transload.runtime.model import load_component
from transload.serialize.errors import MismatchError
from transload.serialize.package_file import Integrity, open_package


@dataclass(frozen=True)
class ComponentVerification:
    """One component's vector sets, each with a comparison for every output. No sets: nothing was recorded."""

    component: str
    sets: tuple[tuple[OutputComparison, ...], ...]

    @property
    def passed(self) -> bool:
        """Whether every output of every set agrees."""
        return all(output.passed for outputs in self.sets for output in outputs)


def replay(
    path: str | Path, *, device: str = "cpu", integrity: Integrity = "sha256", libraries: Sequence[str | Path] = ()
) -> tuple[ComponentVerification, ...]:
    """Run every component's portable variant on its recorded inputs and compare with the recorded outputs.

    Args:
        path: The package file.
        device: `cpu`, `auto`, `cuda` or `cuda:N`.
        integrity: `sha256` checks every member first.
        libraries: As `load` takes them.

    Raises:
        PackageError: the package is damaged.
        UnsupportedError: this ONNX Runtime lacks an operator.
        ExecutionError: ONNX Runtime failed.
    """
    package = open_package(path, integrity=integrity)
    verifications = []
    for name in package.component_names:
        model = load_component(package, name, device=device, tuned=False, libraries=libraries)
        tolerances = model.interface.tolerances
        sets = []
        for vectors in package.vectors(name):
            names = list(vectors.outputs)
            ours = dict(zip(names, model.run(names, vectors.inputs), strict=True))
            sets.append(compare_outputs(ours, vectors.outputs, tolerances))
        verifications.append(ComponentVerification(name, tuple(sets)))
    return tuple(verifications)


def verify(
    path: str | Path, *, device: str = "cpu", integrity: Integrity = "sha256", libraries: Sequence[str | Path] = ()
) -> tuple[ComponentVerification, ...]:
    """As `replay`, and a difference is an error.

    Raises:
        MismatchError: an output differs from the recorded one; the report names it.
    """
    verifications = replay(path, device=device, integrity=integrity, libraries=libraries)
    report = tuple(
        f"{verification.component}, set {index}: {row}"
        for verification in verifications
        for index, outputs in enumerate(verification.sets)
        for row in format_rows(tuple(output for output in outputs if not output.passed))
    )
    if report:
        raise MismatchError(
            f"{Path(path).name} does not give the recorded outputs.",
            report=report,
            hint="The runtime, its version or this machine computes otherwise than the one that proved the package.",
        )
    return verifications
