"""Emitting ONNX nodes: types and shapes inferred at once, constants shared, blocks nested."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import onnx
import onnx.shape_inference
import onnx_ir as ir
import torch

from transload.convert.passes.metadata import SOURCE_KEY
from transload.convert.torch.script.dtypes import NUMBER_DTYPE, NUMBER_KEY, promote, to_onnx
from transload.convert.torch.script.values import Complex, Number, Vector
from transload.serialize.errors import UnsupportedError

IR_VERSION = 10
MAX_INT64 = 2**63 - 1

FOLD_ELEMENTS = 4096
"""Constants of up to so many elements are computed with while translating; larger ones are weights."""

SYMBOL_PREFIX = "?"
"""Begins the symbols of sizes that the translator finds; the names of declared dimensions do not."""

_WHERE_KERNELS = {
    ir.DataType.BOOL: ir.DataType.UINT8,
    ir.DataType.INT16: ir.DataType.INT32,
    ir.DataType.UINT16: ir.DataType.INT32,
    ir.DataType.UINT64: ir.DataType.INT64,
    ir.DataType.BFLOAT16: ir.DataType.FLOAT,
}
"""For element types that Where has no kernel for (ONNX Runtime 1.31.1), one that holds all their values."""

Int = int | Number
Result = TypeVar("Result", bound="ir.Value | tuple[ir.Value, ...]")
Operand = ir.Value | Number | complex | float | int | bool


class Builder:
    """The graph being built. `b.Add(x, y)` appends a node for any ONNX operator and returns its output.

    Nodes are named after their operator, behind the path of the module whose weight went into the present operation.

    Inputs are `ir.Value`, None, or Python numbers and lists, which become constants of the element type that the
    operator's schema asks for beside its other inputs. Attributes are keywords; `_outputs=n` asks for n outputs, as a
    tuple.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.location = ""
        self.scope = ""
        self.notes: dict[str, None] = {}
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": opset}, name="main")
        self._graphs = [self.graph]
        self._constants: dict[tuple[Any, ...], ir.Value] = {}
        self._weights: dict[tuple[Any, ...], ir.Value] = {}
        self._sizes: dict[str, list[Number]] = {}
        self._used: set[str] = set()
        self._owners: dict[ir.Value | None, str] = {}
        self._variables: set[ir.Value] = set()
        self._made: dict[tuple[Any, ...], list[tuple[Any, tuple[ir.Value, ...]]]] = {}
        self._symbols = 0
        self._count = 0
        self._opset_ids = [onnx.helper.make_opsetid("", opset)]

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if not op_type[0].isupper():
            raise AttributeError(op_type)

        def emit(*inputs: Any, _outputs: int | None = None, **attributes: Any) -> Any:
            return self.emit(op_type, inputs, attributes, _outputs)

        return emit

    # Nodes

    def Where(self, condition: ir.Value, one: Any, other: Any) -> Any:  # noqa: N802
        """ONNX's Where, by way of another element type where ONNX Runtime has no kernel."""
        dtype = next((each.dtype for each in (one, other) if isinstance(each, ir.Value)), None)
        if dtype not in _WHERE_KERNELS:
            return self.emit("Where", (condition, one, other), {}, None)
        wide = _WHERE_KERNELS[dtype]
        chosen: ir.Value = self.emit("Where", (condition, self.scalar(one, wide), self.scalar(other, wide)), {}, None)
        return self.cast(chosen, dtype)

    def emit(self, op_type: str, inputs: Sequence[Any], attributes: dict[str, Any], outputs: int | None) -> Any:
        """Append a node. Gives its output, or a tuple of them where `outputs` says how many."""
        schema = _schema(op_type, self.opset)
        if op_type.startswith("Reduce") and len(inputs) > len(schema.inputs):
            # Before opset 18 the axes are an attribute, ReduceSum's excepted.
            inputs, attributes = inputs[:1], {"axes": inputs[1], **attributes}
        if op_type == "Split" and "num_outputs" not in schema.attributes:
            # Before opset 18 the node's own outputs say how many.
            attributes = {name: value for name, value in attributes.items() if name != "num_outputs"}
        values = self._adapt(schema, inputs)
        attrs = [
            ir.convenience.convert_attribute(name, value) for name, value in attributes.items() if value is not None
        ]
        node = ir.Node("", op_type, values, attrs, num_outputs=outputs or 1)
        self._finish(node)
        self._infer(schema, node)
        return tuple(node.outputs) if outputs is not None else node.outputs[0]

    def append(self, node: ir.Node) -> None:
        """Append a node whose output types are set already, such as one with blocks."""
        self._finish(node)

    def _finish(self, node: ir.Node) -> None:
        # Names of nested graphs must not meet those of the graphs around them.
        self.scope = next((self._owners[v] for v in node.inputs if v in self._owners), self.scope)
        node.name = f"{self.scope}/{node.op_type}_{self._count}" if self.scope else f"{node.op_type}_{self._count}"
        for index, output in enumerate(node.outputs):
            output.name = f"value_{self._count}" + (f"_{index}" if index else "")
        self._count += 1
        if self.location:
            node.metadata_props[SOURCE_KEY] = self.location
        self._graphs[-1].append(node)

    def _adapt(self, schema: onnx.defs.OpSchema, inputs: Sequence[Any]) -> list[ir.Value | None]:
        formal = schema.inputs
        types: dict[str, ir.DataType] = {}
        for index, item in enumerate(inputs):
            if isinstance(item, ir.Value) and item.dtype is not None:
                types.setdefault(formal[min(index, len(formal) - 1)].type_str, item.dtype)
        values: list[ir.Value | None] = []
        for index, item in enumerate(inputs):
            if item is None or isinstance(item, ir.Value):
                values.append(item)
                continue
            if isinstance(item, Number):
                values.append(item.value)
                continue
            type_str = formal[min(index, len(formal) - 1)].type_str
            values.append(self.constant(item, types.get(type_str) or _only_dtype(type_str)))
        while values and values[-1] is None:
            values.pop()
        return values

    def _infer(self, schema: onnx.defs.OpSchema, node: ir.Node) -> None:
        types: dict[str, onnx.TypeProto] = {}
        data: dict[str, onnx.TensorProto] = {}
        names = []
        for value in node.inputs:
            if value is None:
                names.append("")
                continue
            name = f"v{len(names)}"
            names.append(name)
            if value.type is None:
                return
            types[name] = _type_proto(value)
            if value.const_value is not None and value.const_value.size <= 64 and value not in self._variables:
                data[name] = ir.to_proto(value.const_value)
                data[name].name = name
        proto = onnx.NodeProto(op_type=node.op_type, input=names, output=[f"o{i}" for i in range(len(node.outputs))])
        proto.attribute.extend(ir.to_proto(attribute) for attribute in node.attributes.values())
        try:
            found = onnx.shape_inference.infer_node_outputs(
                schema, proto, types, data, opset_imports=self._opset_ids, ir_version=IR_VERSION
            )
        except Exception as error:
            inputs = ", ".join(f"{value.dtype}{value.shape}" if value is not None else "-" for value in node.inputs)
            raise UnsupportedError(f"ONNX's {node.op_type} does not take ({inputs}): {_reason(error)}") from error
        for index, output in enumerate(node.outputs):
            if (type_proto := found.get(f"o{index}")) is not None:
                output.type = ir.serde.deserialize_type_proto_for_type(type_proto)
                output.shape = ir.serde.deserialize_type_proto_for_shape(type_proto)

    def note(self, text: str) -> None:
        """Say something to the user about the translation."""
        self.notes[text] = None

    def once(self, key: tuple[Any, ...], make: Callable[[], Result]) -> Result:
        """What `make` emits, or what it emitted before for the same key, where that can be read from here."""
        for found, values in self._made.get(key, ()):
            if all(map(self.is_visible, values)):
                return cast(Result, found)
        result = make()
        values = result if isinstance(result, tuple) else (result,)
        self._made.setdefault(key, []).append((result, values))
        return result

    # Constants and weights

    def constant(self, value: Any, dtype: ir.DataType | None = None) -> ir.Value:
        """A constant from a number, a nested list, an array or a torch tensor; equal ones are the same value.

        Without `dtype`, Python ints become INT64, floats FLOAT.
        """
        if isinstance(value, torch.Tensor):
            tensor = value.detach() if dtype is None else value.detach().to(_torch(dtype))
        elif isinstance(value, np.ndarray | np.generic):
            tensor = torch.from_numpy(np.array(value))
            tensor = tensor if dtype is None else tensor.to(_torch(dtype))
        else:
            if dtype is None:
                first = np.ravel(np.array(value))
                dtype = to_onnx(torch.int64 if first.size == 0 else torch.from_numpy(first[:1]).dtype)
                dtype = ir.DataType.FLOAT if dtype == ir.DataType.DOUBLE else dtype
            tensor = torch.tensor(value, dtype=_torch(dtype))
        tensor = tensor.contiguous()
        key = (tensor.dtype, tuple(tensor.shape), _bytes(tensor))
        if key not in self._constants:
            self._constants[key] = self._initializer(f"constant_{len(self._constants)}", tensor)
        return self._constants[key]

    def number_constant(self, tensor: torch.Tensor) -> ir.Value:
        """A constant of rank 0 that stands in the program itself: TorchScript promotes with it as with a number."""
        key = (tensor.dtype, "number", _bytes(tensor))
        if key not in self._constants:
            self._constants[key] = self._initializer(f"constant_{len(self._constants)}", tensor.detach())
            self._constants[key].metadata_props[NUMBER_KEY] = ""
        return self._constants[key]

    def weight(self, tensor: torch.Tensor, name: str) -> ir.Value:
        """A parameter or buffer of the module; the same memory is the same value. Holds the tensor itself, no copy."""
        key = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if not tensor.numel() or key not in self._weights:
            self._weights[key] = self._initializer(name, tensor.detach().contiguous())
            self._owners[self._weights[key]] = name.rpartition(".")[0]
        return self._weights[key]

    def variable(self, tensor: torch.Tensor, name: str) -> ir.Value:
        """An initializer that stands for another value at run time; never folded."""
        value = self._initializer(name, tensor.contiguous())
        self._variables.add(value)
        return value

    def _initializer(self, name: str, tensor: torch.Tensor) -> ir.Value:
        name = self.unique(name)
        content = ir.tensor_adapters.TorchTensor(tensor, name=name)
        value = ir.Value(
            name=name, type=ir.TensorType(to_onnx(tensor.dtype)), shape=ir.Shape(tensor.shape), const_value=content
        )
        self.graph.register_initializer(value)
        return value

    def unique(self, name: str) -> str:
        """The name, or with a number behind it where it is taken."""
        name = re.sub(r"[^\w./:-]", "_", name)
        found, count = name, 1
        while found in self._used:
            found, count = f"{name}_{count}", count + 1
        self._used.add(found)
        return found

    def known(self, value: ir.Value | None) -> torch.Tensor | None:
        """The tensor itself, where it is a small constant."""
        content = None if value is None or value in self._variables else value.const_value
        if content is None or content.size > FOLD_ELEMENTS:
            return None
        return content.raw if isinstance(content, ir.tensor_adapters.TorchTensor) else None

    # Blocks

    @contextlib.contextmanager
    def block(self, graph: ir.Graph | None = None, inputs: Sequence[ir.Value] = ()) -> Iterator[ir.Graph]:
        """A nested graph, new or entered again; what is emitted inside goes there. It sees the values around it."""
        graph = graph if graph is not None else ir.Graph(list(inputs), [], nodes=[], name=f"block_{len(self._graphs)}")
        self._graphs.append(graph)
        try:
            yield graph
        finally:
            self._graphs.pop()

    def is_visible(self, value: ir.Value) -> bool:
        """Whether a node appended now may read the value."""
        node = value.producer()
        graph = node.graph if node is not None else value.graph
        return graph is None or any(graph is each for each in self._graphs)

    def is_local(self, value: ir.Value) -> bool:
        """Whether a node of the innermost graph computes the value."""
        node = value.producer()
        return node is not None and node.graph is self._graphs[-1]

    # Shapes

    def rank(self, value: ir.Value) -> int:
        """The number of dimensions.

        Raises:
            UnsupportedError: it depends on the data.
        """
        if value.shape is None:
            raise UnsupportedError("The number of dimensions of a tensor depends on the data.")
        return value.shape.rank()

    def dim(self, value: ir.Value, axis: int) -> int | None:
        """The size of an axis where it is known now."""
        if value.shape is None:
            return None
        size = value.shape[axis]
        return size if isinstance(size, int) else None

    def static_shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """All sizes, where all are known now."""
        if value.shape is None or not value.shape.is_static():
            return None
        return tuple(int(size) for size in value.shape)  # type: ignore[arg-type]

    def size(self, value: ir.Value, axis: int) -> Int:
        """The size of an axis: known now, or a number computed by the graph; the same number for the same symbol."""
        rank = self.rank(value)
        axis = axis % rank if rank else axis
        assert value.shape is not None
        size = value.shape[axis]
        if isinstance(size, int):
            return size
        if size.value is None:
            self.name_sizes(value)
            size = value.shape[axis]
        symbol = str(size)
        for number in self._sizes.get(symbol, ()):
            if self.is_visible(number.value):
                return number
        taken = self.Shape(value, start=axis, end=axis + 1)
        number = Number(self.Squeeze(taken, [0]), int)
        number.value.metadata_props["pkg.size"] = symbol
        self._sizes.setdefault(symbol, []).append(number)
        return number

    def name_sizes(self, value: ir.Value) -> None:
        """Give every size that nothing is known of a symbol of its own."""
        if value.shape is not None:
            dims: list[int | ir.SymbolicDim] = []
            for dim in value.shape:
                if not isinstance(dim, int) and dim.value is None:
                    self._symbols += 1
                    dim = ir.SymbolicDim(f"{SYMBOL_PREFIX}{self._symbols}")
                dims.append(dim)
            value.shape = ir.Shape(dims)

    @property
    def newest_symbol(self) -> int:
        """The number of the newest symbol that `name_sizes` has made."""
        return self._symbols

    def symbol(self, size: Int) -> str | None:
        """The symbol of a size taken from a shape."""
        return size.value.metadata_props.get("pkg.size") if isinstance(size, Number) else None

    def shape(self, value: ir.Value) -> ir.Value:
        """The sizes as an INT64 tensor of rank 1: a constant where all are known."""
        sizes = self.static_shape(value)
        return self.constant(list(sizes), ir.DataType.INT64) if sizes is not None else self.Shape(value)

    def sizes(self, value: ir.Value) -> list[Int]:
        """`size` of every axis."""
        return [self.size(value, axis) for axis in range(self.rank(value))]

    def same_size(self, one: Int, other: Int) -> bool:
        """Whether two sizes are known to be equal."""
        if isinstance(one, int) or isinstance(other, int):
            return isinstance(one, int) and isinstance(other, int) and one == other
        return one.value is other.value or (self.symbol(one) is not None and self.symbol(one) == self.symbol(other))

    def axis(self, value: ir.Value | int, axis: int) -> int:
        """An axis counted from the front; `value` is a tensor or a rank. A tensor of rank 0 has the axes 0 and -1."""
        rank = value if isinstance(value, int) else self.rank(value)
        return axis % max(rank, 1)

    # Numbers

    def scalar(self, number: Operand, dtype: ir.DataType) -> ir.Value:
        """A number (or a tensor) as a tensor of `dtype`; a number has rank 0."""
        if isinstance(number, Number):
            return self.cast(number.value, dtype)
        if isinstance(number, ir.Value):
            return self.cast(number, dtype)
        if dtype.is_integer() and isinstance(number, float) and number == int(number):
            number = int(number)
        return self.constant(number, dtype)

    def number(self, value: ir.Value, kind: type) -> Any:
        """A tensor with one element as a number of a kind: a Python one where it is a constant."""
        known = self.known(value)
        if known is not None:
            return kind(known.item())
        if value.shape is None or value.shape.rank() != 0:
            value = self.Reshape(value, self.constant([], ir.DataType.INT64))
        dtype = NUMBER_DTYPE[kind]
        return Number(value if value.dtype == dtype else self.cast(value, dtype), kind)

    def int_vector(self, numbers: Sequence[Int] | ir.Value | Vector) -> ir.Value:
        """Integers as an INT64 tensor of rank 1."""
        if isinstance(numbers, ir.Value):
            return numbers
        if isinstance(numbers, Vector):
            return numbers.value
        if all(isinstance(number, int) for number in numbers):
            return self.constant([int(number) for number in numbers], ir.DataType.INT64)  # type: ignore[arg-type]
        parts: list[ir.Value] = []
        run: list[int] = []
        for number in numbers:
            if isinstance(number, int):
                run.append(number)
                continue
            if run:
                parts.append(self.constant(run, ir.DataType.INT64))
                run = []
            parts.append(self.as_vector(number.value))
        if run:
            parts.append(self.constant(run, ir.DataType.INT64))
        return parts[0] if len(parts) == 1 else self.Concat(*parts, axis=0)

    def as_vector(self, value: ir.Value) -> ir.Value:
        """A tensor of rank 0 as one of rank 1 with one element."""
        node = value.producer()
        if node is not None and node.op_type == "Squeeze" and node.inputs[0] is not None:
            source = node.inputs[0]
            if source.shape is not None and source.shape.rank() == 1 and self.is_visible(source):
                return source
        return self.Reshape(value, [1])

    def scalar_range(self, size: Int) -> ir.Value:
        """0, 1, 2, … below a size, INT64."""
        if isinstance(size, int):
            return self.constant(list(range(size)), ir.DataType.INT64)
        return self.with_sizes(self.Range(self.constant(0), size.value, self.constant(1)), [size])

    def add_int(self, one: Int, other: Int) -> Int:
        """The sum of two integers."""
        if isinstance(one, int) and isinstance(other, int):
            return one + other
        if one == 0 or other == 0:
            return other if one == 0 else one
        return Number(self.Add(self.scalar(one, ir.DataType.INT64), self.scalar(other, ir.DataType.INT64)), int)

    def mul_int(self, one: Int, other: Int) -> Int:
        """The product of two integers."""
        if isinstance(one, int) and isinstance(other, int):
            return one * other
        if one == 1 or other == 1:
            return other if one == 1 else one
        return Number(self.Mul(self.scalar(one, ir.DataType.INT64), self.scalar(other, ir.DataType.INT64)), int)

    # Element types and layout

    def cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """The tensor in another element type, as torch converts: floats to integers towards zero, to bool by != 0."""
        if value.dtype == dtype:
            return value
        known = self.known(value)
        if known is not None and known.numel() <= 64:
            return self.constant(known.to(_torch(dtype)))
        return self.Cast(value, to=dtype)

    def promoted(self, *operands: Operand) -> list[ir.Value]:
        """The operands as tensors in the element type that torch's arithmetic gives them."""
        dtype = promote(*operands)
        return [self.scalar(operand, dtype) for operand in operands]

    def reshape(self, value: ir.Value, sizes: Sequence[Int]) -> ir.Value:
        """The tensor in another shape; one size may be -1.

        Sizes that are the value's own are copied at run time, one other unknown size is left to ONNX, so that the new
        shape is a constant wherever possible.
        """
        entries: list[Int] = list(sizes)
        if (
            value.shape is not None
            and value.shape.rank() == len(entries)
            and all(self.same_size(self._peek(value, axis), size) for axis, size in enumerate(entries))
        ):
            return value
        if not any(size == 0 for size in entries if isinstance(size, int)):
            for axis, size in enumerate(entries):
                if isinstance(size, Number) and value.shape is not None and axis < value.shape.rank():
                    symbol = self.symbol(size)
                    own = value.shape[axis]
                    if symbol is not None and not isinstance(own, int) and own.value == symbol:
                        entries[axis] = 0
            unknown = [axis for axis, size in enumerate(entries) if isinstance(size, Number)]
            if len(unknown) == 1 and -1 not in [size for size in entries if isinstance(size, int)]:
                entries[unknown[0]] = -1
            result = self.Reshape(value, self.int_vector(entries))
        else:
            result = self.Reshape(value, self.int_vector(entries), allowzero=1)
        return self.with_sizes(result, sizes)

    def with_sizes(self, value: ir.Value, sizes: Sequence[Int]) -> ir.Value:
        """Write sizes that the translator knows into the shape of a value just made; -1 is unknown."""
        dims: list[int | ir.SymbolicDim | str | None] = (
            [None] * len(sizes) if value.shape is None else list(value.shape)
        )
        for axis, size in enumerate(sizes):
            if isinstance(dims[axis], int):
                continue
            if isinstance(size, int):
                if size >= 0:
                    dims[axis] = size
            elif (symbol := self.symbol(size)) is not None:
                dims[axis] = symbol
        value.shape = ir.Shape(dims)
        return value

    def expand(self, value: ir.Value, sizes: Sequence[Int]) -> ir.Value:
        """The tensor broadcast to a shape; sizes of -1 keep the value's own."""
        rank = self.rank(value)
        lead = len(sizes) - rank
        if any(isinstance(size, int) and size == 0 for size in sizes):
            # ONNX Runtime 1.31 drops an Expand that only turns a size of 1 into 0 (ExpandElimination).
            whole = [self.size(value, axis - lead) if size == -1 else size for axis, size in enumerate(sizes)]
            assert value.dtype is not None
            return self.with_sizes(self.cast(self.ConstantOfShape(self.int_vector(whole)), value.dtype), whole)
        wanted: list[Int] = []
        for axis, size in enumerate(sizes):
            # ONNX's Expand broadcasts both ways, so that 1 keeps what is there.
            keeps = axis >= lead and (size == -1 or self.same_size(size, self._peek(value, axis - lead)))
            wanted.append(1 if keeps else size)
        if lead == 0 and all(size == 1 for size in wanted):
            return value
        result = self.Expand(value, self.int_vector(wanted))
        return self.with_sizes(
            result, [self._peek(value, a - lead) if s == 1 and a >= lead else s for a, s in enumerate(wanted)]
        )

    def _peek(self, value: ir.Value, axis: int) -> Int:
        """As `size`, without emitting a node: -1 where a node would be needed."""
        assert value.shape is not None
        size = value.shape[axis]
        if isinstance(size, int):
            return size
        for number in self._sizes.get(size.value or "", ()):
            if self.is_visible(number.value):
                return number
        return -1

    def transpose(self, value: ir.Value, one: int, other: int) -> ir.Value:
        """The tensor with two axes exchanged."""
        rank = self.rank(value)
        perm = list(range(rank))
        if rank == 0:
            return value
        perm[one], perm[other] = perm[other], perm[one]
        return value if perm == sorted(perm) else self.Transpose(value, perm=perm)

    def unsqueeze(self, value: ir.Value, *axes: int) -> ir.Value:
        """The tensor with new axes of size 1, at these places of the result."""
        return self.Unsqueeze(value, list(axes))

    def squeeze(self, value: ir.Value, *axes: int) -> ir.Value:
        """The tensor without these axes of size 1."""
        return self.Squeeze(value, list(axes))

    def complex(self, value: ir.Value | Complex) -> Complex:
        """A tensor as a complex one."""
        if isinstance(value, Complex):
            return value
        return Complex(value, self.Mul(value, 0))


