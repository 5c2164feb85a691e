"""Sets of passes that only tuned variants go through, and what they make of a package's graph."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from transload.convert.passes.residual_add import JoinResidualPass
from transload.runtime.tuning.search import Graph
from transload.serialize import PackageFile

PASS_SETS: Mapping[str, tuple[type[ir.passes.InPlacePass], ...]] = {
    "joined-residuals": (JoinResidualPass,),
}
"""The sets by name. Each must keep the model what it is; tuning checks it on the recorded inputs all the same."""


def make_graphs(package: PackageFile, component: str) -> dict[str, Graph]:
    """The component's graph after each set of passes, without those that changed nothing.

    Raises:
        PackageError: the package is damaged.
    """
    proto = package.model_proto(component)
    graphs = {}
    for name, passes in PASS_SETS.items():
        model = ir.from_proto(proto)
        changes = [make_pass()(model).modified for make_pass in passes]
        if any(changes):
            graphs[name] = Graph(ir.to_proto(model).SerializeToString(), package.path.parent)
    return graphs
