"""Lists, dicts and strings: known in Python while their length is; ONNX sequences and vectors after that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.dtypes import NUMBER_DTYPE
from transload.convert.torch.script.ops.numbers import apply_to_numbers
from transload.convert.torch.script.values import (
    Dict,
    EnumMember,
    Growing,
    GrowingError,
    List,
    Number,
    Sequence,
    Stacked,
    Storage,
    Tensor,
    Text,
    Vector,
)
from transload.serialize.errors import UnsupportedError

Method = Callable[..., Any]

LIST_METHODS: dict[str, Method] = {}
DICT_METHODS: dict[str, Method] = {}
STRING_METHODS: dict[str, Method] = {}
"""By base name: `function(interpreter, receiver, *arguments)`, arguments in the schema's order."""


def method(table: dict[str, Method], *names: str) -> Callable[[Method], Method]:
    """Register a method of lists, dicts or strings."""

    def register(function: Method) -> Method:
        for name in names:
            table[name] = function
        return function

    return register


def find_method(base: str, args: tuple[Any, ...]) -> Method | None:
    """The method that an operator means where its receiver is a list, dict or string."""
    if not args:
        return None
    if any(isinstance(arg, Text) for arg in args):
        return _with_text if base in ("add", "format", "percentFormat", "str") else _ask_text
    match args[0]:
        case List():
            return LIST_METHODS.get(base)
        case Dict():
            return DICT_METHODS.get(base)
        case str():
            return STRING_METHODS.get(base)
        case int() | Number() if base == "mul" and isinstance(args[1], List):
            return _repeat
        case tuple() if base == "len":
            return _length
        case _ if base == "str":
            return _to_text
        case _:
            return None


def items(value: List, what: str = "This") -> list[Any]:
    """The items of a list whose length is known.

    Raises:
        UnsupportedError: its length depends on the data.
    """
    if not isinstance(value.content, list):
        raise UnsupportedError(f"{what} needs a list whose length does not depend on the data.")
    return value.content


def dict_key(key: Any) -> Any:
    """A key as Python's dict takes it.

    Raises:
        UnsupportedError: it depends on the data.
    """
    if isinstance(key, str | int | float | bool | EnumMember):
        return key
    raise UnsupportedError("The key of a dict depends on the data.")


def number_list(interpreter: Any, value: Any, kind: type) -> Vector:
    """A list of numbers as a vector."""
    if isinstance(value, List):
        value = value.content
    if isinstance(value, Vector):
        return value
    b = interpreter.b
    dtype = NUMBER_DTYPE[kind]
    if all(not isinstance(item, Number) for item in value):
        return Vector(b.constant([kind(item) for item in value], dtype), kind)
    return Vector(b.Concat(*[b.Reshape(b.scalar(item, dtype), [1]) for item in value], axis=0), kind)


def tensor_sequence(interpreter: Any, value: Any) -> Sequence:
    """A list of tensors, at least one, as a sequence."""
    if isinstance(value, List):
        value = value.content
    if isinstance(value, Sequence):
        return value
    for item in value:
        interpreter.journal.hold(item.storage)
    return Sequence(interpreter.b.SequenceConstruct(*[interpreter.value(item) for item in value]))


def as_dynamic(interpreter: Any, value: List, like: Any) -> Sequence | Vector:
    """A list as one whose length depends on the data, of items such as `like`."""
    content = value.content
    if not isinstance(content, list):
        return content
    sample = content[0] if content else like
    if isinstance(sample, Tensor):
        if content:
            return tensor_sequence(interpreter, content)
        dtype = interpreter.value(sample).dtype
        return Sequence(interpreter.b.SequenceEmpty(dtype=dtype))
    return number_list(interpreter, content, sample.kind if isinstance(sample, Number) else type(sample))


def stacked(b: Any, stack: ir.Value) -> Stacked:
    """The slices of a tensor along its first axis as a list."""

    def split() -> ir.Value:
        sequence: ir.Value = b.SplitToSequence(stack, axis=0, keepdims=0)
        assert stack.shape is not None
        sequence.shape = ir.Shape(list(stack.shape)[1:])
        return sequence

    return Stacked(stack, lambda: b.once(("split", stack), split))


