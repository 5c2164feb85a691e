"""The narrow way through tf2onnx: a concrete function or a frozen graph in, an ONNX graph under the same names out."""

from __future__ import annotations

import contextlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from transload.convert.passes import find_library_domains, find_unsupported
from transload.convert.platform import return_free_memory
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.graph_nodes import CASES, all_nodes
from transload.convert.tensorflow.late_protobufs import write_protobufs_late
from transload.convert.tensorflow.loop_numbers import ScalarLoopNumbersPass
from transload.convert.tensorflow.node_order import keep_order, restart_names
from transload.convert.tensorflow.operators import EXTENSIONS_DOMAIN, tf2onnx_handlers
from transload.convert.tensorflow.opset import TF2ONNX_OPSET, raise_opset
from transload.convert.tensorflow.own_functions import keep_shapes, own_functions
from transload.convert.tensorflow.rounding_casts import protect_rounding, unprotect_rounding
from transload.convert.tensorflow.scalar_addends import widen_scalar_addends
from transload.convert.tensorflow.table_content import Table
from transload.convert.tensorflow.transposed_reductions import ReduceBeforeTransposePass
from transload.serialize.errors import UnsupportedError, UnsupportedOperation

with silence():
    import tf2onnx.optimizer
    from tf2onnx import tf_loader, tfonnx

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


@dataclass(frozen=True)
class Target:
    """What to write.

    Args:
        opset: The ONNX opset.
        channels_first: Inputs of rank 4, by TensorFlow's names of tensors, that the ONNX graph takes as NCHW where
            TensorFlow's takes NHWC.
        tables: What the lookup tables hold, by TensorFlow's names of the tensors that stand for them.
        with_extensions: Whether operators of onnxruntime-extensions may stand for what ONNX lacks.
    """

    opset: int
    channels_first: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    with_extensions: bool = False


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
    """The GraphDef of a ConcreteFunction with its variables as constants, simplified by TensorFlow.

    Raises:
        UnsupportedError: TensorFlow cannot freeze it.
    """
    with _quiet(), _translate_errors("TensorFlow cannot freeze the graph"):
        return tf_loader.from_function(function, list(input_names), list(output_names))


def has_cases(function: Any) -> bool:
    """Whether a ConcreteFunction chooses between branches by number."""
    return any(node.op in CASES for node in all_nodes(function.graph.as_graph_def()))


def inline(graph_def: Any, input_names: Sequence[str], output_names: Sequence[str]) -> Any:
    """A GraphDef with its function calls inlined; loops and branches stay operations with functions.

    Raises:
        UnsupportedError: TensorFlow does not take the graph.
    """
    # As tf.function's own freezing does: neither another implementation for a GPU nor switches for loops and branches.
    # Functions for XLA, such as those of Keras around grouped convolutions, would stay calls, and hide their weights.
    for function in graph_def.library.function:
        for name in ("api_implements", "_XlaMustCompile", "_noinline"):
            function.attr.pop(name, None)
    for node in all_nodes(graph_def):
        node.attr.pop("_XlaMustCompile", None)
        if "_lower_using_switch_merge" in node.attr:
            node.attr["_lower_using_switch_merge"].b = False
    return simplify(graph_def, input_names, output_names)


def simplify(graph_def: Any, input_names: Sequence[str], output_names: Sequence[str]) -> Any:
    """A frozen GraphDef cut down to what its outputs need, simplified by TensorFlow.

    Raises:
        UnsupportedError: TensorFlow does not take the graph.
    """
    with _quiet(), tf.Graph().as_default(), _translate_errors("TensorFlow cannot simplify the graph"):
        simple = tf_loader.tf_optimize(list(dict.fromkeys(input_names)), list(dict.fromkeys(output_names)), graph_def)
    # What Grappler took and gave back: 20 MB for a small MobileNet.
    return_free_memory()
    return simple


