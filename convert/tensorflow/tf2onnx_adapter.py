"""The narrow way through tf2onnx: a concrete function or a frozen graph in, an ONNX graph under our names out."""

from __future__ import annotations

import contextlib
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from transload.convert.tensorflow.framework import silence, tf
from transload.serialize.errors import UnsupportedError, UnsupportedOperation

with silence():
    import tf2onnx.optimizer
    from tf2onnx import tf_loader, tfonnx

MAX_GRAPH_BYTES = (1 << 31) - 1
"""A GraphDef is one protobuf message, and protobuf ends at 2 GiB."""

OPTIMIZERS = OrderedDict(
    (optimizer.__name__, optimizer)
    for optimizer in (
        tf2onnx.optimizer.TransposeOptimizer,
        tf2onnx.optimizer.UpsampleOptimizer,
        tf2onnx.optimizer.ConstFoldOptimizer,
        tf2onnx.optimizer.ConstDequantizeOptimizer,
        tf2onnx.optimizer.LoopOptimizer,
        tf2onnx.optimizer.ReshapeOptimizer,
        tf2onnx.optimizer.GlobalPoolOptimizer,
        tf2onnx.optimizer.QDQOptimizer,
        tf2onnx.optimizer.IdentityOptimizer,
        tf2onnx.optimizer.BackToBackOptimizer,
        tf2onnx.optimizer.EinsumOptimizer,
    )
)
"""tf2onnx's own sequence without MergeDuplicatedNodesOptimizer, which picks one of equal nodes by hash order."""

_UNMAPPED = re.compile(r"Tensorflow op \[(?P<node>.*): (?P<op>\w+)\] is not supported")


class _ErrorCollector(logging.Handler):
    """tf2onnx logs what it could not convert and goes on; here those records become the error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.operations: list[UnsupportedOperation] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        unmapped = _UNMAPPED.match(message)
        if unmapped is not None:
            operation = UnsupportedOperation(unmapped["op"], f"node {unmapped['node']!r}", "tf2onnx has no handler")
        elif message.startswith("Failed to convert node"):
            reason = str(record.exc_info[1]) if record.exc_info else "its handler failed"
            operation = UnsupportedOperation(_op_type(message), f"node {_quoted(message)!r}", reason)
        else:
            return
        if operation not in self.operations:
            self.operations.append(operation)


def freeze(function: Any, input_names: Sequence[str], output_names: Sequence[str]) -> Any:
    """The GraphDef of a `ConcreteFunction` with its variables as constants, simplified by TensorFlow.

    Raises:
        UnsupportedError: the weights do not fit into a GraphDef.
    """
    weights_bytes = sum(variable.shape.num_elements() * variable.dtype.size for variable in function.graph.variables)
    if weights_bytes > MAX_GRAPH_BYTES:
        raise UnsupportedError(
            f"The model's weights are {weights_bytes / 1e9:.1f} GB; a frozen TensorFlow graph ends at 2 GiB.",
            hint="tf2onnx 1.17.0 cannot take larger ones with numpy 2.",
        )
    with _quiet():
        return tf_loader.from_function(function, list(input_names), list(output_names))


def simplify(graph_def: Any, input_names: Sequence[str], output_names: Sequence[str]) -> Any:
    """A frozen GraphDef cut down to what its outputs need, simplified by TensorFlow."""
    with _quiet(), tf.Graph().as_default():
        return tf_loader.tf_optimize(list(input_names), list(output_names), graph_def)


def convert_graph(
    graph_def: Any,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    opset: int,
    shapes: Mapping[str, Sequence[int]],
) -> ir.Model:
    """Translate a frozen, simplified GraphDef.

    Args:
        graph_def: The graph.
        inputs, outputs: Our names by TensorFlow's tensor names (`x:0`).
        opset: The ONNX opset to write.
        shapes: Shapes that override TensorFlow's, by TensorFlow's tensor names.

    Raises:
        UnsupportedError: it lists every operation that tf2onnx could not convert.
    """
    collector = _ErrorCollector()
    with _quiet(collector), tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,
            opset=opset,
            input_names=list(inputs),
            output_names=list(outputs),
            shape_override={name: list(shape) for name, shape in shapes.items()},
            tensors_to_rename={**inputs, **outputs},
        )
        if collector.operations:
            raise UnsupportedError(
                f"tf2onnx cannot convert {len(collector.operations)} operations of the model.",
                operations=tuple(collector.operations),
            )
        # With `catch_errors` tf2onnx copies the whole graph, weights included, before each optimiser: 8.4 GB instead
        # of 4.6 GB for ResNet50V2's 102 MB.
        optimized = tf2onnx.optimizer.optimize_graph(converted, catch_errors=False, optimizers=OPTIMIZERS)
        model = optimized.make_model("")
    return _to_ir(model)


def _to_ir(model: onnx.ModelProto) -> ir.Model:
    model.producer_name, model.producer_version, model.doc_string = "tf2onnx", "", ""
    return ir.from_proto(model)


@contextlib.contextmanager
def _quiet(collector: logging.Handler | None = None) -> Iterator[None]:
    """tf2onnx's loggers say nothing on the terminal; errors reach the collector."""
    logger = logging.getLogger("tf2onnx")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    tensorflow_level = tf.get_logger().level
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.handlers[:] = [collector or logging.NullHandler()]
    tf.get_logger().setLevel(logging.CRITICAL)
    try:
        with silence():
            yield
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
        tf.get_logger().setLevel(tensorflow_level)


def _quoted(message: str) -> str:
    match = re.search(r"'([^']*)'", message)
    return match[1] if match else ""


def _op_type(message: str) -> str:
    match = re.search(r"OP=(\w+)", message)
    return match[1] if match else "operation"