def split_unknown(b: Any, name: str, value: ir.Value, dim: int = 0, split_size: Any = None) -> Sequence | None:
    """The parts that unbind or split make, where their number depends on the inputs; otherwise None."""
    axis = b.axis(value, dim)
    if b.rank(value) == 0 or (b.dim(value, axis) is not None and not isinstance(split_size, Number)):
        return None
    if name == "aten::unbind.int":
        order = [axis, *(each for each in range(b.rank(value)) if each != axis)]
        return stacked(b, b.Transpose(value, perm=order) if axis else value)
    sequence = b.SplitToSequence(value, b.scalar(split_size, ir.DataType.INT64), axis=axis)
    assert value.shape is not None
    sequence.shape = ir.Shape([None if at == axis else size for at, size in enumerate(value.shape)])
    return Sequence(sequence)


def append_item(interpreter: Any, content: Sequence | Vector, item: Any) -> Sequence | Vector:
    """A list of unknown length with one more item."""
    b = interpreter.b
    if isinstance(content, Sequence):
        interpreter.journal.hold(item.storage)
        return Sequence(b.SequenceInsert(content.value, interpreter.value(item)))
    last = b.Reshape(b.scalar(item, NUMBER_DTYPE[content.kind]), [1])
    return Vector(b.Concat(content.value, last, axis=0), content.kind)


def get_item(interpreter: Any, content: Sequence | Vector, index: Any) -> Any:
    """An item of a list of unknown length."""
    b = interpreter.b
    position = b.scalar(index, ir.DataType.INT64)
    if isinstance(content, Sequence):
        taken = (
            b.Gather(content.stack, position, axis=0)
            if isinstance(content, Stacked)
            else b.SequenceAt(content.value, position)
        )
        item = Tensor(Storage(taken))
        interpreter.journal.hold(item.storage)
        return item
    return Number(b.Gather(content.value, position), content.kind)


def tensor_to_list(interpreter: Any, tensor: Tensor, dim: int, kind: type) -> Any:
    """`Tensor.tolist()`: a number, or nested lists where the sizes are known."""
    b = interpreter.b
    value = interpreter.value(tensor)
    if dim == 0:
        return b.number(value, kind)
    known = b.known(value)
    if known is not None:
        return _nested(known.tolist())
    if dim == 1:
        return List(Vector(b.cast(value, NUMBER_DTYPE[kind]), kind))
    size = b.dim(value, 0)
    if size is None:
        raise UnsupportedError("tolist gives nested lists whose lengths depend on the data.")
    rows = interpreter.apply("aten::unbind.int", tensor, 0)
    return List([tensor_to_list(interpreter, row, dim - 1, kind) for row in rows.content])


def _nested(value: Any) -> Any:
    return List([_nested(item) for item in value]) if isinstance(value, list) else value


def reduce_list(interpreter: Any, base: str, value: List) -> Any:
    """min or max over a list of numbers."""
    content = value.content
    if isinstance(content, Vector):
        b = interpreter.b
        name = {"min": "ReduceMin", "max": "ReduceMax"}[base]
        return Number(getattr(b, name)(content.value, keepdims=0), content.kind)
    result = items(value)[0]
    for item in items(value)[1:]:
        result = apply_to_numbers(interpreter.b, base, result, item)
    return result


def _joined(interpreter: Any, one: List, other: List) -> List:
    left, right = one.content, other.content
    if isinstance(left, list) and isinstance(right, list):
        return List([*left, *right])
    if isinstance(right, list):
        for item in right:
            assert not isinstance(left, list)
            left = append_item(interpreter, left, item)
        return List(left)
    if not left:
        return List(right)
    dynamic = as_dynamic(interpreter, one, None)
    if isinstance(dynamic, Vector) and isinstance(right, Vector):
        return List(Vector(interpreter.b.Concat(dynamic.value, right.value, axis=0), dynamic.kind))
    raise UnsupportedError("Lists of tensors are joined whose lengths depend on the data.")


