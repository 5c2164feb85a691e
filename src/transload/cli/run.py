"""`transload run`: a package's outputs for inputs in a .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from transload.cli.command import Command, libraries_option
from transload.convert.npz import read_npz, write_npz
from transload.runtime.model import load
from transload.serialize.dtypes import numpy_dtype
from transload.serialize.interface import Interface, input_tensors, output_tensors

Array = np.ndarray[Any, Any]


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--inputs", type=click.Path(path_type=Path), help="A .npz file; its keys are names of input tensors.")
@click.option("--outputs", required=True, type=click.Path(path_type=Path), help="The .npz file to write.")
@click.option("--component", help="Which component; needed where the package has several.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@libraries_option
def run(
    package: Path,
    inputs: Path | None,
    outputs: Path,
    component: str | None,
    device: str,
    libraries: tuple[str, ...],
) -> None:
    """Run a package once.

    The names of the tensors are those that `transload inspect` shows, such as x or cache/0/key. numpy's files have no
    word for bfloat16 and float8: such tensors come and go as raw bytes of their width.

    \b
    Example:
      transload run tagger.tload --inputs in.npz --outputs out.npz --device cpu
    """
    arrays = {} if inputs is None else read_npz(inputs)
    model = load(package, component, device=device, libraries=libraries)
    names = list(dict.fromkeys(tensor.name for tensor in output_tensors(model.interface)))
    values = model.run(names, _restore_dtypes(arrays, model.interface))
    write_npz(outputs, dict(zip(names, values, strict=True)))


def _restore_dtypes(arrays: Mapping[str, Array], interface: Interface) -> dict[str, Array]:
    """Raw bytes become what the interface says that they are; all else stays."""
    dtypes = {tensor.name: numpy_dtype(tensor.dtype) for tensor in input_tensors(interface)}
    return {
        name: array.view(dtypes[name])
        if array.dtype.kind == "V" and name in dtypes and array.dtype.itemsize == dtypes[name].itemsize
        else array
        for name, array in arrays.items()
    }