def convert_graph(graph_def: Any, inputs: Sequence[str], outputs: Sequence[str], target: Target) -> ir.Model:
    """Translate a frozen, simplified GraphDef.

    Args:
        graph_def: The graph.
        inputs, outputs: TensorFlow's names of tensors (`x:0`), which the ONNX graph keeps; no tensor twice.
        target: What to write.

    Raises:
        UnsupportedError: it lists every operation that tf2onnx could not convert.
    """

    def parse() -> Any:
        with keep_shapes(), tf.Graph().as_default() as graph:
            tf.import_graph_def(own_functions(graph_def), name="")
            return tfonnx.process_tf_graph(
                graph, **_settings(target), input_names=list(inputs), output_names=list(outputs)
            )

    return _convert(parse, target)


def convert_tflite(path: Path, inputs: Sequence[str], outputs: Sequence[str], target: Target) -> ir.Model:
    """Translate a TFLite file; its first subgraph is the model.

    Args:
        path: The file.
        inputs, outputs: The file's names of tensors, which the ONNX graph keeps; no tensor twice.
        target: What to write.

    Raises:
        UnsupportedError: it lists every operation that tf2onnx could not convert.
    """

    def parse() -> Any:
        return tfonnx.process_tf_graph(
            None, **_settings(target), input_names=list(inputs), output_names=list(outputs), tflite_path=str(path)
        )

    return _convert(parse, target)


def _settings(target: Target) -> dict[str, Any]:
    domains = [("ai.onnx.ml", 2), *([(EXTENSIONS_DOMAIN, 1)] if target.with_extensions else [])]
    return {
        "continue_on_error": True,
        "opset": min(target.opset, TF2ONNX_OPSET),
        "extra_opset": [onnx.helper.make_opsetid(domain, version) for domain, version in domains],
        "inputs_as_nchw": list(target.channels_first),
        "custom_op_handlers": tf2onnx_handlers(target.tables, target.with_extensions),
    }


def _convert(parse: Callable[[], Any], target: Target) -> ir.Model:
    """Optimise what `parse` makes, a graph of tf2onnx."""
    with _translate_errors("tf2onnx cannot convert the graph"):
        try:
            # With `catch_errors` tf2onnx copies the whole graph, weights included, before each optimiser: 8.4 GB
            # instead of 4.6 GB for ResNet50V2's 102 MB.
            return _try_to_convert(parse, target, catch_errors=False)
        except (UnsupportedError, MemoryError):
            raise
        except Exception:
            # An optimiser of tf2onnx raised, which may be anything, and left the graph half changed. The copies are
            # the price of going on without that optimiser.
            return _try_to_convert(parse, target, catch_errors=True)


def _try_to_convert(parse: Callable[[], Any], target: Target, catch_errors: bool) -> ir.Model:
    collector = _ErrorCollector()
    restart_names()
    with _quiet(collector), keep_order():
        converted = parse()
        _refuse(collector.operations)
        protect_rounding(converted)
        widen_scalar_addends(converted)
        with write_protobufs_late():
            optimized = tf2onnx.optimizer.optimize_graph(converted, catch_errors=catch_errors, optimizers=OPTIMIZERS)
        written = unprotect_rounding(_to_ir(optimized.make_model("")))
        ScalarLoopNumbersPass()(written)
        model = raise_opset(ReduceBeforeTransposePass()(written).model, target.opset)
    # tf2onnx leaves TensorFlow's operations in the graph and says so only in its log, whose words may change.
    _refuse(find_unsupported(model, with_libraries=target.with_extensions))
    if not find_library_domains(model):
        model.opset_imports.pop(EXTENSIONS_DOMAIN, None)
    return model


def _refuse(operations: Sequence[UnsupportedOperation]) -> None:
    if operations:
        count = "one operation" if len(operations) == 1 else f"{len(operations)} operations"
        raise UnsupportedError(f"tf2onnx cannot convert {count} of the model.", operations=tuple(operations))


@contextlib.contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Whatever TensorFlow and tf2onnx raise over a graph means that it cannot be converted; their words go along."""
    try:
        yield
    except (UnsupportedError, MemoryError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise UnsupportedError(f"{what}: {type(error).__name__}: {lines[0]}") from error


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
