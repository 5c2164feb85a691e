"""Emitting ONNX nodes into tf2onnx's graph, in place of one operation of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from tf2onnx import utils

from transload.convert.tensorflow.table_content import Table

EXTENSIONS_DOMAIN = "ai.onnx.contrib"


class Emitter:
    """One operation that is being translated.

    `emitter.Add(a, b)` emits a node of that ONNX operator and gives the name of its output. An input is the name of a
    tensor, or a number, list or array, which becomes a constant; None leaves an optional input out.

    Args:
        graph: tf2onnx's graph.
        node: The operation.
        tables: The lookup tables of the model by the name of the tensor that stands for each.
        with_extensions: Whether operators of onnxruntime-extensions may be emitted.
    """

    def __init__(self, graph: Any, node: Any, tables: Mapping[str, Table], with_extensions: bool = False) -> None:
        self.graph, self.node, self.tables, self.with_extensions = graph, node, tables, with_extensions

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if not op_type[:1].isupper():
            raise AttributeError(op_type)

        def emit(*inputs: Any, outputs: int | None = None, **attributes: Any) -> Any:
            names = ["" if each is None else self.tensor(each) for each in inputs]
            made = self.graph.make_node(op_type, names, attr=attributes, output_count=outputs or 1)
            return tuple(made.output) if outputs is not None else made.output[0]

        return emit

    def extension(self, op_type: str, *inputs: Any, dtype: int, **attributes: Any) -> str:
        """Emit a node of onnxruntime-extensions, whose result has the shape of its first input."""
        names, shape = [self.tensor(each) for each in inputs], self.graph.get_shape(inputs[0])
        made = self.graph.make_node(
            op_type, names, attr=attributes, domain=EXTENSIONS_DOMAIN, dtypes=[dtype], shapes=[shape]
        )
        return str(made.output[0])

    def choose(self, condition: str, then: Callable[[Emitter], str], otherwise: Callable[[Emitter], str]) -> str:
        """What one of two ways gives, by a truth value; each emits its nodes into the emitter that it is given."""
        branches, dtypes, shapes = {}, [], []
        for name, way in (("then_branch", then), ("else_branch", otherwise)):
            body = self.graph.create_new_graph_with_same_config()
            body.parent_graph = self.graph
            result = way(Emitter(body, self.node, self.tables, self.with_extensions))
            dtypes, shapes = [body.get_dtype(result)], [body.get_shape(result)]
            body.add_graph_output(result, *dtypes, *shapes)
            branches[name] = body
        made = self.graph.make_node("If", [condition], branches=branches, dtypes=dtypes, shapes=shapes)
        return str(made.output[0])

    def repeat(self, count: str, value: str, step: Callable[[Emitter, str, str], str | tuple[str, str]]) -> str:
        """A tensor after so many steps, of which the dtype and the shape stay.

        Args:
            count: How many at most, an int64.
            value: The tensor before the first.
            step: Emits a step's nodes into the emitter that it is given, from the step's number and the tensor before
                it; gives the tensor after it, and where it may be the last one, whether there is another.
        """
        dtype, shape = self.graph.get_dtype(value), self.graph.get_shape(value)
        body = self.graph.create_new_graph_with_same_config()
        body.parent_graph = self.graph
        number, goes_on, before = (utils.make_name(name) for name in ("number", "goes_on", "before"))
        body.add_graph_input(number, TensorProto.INT64, [])
        body.add_graph_input(goes_on, TensorProto.BOOL, [])
        body.add_graph_input(before, dtype, shape)
        emitter = Emitter(body, self.node, self.tables, self.with_extensions)
        result = step(emitter, number, before)
        after, condition = result if isinstance(result, tuple) else (result, emitter.Identity(goes_on))
        body.add_graph_output(condition, TensorProto.BOOL, [])
        body.add_graph_output(after, dtype, shape)
        inputs = [count, self.tensor(np.array(True)), value]
        made = self.graph.make_node("Loop", inputs, branches={"body": body}, dtypes=[dtype], shapes=[shape])
        return str(made.output[0])

    @property
    def inputs(self) -> list[str]:
        """The names of the operation's inputs."""
        return list(self.node.input)

    def tensor(self, value: Any) -> str:
        """The name of a tensor, or of a new constant."""
        if isinstance(value, str):
            return value
        array = np.asarray(value)
        name = utils.make_name("const")
        return str(self.graph.make_const(name, array).output[0])

    def known(self, name: str) -> Any:
        """A constant's value as an array; None for what is computed."""
        node = self.graph.get_node_by_output(name)
        return node.get_tensor_value(as_list=False) if node is not None and node.is_const() else None

    def constant_like(self, name: str) -> Callable[[float], str]:
        """Makes constants of a tensor's dtype."""
        dtype = helper.tensor_dtype_to_np_dtype(self.dtype(name))
        return lambda value: self.tensor(np.array(value, dtype))

    def shape(self, name: str) -> list[int]:
        """A tensor's sizes, -1 where one is not known.

        Raises:
            ValueError: not even their number is known.
        """
        shape = self.graph.get_shape(name)
        if shape is None:
            raise ValueError("The number of dimensions of a tensor depends on the data.")
        return list(shape)

    def dtype(self, name: str) -> int:
        """A tensor's ONNX dtype."""
        return int(self.graph.get_dtype(name))

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of the operation."""
        value = self.node.get_attr_value(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def finish(self, results: Sequence[str]) -> None:
        """Put the results in the place of the operation's."""
        outputs = list(self.node.output)
        shapes = [self.graph.get_shape(name) for name in outputs]
        dtypes = [self.graph.get_dtype(result) for result in results]
        self.graph.remove_node(self.node.name)
        for output, result, shape, dtype in zip(outputs, results, shapes, dtypes, strict=True):
            known = self.graph.get_shape(result) if shape is None or dtype is None else shape
            self.graph.make_node("Identity", [result], outputs=[output], shapes=[known], dtypes=[dtype])