@method(LIST_METHODS, "append")
def _append(interpreter: Any, self: List, item: Any) -> List:
    if isinstance(self.raw, Growing):
        if self.raw.depth != interpreter.journal.depth:
            raise GrowingError(self)
        if isinstance(item, Tensor):
            interpreter.journal.hold(item.storage)
        self.raw.items.append(item)
        return self
    content = self.content
    new = [*content, item] if isinstance(content, list) else append_item(interpreter, content, item)
    interpreter.journal.write(self, new)
    return self


@method(LIST_METHODS, "extend", "add_")
def _extend(interpreter: Any, self: List, other: List) -> List:
    interpreter.journal.write(self, _joined(interpreter, self, other).content)
    return self


LIST_METHODS["add"] = _joined


@method(LIST_METHODS, "mul")
def _repeat(interpreter: Any, one: Any, other: Any) -> List:
    value, count = (one, other) if isinstance(one, List) else (other, one)
    if isinstance(count, int) and isinstance(value.content, list):
        return List(value.content * count)
    content = as_dynamic(interpreter, value, None)
    if isinstance(content, Vector):
        repeats = interpreter.b.as_vector(interpreter.b.scalar(count, ir.DataType.INT64))
        return List(Vector(interpreter.b.Tile(content.value, repeats), content.kind))
    raise UnsupportedError("A list of tensors is repeated as often as the data says.")


@method(LIST_METHODS, "len")
@method(DICT_METHODS, "len")
@method(STRING_METHODS, "len")
def _length(interpreter: Any, value: Any) -> Any:
    match value:
        case List(content=Stacked(stack=stack)):
            return interpreter.b.size(stack, 0)
        case List(content=Sequence(value=sequence)):
            return Number(interpreter.b.SequenceLength(sequence), int)
        case List(content=Vector(value=vector)):
            return interpreter.b.size(vector, 0)
        case List(content=list() as content) | Dict(content=dict() as content):
            return len(content)
        case _:
            return len(value)


@method(LIST_METHODS, "__getitem__")
def _get(interpreter: Any, self: List, index: Any) -> Any:
    content = self.content
    if not isinstance(content, list):
        return get_item(interpreter, content, index)
    if isinstance(index, int):
        return content[index]
    return get_item(interpreter, as_dynamic(interpreter, self, None), index)


@method(LIST_METHODS, "_set_item")
def _set(interpreter: Any, self: List, index: Any, item: Any) -> List:
    content, b = self.content, interpreter.b
    if isinstance(content, list) and isinstance(index, int):
        new = list(content)
        new[index] = item
        interpreter.journal.write(self, new)
        return self
    dynamic = as_dynamic(interpreter, self, item)
    if isinstance(dynamic, Sequence):
        position = b.scalar(index, ir.DataType.INT64)
        erased = b.SequenceErase(dynamic.value, position)
        # After the erasure, a place counted from the end is one less.
        length = b.SequenceLength(dynamic.value)
        place = b.Where(b.Less(position, 0), b.Add(position, length), position)
        interpreter.journal.write(self, Sequence(b.SequenceInsert(erased, interpreter.value(item), place)))
        return self
    position = b.as_vector(b.scalar(index, ir.DataType.INT64))
    update = b.Reshape(b.scalar(item, NUMBER_DTYPE[dynamic.kind]), [1])
    interpreter.journal.write(self, Vector(b.ScatterElements(dynamic.value, position, update), dynamic.kind))
    return self


@method(LIST_METHODS, "pop")
def _pop(interpreter: Any, self: List, index: Any = -1) -> Any:
    content, b = self.content, interpreter.b
    if isinstance(content, list) and isinstance(index, int):
        item = content[index]
        new = list(content)
        del new[index]
        interpreter.journal.write(self, new)
        return item
    dynamic = as_dynamic(interpreter, self, None)
    item = get_item(interpreter, dynamic, index)
    if isinstance(dynamic, Sequence):
        rest = Sequence(b.SequenceErase(dynamic.value, b.scalar(index, ir.DataType.INT64)))
        interpreter.journal.write(self, rest)
        return item
    if index == -1 or index == 0:
        part = b.Slice(dynamic.value, [0], [-1]) if index else b.Slice(dynamic.value, [1], [2**62])
        interpreter.journal.write(self, Vector(part, dynamic.kind))
        return item
    raise UnsupportedError("A number is taken out of the middle of a list whose length depends on the data.")