def discard(graph: ir.Graph) -> None:
    """Detach the nodes of a graph that is thrown away from the values that they read."""
    for node in graph.all_nodes():
        for index, value in enumerate(node.inputs):
            if value is not None:
                node.replace_input_with(index, None)
    graph.outputs.clear()


_SCHEMAS: dict[tuple[str, int], onnx.defs.OpSchema] = {}


def _schema(op_type: str, opset: int) -> onnx.defs.OpSchema:
    key = op_type, opset
    if key not in _SCHEMAS:
        try:
            _SCHEMAS[key] = onnx.defs.get_schema(op_type, opset, "")
        except onnx.defs.SchemaError:
            raise UnsupportedError(
                f"This needs ONNX's {op_type}, which opset {opset} does not have.", hint="Choose a newer --opset."
            ) from None
    return _SCHEMAS[key]


def _only_dtype(type_str: str) -> ir.DataType | None:
    """The element type that a schema's formal input is restricted to, such as `tensor(int64)`."""
    match = re.fullmatch(r"tensor\((\w+)\)", type_str)
    return ir.DataType[match[1].upper()] if match and match[1] != "string" else None


def _torch(dtype: ir.DataType) -> torch.dtype:
    from transload.convert.torch.script.dtypes import TO_TORCH

    return TO_TORCH[dtype]


def _bytes(tensor: torch.Tensor) -> bytes:
    # A tensor with one element may count as contiguous whatever its strides are.
    flat = tensor.flatten().clone(memory_format=torch.contiguous_format)
    return flat.as_strided(flat.shape, (1,)).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def _type_proto(value: ir.Value) -> onnx.TypeProto:
    proto = onnx.TypeProto()
    assert value.type is not None
    ir.serde.serialize_type_into(proto, value.type)
    if value.shape is not None:
        ir.serde.serialize_shape_into(proto, value.shape)
    return proto


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
