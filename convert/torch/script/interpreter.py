"""Running TorchScript's IR once, abstractly: what is known is computed, what is not becomes ONNX nodes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.passes.metadata import TAP_KEY
from transload.convert.torch.script import decompose
from transload.convert.torch.script.builder import FOLD_ELEMENTS, Builder
from transload.convert.torch.script.cells import Journal
from transload.convert.torch.script.dtypes import scalar_type, to_onnx
from transload.convert.torch.script.locations import describe_location, short_location
from transload.convert.torch.script.ops import BY_PARTS, COMPLEX, OPERATORS, RAW, REFUSED, VIEWS
from transload.convert.torch.script.ops.containers import find_method, split_unknown
from transload.convert.torch.script.ops.numbers import NUMBER_OPERATORS, apply_operator, apply_to_numbers
from transload.convert.torch.script.poison import POISON, Raised, is_poisoned
from transload.convert.torch.script.registry import IGNORED, Entry
from transload.convert.torch.script.schemas import Schema, find_schema, schema_name
from transload.convert.torch.script.values import (
    Cell,
    Complex,
    Content,
    Dict,
    Future,
    GrowingError,
    List,
    Number,
    Packed,
    Perhaps,
    Quantized,
    Sequence,
    Storage,
    Tensor,
    Vector,
    View,
)
from transload.convert.torch.threads import one_thread
from transload.serialize.errors import TransloadError, UnsupportedError, UnsupportedOperation

METADATA_ONLY = frozenset({"unsqueeze_", "squeeze_", "transpose_", "t_", "swapaxes_", "swapdims_"})
"""In-place operators that change how a tensor is seen, not what its memory holds."""

SHARING = frozenset({"aten::conj_physical", "aten::meshgrid", "aten::meshgrid.indexing"})
"""Operators that may give their arguments' memory although their schemas do not say so."""

DTYPE_ARGUMENTS = frozenset({"dtype", "out_dtype", "output_dtype"})