@method(LIST_METHODS, "Delete")
def _delete(interpreter: Any, self: List, index: Any) -> None:
    _pop(interpreter, self, index)


@method(LIST_METHODS, "insert")
def _insert(interpreter: Any, self: List, index: Any, item: Any) -> None:
    content = self.content
    if isinstance(content, list) and isinstance(index, int):
        new = list(content)
        new.insert(index, item)
        interpreter.journal.write(self, new)
        return
    dynamic = as_dynamic(interpreter, self, item)
    if not isinstance(dynamic, Sequence):
        raise UnsupportedError("A number is inserted into a list whose length depends on the data.")
    position = interpreter.b.scalar(index, ir.DataType.INT64)
    value = interpreter.b.SequenceInsert(dynamic.value, interpreter.value(item), position)
    interpreter.journal.write(self, Sequence(value))


@method(LIST_METHODS, "clear")
def _clear(interpreter: Any, self: List) -> None:
    interpreter.journal.write(self, [])


@method(LIST_METHODS, "reverse")
def _reverse(interpreter: Any, self: List) -> None:
    if isinstance(self.content, Stacked):
        stack, b = self.content.stack, interpreter.b
        interpreter.journal.write(self, stacked(b, b.Slice(stack, [-1], [-(2**62)], [0], [-1])))
        return
    interpreter.journal.write(self, items(self, "reverse")[::-1])


@method(LIST_METHODS, "copy", "list")
def _copy(interpreter: Any, self: List) -> List:
    return List(list(self.content) if isinstance(self.content, list) else self.content)


@method(LIST_METHODS, "slice")
def _slice(interpreter: Any, self: List, start: Any, end: Any, step: Any) -> List:
    content = self.content
    if isinstance(content, list) and not any(isinstance(each, Number) for each in (start, end, step)):
        return List(content[slice(start, end, step)])
    dynamic = as_dynamic(interpreter, self, None)
    if isinstance(dynamic, Vector):
        return List(Vector(_slice_rows(interpreter, dynamic.value, start, end, step), dynamic.kind))
    if isinstance(dynamic, Stacked):
        return List(stacked(interpreter.b, _slice_rows(interpreter, dynamic.stack, start, end, step)))
    raise UnsupportedError("A part of a list of tensors is taken that depends on the data.")


def _slice_rows(interpreter: Any, rows: ir.Value, start: Any, end: Any, step: Any) -> ir.Value:
    """Python's slice of rows. Tensors have no slices backwards, lists do."""
    if not isinstance(step, int) or step > 0:
        whole = Tensor(Storage(rows))
        part: ir.Value = interpreter.value(interpreter.apply("aten::slice.Tensor", whole, 0, start, end, step))
        return part
    if not (start is None or (isinstance(start, int) and start >= 0)) or not (end is None or isinstance(end, int)):
        # ONNX begins at the first element where Python begins before it, and gives nothing.
        raise UnsupportedError("A part of a list is taken backwards from a place that is not known.")
    first, last = -1 if start is None else start, -(2**62) if end is None else end
    backwards: ir.Value = interpreter.b.Slice(rows, [first], [last], [0], [step])
    return backwards


@method(LIST_METHODS, "sort")
def _sort(interpreter: Any, self: List, reverse: bool = False) -> None:
    interpreter.journal.write(self, sorted(known_numbers(self), reverse=reverse))


@method(LIST_METHODS, "sorted")
def _sorted(interpreter: Any, self: List) -> List:
    return List(sorted(known_numbers(self)))


@method(LIST_METHODS, "index")
def _index(interpreter: Any, self: List, item: Any) -> int:
    return known_numbers(self).index(item)


@method(LIST_METHODS, "count")
def _count(interpreter: Any, self: List, item: Any) -> int:
    return known_numbers(self).count(item)


