"""Sets of passes that only tuned variants go through, and what they make of a package's graph."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from transload.convert.passes.linear_convolution import LinearAsConvolutionPass
from transload.convert.passes.residual_add import JoinResidualPass
from transload.runtime.tuning.search import Graph
from transload.serialize import PackageFile

PASS_SETS: Mapping[str, tuple[type[ir.passes.InPlacePass], ...]] = {
    "joined-residuals": (JoinResidualPass,),
    "linear-as-convolution": (LinearAsConvolutionPass, RemoveUnusedNodesPass),
}
"""The sets by name. Each must keep the model what it is; tuning checks it on the recorded inputs all the same."""

NEED_NO_PACKING = frozenset({"linear-as-convolution"})
"""The sets that leave ONNX Runtime nothing, or next to nothing, to pack when a session is created."""


def make_graphs(package: PackageFile, component: str) -> dict[str, Graph]:
    """The component's graph after each set of passes, without those that changed nothing.

    Raises:
        PackageError: the package is damaged.
    """
    # A package may come from an .onnx file that says nothing of the shapes between inputs and outputs.
    proto = ir.to_proto(ShapeInferencePass()(ir.from_proto(package.model_proto(component))).model)
    graphs = {}
    for name, passes in PASS_SETS.items():
        model = ir.from_proto(proto)
        changes = [make_pass()(model).modified for make_pass in passes]
        if any(changes):
            graphs[name] = Graph(
                ir.to_proto(model).SerializeToString(), package.path.parent, opens_sooner=name in NEED_NO_PACKING
            )
    return graphs