class Interpreter:
    """Runs graphs.

    Args:
        builder: Where nodes go.
        attribute: Gives an attribute of a module: `attribute(interpreter, module, name)`.
    """

    def __init__(self, builder: Builder, attributes: Any) -> None:
        self.b = builder
        self.journal = Journal()
        self.attributes = attributes
        self.failures: dict[tuple[str, str], UnsupportedOperation] = {}
        self.first_failure: BaseException | None = None
        self.unfolding: list[str] = []
        self.programs: dict[Any, Any] = {}
        self.node: Any = None
        self.shares = False
        self._views: dict[tuple[int, int], tuple[Content, View, Content]] = {}

    # Graphs

    def call(self, graph: Any, args: tuple[Any, ...]) -> Any:
        """Run a graph on values; gives what it returns."""
        env = {value.debugName(): arg for value, arg in zip(graph.inputs(), args, strict=True)}
        outputs = self.run_block(graph, env)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def run_block(self, block: Any, env: dict[str, Any]) -> list[Any]:
        """Run the nodes of a block, then give its outputs."""
        for node in block.nodes():
            self.run_node(node, env)
        return [env[value.debugName()] for value in block.outputs()]

    def run_node(self, node: Any, env: dict[str, Any]) -> None:
        """Run one node. An operation without translation is recorded, and its outputs are poison."""
        former = self.node, self.b.location
        self.node = node
        self.b.location = short_location(node) or self.b.location
        self.b.scope = ""
        name = schema_name(node.schema())
        if "::" not in name:
            name = node.kind()
        try:
            results = self._results(node, name, env)
        except (Raised, GrowingError, RecursionError, MemoryError):
            raise
        # A translation may stumble over anything in what was meant for torch; that is a refusal with a place.
        except Exception as error:
            self._fail(name, node, error)
            results = [POISON] * node.outputsSize()
        finally:
            self.node, self.b.location = former
        for value, result in zip(node.outputs(), results, strict=True):
            env[value.debugName()] = result
            self._note_tap(value, result)

    def _note_tap(self, value: Any, result: Any) -> None:
        """Take down which value of the IR an ONNX node of the main graph gives, for `transload debug`."""
        content = result.storage.content if isinstance(result, Tensor) else None
        if isinstance(result, Tensor) and result.content and content is not None:
            content = self._views.get((id(content), id(result.content[-1])), (None, None, None))[2]
        maker = content.producer() if isinstance(content, ir.Value) else None
        if maker is not None and maker.graph is self.b.graph and maker.outputs[0] is content:
            # The last name wins: those of values inside of branches come first, and nothing shows them.
            maker.metadata_props[TAP_KEY] = value.debugName()

    def _results(self, node: Any, name: str, env: dict[str, Any]) -> list[Any]:
        from transload.convert.torch.script.ops.language import STATEMENTS

        kind = node.kind()
        if kind in STATEMENTS:
            return list(STATEMENTS[kind](self, node, env))
        inputs = [env[value.debugName()] for value in node.inputs()]
        if any(is_poisoned(value) for value in inputs):
            if not decompose.is_translatable(name):
                raise UnsupportedError(REFUSED.get(name, "no translation"))
            return [POISON] * node.outputsSize()
        result = self.apply(name, *inputs)
        if node.outputsSize() == 1:
            return [result]
        items: Any = result.content if isinstance(result, List) else result
        return [] if node.outputsSize() == 0 else list(items)

    def _fail(self, name: str, node: Any, error: Exception) -> None:
        if isinstance(error, UnsupportedError) and error.operations:
            operations = error.operations
        else:
            reason = error.what if isinstance(error, TransloadError) else f"{type(error).__name__}: {error}"
            operations = (UnsupportedOperation(name, describe_location(node), reason),)
        self.first_failure = self.first_failure or error
        for operation in operations:
            self.failures.setdefault((operation.name, operation.location), operation)

    def note_assertion(self, node: Any) -> None:
        """Take down that a check of the program is not part of the graph."""
        self.b.note(f"A check of the program is not part of the package: {describe_location(node)}.")

    # Operators

    def apply(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Apply an operator, by its full name, to TorchScript values.

        Raises:
            UnsupportedError: it has no translation, or not for these arguments.
        """
        base = name.partition("::")[2].partition(".")[0]
        if base in ("__is__", "__isnot__") and len(args) == 2:
            same = _are_same(self.b, *args)
            return same if base == "__is__" else apply_to_numbers(self.b, "__not__", same)
        if any(isinstance(arg, Perhaps) for arg in args):
            raise UnsupportedError("A value is given that is None or not, depending on the data.")
        if (method := find_method(base, args)) is not None:
            return method(self, *args)
        if (entry := RAW.get(name)) is not None:
            schema = find_schema(name)
            bound = schema.bind(args, kwargs)
            return entry.function(self, **{key: bound[key] for key in entry.parameters if key in bound})
        if base in NUMBER_OPERATORS and not any(isinstance(arg, Tensor | List | Dict) for arg in args):
            return apply_operator(self.b, find_schema(name), *args)
        if name in REFUSED:
            raise UnsupportedError(REFUSED[name])
        schema = find_schema(name)
        bound = self.bind(schema, args, kwargs)
        if base.endswith("_") and (not base.endswith("__") or base.startswith("__i")):
            functional = base.replace("__i", "__", 1) if base.endswith("__") else base[:-1]
            return self._apply_in_place(name.replace(base, functional, 1), base, bound)
        if name in VIEWS:
            return self._apply_view(schema, bound)
        if schema.changes:
            raise UnsupportedError("Results written to an `out` argument or other arguments are not translated.")
        contents = self.contents(bound)
        self.shares = schema.shares or name in SHARING
        result = self.wrap(self.compute(schema, contents))
        if self.shares:
            self._link(result, bound.values())
        return result

    def _link(self, result: Any, arguments: Iterable[Any]) -> None:
        """Take down that tensors of a result may be the memory of arguments."""
        for tensor in find_tensors(result):
            for other in find_tensors(tuple(arguments)):
                self.journal.link(tensor.storage, other.storage)

    def bind(self, schema: Schema, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name, with defaults, dtypes as `ir.DataType`, without those that say nothing about values."""
        bound = schema.bind(args, kwargs)
        for name in IGNORED & bound.keys():
            del bound[name]
        for name in DTYPE_ARGUMENTS & bound.keys():
            value = bound[name]
            # ir.DataType is an int too.
            if type(value) is int:
                value = scalar_type(value)
            if isinstance(value, torch.dtype):
                bound[name] = to_onnx(value)
        return bound

    def compute(self, schema: Schema, arguments: dict[str, Any]) -> Any:
        """Apply an operator that changes nothing to contents: `ir.Value`, `Complex`, numbers, lists of these."""
        folded = self._fold(schema, arguments)
        if folded is not None:
            return folded
        tensors = list(_leaves(arguments.values()))
        if any(isinstance(tensor, Quantized) for tensor in tensors):
            from transload.convert.torch.script.ops.quantized import compute_quantized

            return compute_quantized(self, schema, arguments)
        if any(isinstance(tensor, Complex) for tensor in tensors):
            if (entry := COMPLEX.get(schema.name)) is not None:
                return self._call(entry, schema, arguments)
            if schema.name in BY_PARTS:
                return self._by_parts(schema, arguments)
        elif (entry := OPERATORS.get(schema.name)) is not None:
            result = self._call(entry, schema, arguments)
            if result is not NotImplemented:
                return result
        return decompose.apply(self, schema, arguments)

    def _call(self, entry: Entry, schema: Schema, arguments: dict[str, Any]) -> Any:
        if unknown := [
            argument.name
            for argument in schema.arguments
            if argument.name in arguments
            and argument.name not in entry.parameters
            and not (argument.has_default and _is_same(arguments[argument.name], argument.default))
        ]:
            raise UnsupportedError(f"The argument {unknown[0]!r} is not translated.")
        return entry.function(self.b, **{key: arguments[key] for key in entry.parameters if key in arguments})

    def _by_parts(self, schema: Schema, arguments: dict[str, Any]) -> Any:
        """Apply an operator that treats real and imaginary parts alike to each."""

        def part(name: str, value: Any) -> Any:
            if isinstance(value, Complex):
                return getattr(value, name)
            if isinstance(value, list):
                whole = any(isinstance(item, Complex) for item in value)
                return [part(name, self.b.complex(item) if whole else item) for item in value]
            return value

        parts = [
            self.compute(schema, {key: part(name, value) for key, value in arguments.items()})
            for name in ("real", "imag")
        ]
        if isinstance(parts[0], list | tuple):
            return type(parts[0])(Complex(*pair) for pair in zip(*parts, strict=True))
        return Complex(*parts)

    def _fold(self, schema: Schema, arguments: dict[str, Any]) -> Any:
        """The result, computed by torch, where all arguments are known and small; otherwise None."""
        found = False

        def known(value: Any) -> Any:
            nonlocal found
            match value:
                case ir.Value():
                    found = True
                    tensor = self.b.known(value)
                    if tensor is None:
                        raise _UnknownError
                    return tensor
                case ir.DataType():
                    from transload.convert.torch.script.dtypes import TO_TORCH

                    return TO_TORCH[value]
                case list() | tuple():
                    return [known(item) for item in value]
                case Number() | Complex() | Quantized() | Sequence() | Vector():
                    raise _UnknownError
                case _:
                    return value

        try:
            plain = {key: known(value) for key, value in arguments.items()}
        except _UnknownError:
            return None
        if not found or schema.is_random:
            return None
        with torch.no_grad(), one_thread():
            result = schema.operator(**plain)
        self.shares |= _share_memory(result, plain.values())
        return None if _is_large(result) else self._unfold(result)

    def _unfold(self, result: Any) -> Any:
        match result:
            case torch.Tensor():
                if result.is_complex():
                    return Complex(self.b.constant(result.real), self.b.constant(result.imag))
                return self.b.constant(result)
            case list() | tuple():
                return (
                    type(result)(self._unfold(item) for item in result)
                    if type(result) in (list, tuple)
                    else tuple(self._unfold(item) for item in result)
                )
            case _:
                return result

    # Tensors

    def wrap(self, result: Any) -> Any:
        """TorchScript values from what a handler gave."""
        match result:
            case ir.Value() | Complex() | Quantized() | Packed():
                return Tensor(Storage(result))
            case list():
                return List([self.wrap(item) for item in result])
            case tuple():
                return tuple(self.wrap(item) for item in result)
            case Sequence() | Vector():
                return List(result)
            case _:
                return result

    def contents(self, value: Any) -> Any:
        """What handlers get for a TorchScript value."""
        match value:
            case Tensor():
                return self.read(value)
            case List():
                content = value.content
                return [self.contents(item) for item in content] if isinstance(content, list) else content
            case dict():
                return {key: self.contents(item) for key, item in value.items()}
            case tuple() if type(value) is tuple:
                return tuple(self.contents(item) for item in value)
            case list():
                return [self.contents(item) for item in value]
            case Future():
                return self.contents(value.value)
            case Perhaps():
                raise UnsupportedError("A value is given that is None or not, depending on the data.")
            case _:
                return value

    def read(self, tensor: Tensor) -> Content:
        """What a tensor holds now."""
        content: Content = tensor.storage.content
        for view in tensor.content:
            content = self._through(view, content)
        return content

    def value(self, tensor: Tensor) -> ir.Value:
        """What a real tensor holds now.

        Raises:
            UnsupportedError: it is complex or quantized.
        """
        content = self.read(tensor)
        if not isinstance(content, ir.Value):
            raise UnsupportedError(f"A {type(content).__name__.lower()} tensor is not translated here.")
        return content

    def write(self, tensor: Tensor, content: Content) -> None:
        """Change what a tensor holds, and with it every tensor that shares its memory."""
        whole = tensor.storage.content
        bases: list[Content] = [whole]
        for view in tensor.content[:-1]:
            bases.append(self._through(view, bases[-1]))
        for view, base in zip(reversed(tensor.content), reversed(bases), strict=False):
            content = self._put_back(view, base, content)
        self.journal.write(tensor.storage, content)

    def _through(self, view: View, content: Content) -> Content:
        key = id(content), id(view)
        if key in self._views:
            former, seen, result = self._views[key]
            if former is content and seen is view and self._is_visible(result):
                return result
        arguments = {key: value for key, value in view.arguments.items() if key != "part"}
        result = self.compute(find_schema(view.operator), {**arguments, "self": content})
        if "part" in view.arguments:
            result = result[view.arguments["part"]]
        self._views[key] = content, view, result
        return result

    def _is_visible(self, content: Content) -> bool:
        if isinstance(content, Complex):
            return self.b.is_visible(content.real) and self.b.is_visible(content.imag)
        if isinstance(content, Packed):
            return self.b.is_visible(content.padded)
        return self.b.is_visible(content.value if isinstance(content, Quantized) else content)

    def _put_back(self, view: View, base: Content, part: Content) -> Content:
        arguments = {key: value for key, value in view.arguments.items() if key != "self"}
        write = functools.partial(VIEWS[view.operator], self.b, **arguments)
        if isinstance(base, Complex):
            whole = self.b.complex(part)  # type: ignore[arg-type]
            return Complex(write(base.real, whole.real), write(base.imag, whole.imag))
        result: Content = write(base, part)
        return result

    def _apply_view(self, schema: Schema, bound: dict[str, Any]) -> Any:
        tensor = bound.pop("self")
        arguments = self.contents(bound)
        if schema.name in COPYING and not self._is_contiguous(tensor):
            copy = self.wrap(self.compute(schema, {**arguments, "self": self.read(tensor)}))
            self.journal.link(copy.storage, tensor.storage)
            return copy
        view = View(schema.name, arguments)
        base = self.read(tensor)
        if schema.name in ("aten::unbind.int", "aten::split.Tensor") and isinstance(base, ir.Value):
            parts = split_unknown(self.b, schema.name, base, **arguments)
            if parts is not None:
                # A change to the whole would have to reach the parts.
                self.journal.hold(tensor.storage)
                return List(parts)
        result = self.compute(schema, {**arguments, "self": base})
        if isinstance(result, list | tuple):
            tensors = []
            for index, content in enumerate(result):
                each = View(schema.name, {**arguments, "part": index})
                self._views[id(base), id(each)] = base, each, content
                tensors.append(Tensor(tensor.storage, (*tensor.content, each)))
            return List(tensors) if isinstance(result, list) else tuple(tensors)
        self._views[id(base), id(view)] = base, view, result
        return Tensor(tensor.storage, (*tensor.content, view))

    def _is_contiguous(self, tensor: Tensor) -> bool:
        """Whether a tensor is surely contiguous, so that reshaping it makes a view."""
        first = tensor.storage.first
        if not isinstance(first, ir.Value) or any(view.operator not in _CONTIGUOUS for view in tensor.content):
            return False
        node = first.producer()
        if node is None:
            # What a loop carries has no producer either, and belongs to the loop's body.
            return first.graph is None or first.graph is self.b.graph
        return node.op_type in ("ConstantOfShape", "Range")

    def _apply_in_place(self, functional: str, base: str, bound: dict[str, Any]) -> Any:
        tensor = bound["self"]
        if base in METADATA_ONLY:
            seen = self._apply_view(find_schema(functional), dict(bound))
            self.journal.write(tensor, seen.content)
            return tensor
        before = self.read(tensor)
        schema = find_schema(functional)
        bound = self.bind(schema, (), bound)
        content = self.compute(schema, self.contents(bound))
        self.write(tensor, self._like(content, before))
        return tensor

    def _like(self, content: Any, before: Content) -> Content:
        """A result in the dtype and shape of the tensor that it is written to."""
        if isinstance(before, Complex):
            whole = self.b.complex(content)
            return Complex(self._fit(whole.real, before.real), self._fit(whole.imag, before.imag))
        assert isinstance(before, ir.Value) and isinstance(content, ir.Value)
        return self._fit(content, before)

    def _fit(self, content: ir.Value, before: ir.Value) -> ir.Value:
        assert before.dtype is not None
        content = self.b.cast(content, before.dtype)
        if content.shape is not None and before.shape is not None and content.shape.rank() < before.shape.rank():
            content = self.b.expand(content, self.b.sizes(before))
        return content


def _are_same(b: Builder, one: Any, other: Any) -> Any:
    """Python's `is`."""
    if isinstance(one, Perhaps) and other is None:
        return apply_to_numbers(b, "__not__", one.present)
    if isinstance(other, Perhaps):
        return _are_same(b, other, one)
    if one is not other and all(isinstance(each, Cell) and each.maybe for each in (one, other)):
        raise UnsupportedError("Whether two values are the same object depends on the data.")
    return one is other


class _UnknownError(Exception):
    """An argument is not known."""


COPYING = frozenset(
    {"aten::reshape", "aten::reshape_as", "aten::contiguous", "aten::flatten.using_ints", "aten::ravel"}
)
"""Operators that give a view of a contiguous tensor, and a copy of some others."""

_CONTIGUOUS = frozenset(
    {
        "aten::view",
        "aten::reshape",
        "aten::unsqueeze",
        "aten::squeeze",
        "aten::flatten.using_ints",
        "aten::squeeze.dim",
        "aten::view_as",
        "aten::alias",
        "aten::detach",
        "aten::unflatten.int",
    }
)


def _is_large(result: Any) -> bool:
    if isinstance(result, torch.Tensor):
        return result.numel() > 16 * FOLD_ELEMENTS
    return isinstance(result, list | tuple) and any(_is_large(item) for item in result)


def _is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


def _share_memory(result: Any, arguments: Iterable[Any]) -> bool:
    """Whether a tensor of a result has the memory of an argument."""
    used = {each.untyped_storage().data_ptr() for each in _leaves(arguments) if isinstance(each, torch.Tensor)}
    return any(
        each.untyped_storage().data_ptr() in used for each in _leaves([result]) if isinstance(each, torch.Tensor)
    )


def find_tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in lists and tuples of known length."""
    match value:
        case Tensor():
            yield value
        case List(content=list() as items) | (tuple() as items):
            for item in items:
                yield from find_tensors(item)


def _leaves(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value