@method(LIST_METHODS, "remove")
def _remove(interpreter: Any, self: List, item: Any) -> None:
    new = list(known_numbers(self))
    new.remove(item)
    interpreter.journal.write(self, new)


def known_numbers(value: List) -> list[Any]:
    """The items of a list of numbers or strings, all known.

    Raises:
        UnsupportedError: one depends on the data.
    """
    found = items(value)
    if any(isinstance(item, Number | Tensor) for item in found):
        raise UnsupportedError("This needs a list of numbers that do not depend on the data.")
    return found


@method(LIST_METHODS, "__contains__")
def _contains(interpreter: Any, self: List, item: Any) -> Any:
    found: Any = False
    if any(isinstance(each, Text | Tensor) for each in items(self)):
        raise UnsupportedError("A list of tensors, or of strings that depend on the data, is searched.")
    if isinstance(item, Number) or any(isinstance(each, Number) for each in items(self)):
        for each in items(self):
            same = apply_to_numbers(interpreter.b, "eq", each, item)
            found = apply_to_numbers(interpreter.b, "__or__", found, same)
        return found
    return item in items(self)


def _equal_lists(interpreter: Any, one: List, other: List) -> Any:
    left, right = items(one), items(other)
    if len(left) != len(right):
        return False
    result: Any = True
    for pair in zip(left, right, strict=True):
        same = apply_to_numbers(interpreter.b, "eq", *pair)
        if same is False:
            return False
        result = same if result is True else apply_to_numbers(interpreter.b, "__and__", result, same)
    return result


LIST_METHODS["eq"] = _equal_lists
LIST_METHODS["ne"] = lambda interpreter, one, other: apply_to_numbers(
    interpreter.b, "__not__", _equal_lists(interpreter, one, other)
)


@method(LIST_METHODS, "sum")
def _sum(interpreter: Any, self: List) -> Any:
    if isinstance(self.content, Vector):
        return Number(interpreter.b.ReduceSum(self.content.value, keepdims=0), self.content.kind)
    result: Any = 0
    for item in items(self):
        result = apply_to_numbers(interpreter.b, "add", result, item)
    return result


@method(LIST_METHODS, "any")
def _any(interpreter: Any, self: List) -> Any:
    result: Any = False
    for item in items(self):
        result = apply_to_numbers(interpreter.b, "__or__", result, apply_to_numbers(interpreter.b, "Bool", item))
    return result


@method(LIST_METHODS, "all")
def _all(interpreter: Any, self: List) -> Any:
    result: Any = True
    for item in items(self):
        result = apply_to_numbers(interpreter.b, "__and__", result, apply_to_numbers(interpreter.b, "Bool", item))
    return result


LIST_METHODS["min"] = lambda interpreter, value: reduce_list(interpreter, "min", value)
LIST_METHODS["max"] = lambda interpreter, value: reduce_list(interpreter, "max", value)


@method(LIST_METHODS, "dict")
def _dict_from_pairs(interpreter: Any, pairs: List) -> Dict:
    return Dict({dict_key(key): value for key, value in items(pairs)})


@method(DICT_METHODS, "__getitem__")
def _dict_get(interpreter: Any, self: Dict, key: Any) -> Any:
    return self.content[dict_key(key)]


@method(DICT_METHODS, "get")
def _dict_find(interpreter: Any, self: Dict, key: Any, default: Any = None) -> Any:
    return self.content.get(dict_key(key), default)


@method(DICT_METHODS, "_set_item")
def _dict_set(interpreter: Any, self: Dict, key: Any, value: Any) -> None:
    interpreter.journal.write(self, {**self.content, dict_key(key): value})


@method(DICT_METHODS, "setdefault")
def _dict_default(interpreter: Any, self: Dict, key: Any, value: Any) -> Any:
    if dict_key(key) not in self.content:
        _dict_set(interpreter, self, key, value)
    return self.content[key]


@method(DICT_METHODS, "pop")
def _dict_pop(interpreter: Any, self: Dict, key: Any, *default: Any) -> Any:
    new = dict(self.content)
    value = new.pop(dict_key(key), *default)
    interpreter.journal.write(self, new)
    return value


@method(DICT_METHODS, "popitem")
def _dict_pop_item(interpreter: Any, self: Dict) -> Any:
    key = list(self.content)[-1]
    return key, _dict_pop(interpreter, self, key)


@method(DICT_METHODS, "Delete")
def _dict_delete(interpreter: Any, self: Dict, key: Any) -> None:
    _dict_pop(interpreter, self, key)


@method(DICT_METHODS, "clear")
def _dict_clear(interpreter: Any, self: Dict) -> None:
    interpreter.journal.write(self, {})


@method(DICT_METHODS, "update")
def _dict_update(interpreter: Any, self: Dict, other: Dict) -> None:
    interpreter.journal.write(self, {**self.content, **other.content})


@method(DICT_METHODS, "copy", "dict")
def _dict_copy(interpreter: Any, self: Dict) -> Dict:
    return Dict(dict(self.content))


@method(DICT_METHODS, "__contains__")
def _dict_contains(interpreter: Any, self: Dict, key: Any) -> bool:
    return dict_key(key) in self.content


@method(DICT_METHODS, "keys")
def _keys(interpreter: Any, self: Dict) -> List:
    return List(list(self.content))


@method(DICT_METHODS, "values")
def _values(interpreter: Any, self: Dict) -> List:
    return List(list(self.content.values()))


@method(DICT_METHODS, "items")
def _items(interpreter: Any, self: Dict) -> List:
    return List([(key, value) for key, value in self.content.items()])


@method(STRING_METHODS, "format")
def _format(interpreter: Any, self: str, *values: Any) -> str | Text:
    return self.format(*values) if all(map(_is_plain, values)) else Text()


@method(STRING_METHODS, "percentFormat")
def _percent_format(interpreter: Any, self: str, *values: Any) -> str | Text:
    return self % values if all(map(_is_plain, values)) else Text()


def _is_plain(value: Any) -> bool:
    """Whether Python writes a value as TorchScript does."""
    return isinstance(value, str | int)


@method(STRING_METHODS, "join")
def _join(interpreter: Any, self: str, values: List) -> str | Text:
    found = items(values)
    return Text() if any(isinstance(each, Text) for each in found) else self.join(found)


@method(STRING_METHODS, "split")
def _split(interpreter: Any, self: str, separator: str | None = None, limit: int = -1) -> List:
    return List(list(self.split(separator, limit)))


@method(STRING_METHODS, "list")
def _letters(interpreter: Any, self: str) -> List:
    return List(list(self))


@method(STRING_METHODS, "slice")
def _substring(interpreter: Any, self: str, start: Any, end: Any, step: int = 1) -> str:
    return self[slice(start, end, step)]


@method(STRING_METHODS, "find", "index", "count")
def _unsupported_search(interpreter: Any, self: str, *rest: Any) -> int:
    raise UnsupportedError("Searching in strings is not translated.")


def _to_text(interpreter: Any, value: Any) -> str | Text:
    return str(value) if _is_plain(value) else Text()


def _with_text(interpreter: Any, *values: Any) -> Text:
    return Text()


def _ask_text(interpreter: Any, *values: Any) -> None:
    raise UnsupportedError("A string is asked for that depends on the data, or on how a number is written.")


def _plain(function: Callable[..., Any]) -> Method:
    return lambda interpreter, *args: function(*args)


STRING_METHODS |= {
    "lower": _plain(str.lower),
    "upper": _plain(str.upper),
    "strip": _plain(str.strip),
    "replace": _plain(str.replace),
    "startswith": _plain(lambda text, part, *rest: text.startswith(part)),
    "endswith": _plain(lambda text, part, *rest: text.endswith(part)),
    "add": _plain(lambda one, other: one + other),
    "eq": _plain(lambda one, other: one == other),
    "ne": _plain(lambda one, other: one != other),
    "__getitem__": _plain(lambda text, index: text[index]),
    "__contains__": _plain(lambda text, part: part in text),
    "ord": _plain(ord),
    "Int": _plain(int),
    "Float": _plain(float),
}
