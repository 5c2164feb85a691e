"""Views: operators whose result is a part of the tensor's memory, and how a changed part is written back."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import MAX_INT64, Builder, Int
from transload.convert.torch.script.registry import handler, raw_handler, view_writer
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError


@handler("aten::select.int")
def select(b: Builder, self: ir.Value, dim: int, index: Int) -> ir.Value:
    dim = b.axis(self, dim)
    return b.Gather(self, b.scalar(index, ir.DataType.INT64), axis=dim)


@view_writer("aten::select.int")
def write_select(b: Builder, base: ir.Value, part: ir.Value, dim: int, index: Int) -> ir.Value:
    dim = b.axis(base, dim)
    position = b.scalar(index, ir.DataType.INT64)
    if isinstance(index, Number) or index < 0:
        size = b.scalar(b.size(base, dim), ir.DataType.INT64)
        position = b.Where(b.Less(position, 0), b.Add(position, size), position)
    return b.Where(b.Equal(_positions(b, base, dim), position), b.unsqueeze(part, dim), base)


def _positions(b: Builder, base: ir.Value, dim: int) -> ir.Value:
    """0, 1, 2, … along one axis, shaped so that it broadcasts over the tensor."""
    size = b.size(base, dim)
    after = b.rank(base) - dim - 1
    if isinstance(size, int):
        values = b.constant(list(range(size)), ir.DataType.INT64)
    else:
        values = b.Range(b.constant(0), b.scalar(size, ir.DataType.INT64), b.constant(1))
    return b.unsqueeze(values, *range(1, after + 1)) if after else values


@handler("aten::slice.Tensor")
def slice_(
    b: Builder, self: ir.Value, dim: int = 0, start: Int | None = None, end: Int | None = None, step: Int = 1
) -> ir.Value:
    start, end = 0 if start is None else start, MAX_INT64 if end is None else end
    if start == 0 and step == 1 and isinstance(end, int) and end == MAX_INT64:
        return self
    dim = b.axis(self, dim)
    size = b.dim(self, dim)
    if size is not None and start == 0 and step == 1 and isinstance(end, int) and end >= size:
        return self
    result = b.Slice(self, b.int_vector([start]), b.int_vector([end]), [dim], b.int_vector([step]))
    if size is None and start == 0 and step == 1 and isinstance(end, Number) and b.same_size(end, b.size(self, dim)):
        return self
    return result


@view_writer("aten::slice.Tensor")
def write_slice(
    b: Builder,
    base: ir.Value,
    part: ir.Value,
    dim: int = 0,
    start: Int | None = None,
    end: Int | None = None,
    step: Int = 1,
) -> ir.Value:
    dim = b.axis(base, dim)
    start, end = 0 if start is None else start, MAX_INT64 if end is None else end
    if (
        start == 0
        and step == 1
        and isinstance(end, int)
        and (end == MAX_INT64 or end >= (b.dim(base, dim) or MAX_INT64))
    ):
        return b.expand(part, b.sizes(base))
    size = b.size(base, dim)
    all_positions = (
        b.constant(list(range(size)), ir.DataType.INT64)
        if isinstance(size, int)
        else b.Range(b.constant(0), b.scalar(size, ir.DataType.INT64), b.constant(1))
    )
    chosen = b.Slice(all_positions, b.int_vector([start]), b.int_vector([end]), [0], b.int_vector([step]))
    front = b.transpose(base, 0, dim)
    updates = b.transpose(part, 0, dim)
    return b.transpose(b.ScatterND(front, b.unsqueeze(chosen, 1), updates), 0, dim)


@handler("aten::narrow", "aten::narrow_copy", "aten::narrow.Tensor")
def narrow(b: Builder, self: ir.Value, dim: int, start: Any, length: Int) -> ir.Value:
    start, end = _narrow_ends(b, self, dim, start, length)
    return slice_(b, self, dim, start, end)


def _narrow_ends(b: Builder, value: ir.Value, dim: int, start: Any, length: Int) -> tuple[Int, Int]:
    if isinstance(start, ir.Value):
        start = b.number(start, int)
    if isinstance(start, int) and start < 0:
        start = b.add_int(b.size(value, dim), start)
    return start, b.add_int(start, length)


@view_writer("aten::narrow")
def write_narrow(b: Builder, base: ir.Value, part: ir.Value, dim: int, start: Any, length: Int) -> ir.Value:
    start, end = _narrow_ends(b, base, dim, start, length)
    return write_slice(b, base, part, dim, start, end)


# Shapes: what is written back goes the way back


@handler("aten::view", "aten::reshape", "aten::_unsafe_view", "aten::_reshape_alias", "aten::view_copy")
def view(
    b: Builder, self: ir.Value, size: list[Int] | None = None, shape: list[Int] | None = None, stride: Any = None
) -> ir.Value:
    return b.reshape(self, size if size is not None else shape or [])


@handler("aten::view_as", "aten::reshape_as")
def view_as(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return b.reshape(self, b.sizes(other))


@handler("aten::flatten.using_ints")
def flatten(b: Builder, self: ir.Value, start_dim: int = 0, end_dim: int = -1) -> ir.Value:
    rank = b.rank(self)
    if rank == 0:
        return b.reshape(self, [1])
    start, end = b.axis(rank, start_dim), b.axis(rank, end_dim)
    sizes = b.sizes(self)
    middle = sizes[start : end + 1]
    if all(isinstance(size, int) for size in [*sizes[:start], *sizes[end + 1 :]]) or len(middle) == 1:
        product: Int = 1
        for size in middle:
            if isinstance(product, int) and isinstance(size, int):
                product *= size
            else:
                product = -1
                break
        # -1 cannot stand beside a size of zero.
        if product == -1 and 0 in [*sizes[:start], *sizes[end + 1 :]]:
            product = _product(b, middle)
    else:
        product = _product(b, middle)
    return b.reshape(self, [*sizes[:start], product, *sizes[end + 1 :]])


def _product(b: Builder, sizes: list[Int]) -> Int:
    product: Int = 1
    for size in sizes:
        product = b.mul_int(product, size)
    return product


@handler("aten::unflatten.int")
def unflatten(b: Builder, self: ir.Value, dim: int, sizes: list[Int]) -> ir.Value:
    dim = b.axis(self, dim)
    own = b.sizes(self)
    if -1 in [size for size in sizes if isinstance(size, int)]:
        known = _product(b, [size for size in sizes if size != -1])
        missing: Int
        if isinstance(own[dim], int) and isinstance(known, int):
            missing = own[dim] // known  # type: ignore[operator]
        else:
            missing = Number(b.Div(b.scalar(own[dim], ir.DataType.INT64), b.scalar(known, ir.DataType.INT64)), int)
        sizes = [missing if size == -1 else size for size in sizes]
    return b.reshape(self, [*own[:dim], *sizes, *own[dim + 1 :]])


@view_writer(
    "aten::view",
    "aten::reshape",
    "aten::view_as",
    "aten::reshape_as",
    "aten::flatten.using_ints",
    "aten::unflatten.int",
    "aten::squeeze",
    "aten::squeeze.dim",
    "aten::squeeze.dims",
    "aten::unsqueeze",
    "aten::_reshape_alias",
    "aten::ravel",
)
def write_reshaped(b: Builder, base: ir.Value, part: ir.Value, **arguments: Any) -> ir.Value:
    return b.reshape(part, b.sizes(base))


@handler("aten::ravel")
def ravel(b: Builder, self: ir.Value) -> ir.Value:
    return b.reshape(self, [-1]) if b.rank(self) != 1 else self


@handler("aten::unsqueeze", "aten::unsqueeze_copy")
def unsqueeze(b: Builder, self: ir.Value, dim: int) -> ir.Value:
    return b.unsqueeze(self, b.axis(b.rank(self) + 1, dim))


@handler("aten::squeeze", "aten::squeeze_copy")
def squeeze(b: Builder, self: ir.Value) -> ir.Value:
    axes = []
    for axis in range(b.rank(self)):
        size = b.dim(self, axis)
        if size is None:
            raise UnsupportedError(
                "Which dimensions have size 1 depends on the inputs.", hint="Name the dimension in squeeze(dim)."
            )
        if size == 1:
            axes.append(axis)
    return b.squeeze(self, *axes) if axes else self


@handler("aten::squeeze.dim", "aten::squeeze_copy.dim")
def squeeze_dim(b: Builder, self: ir.Value, dim: int) -> ir.Value:
    return squeeze_dims(b, self, [dim])


@handler("aten::squeeze.dims", "aten::squeeze_copy.dims")
def squeeze_dims(b: Builder, self: ir.Value, dim: list[int]) -> ir.Value:
    if b.rank(self) == 0:
        return self
    axes = []
    for axis in sorted({b.axis(self, each) for each in dim}):
        # A dynamic size is taken not to be 1: it has other sizes too, and rank cannot depend on it.
        if b.dim(self, axis) == 1:
            axes.append(axis)
    return b.squeeze(self, *axes) if axes else self


@handler("aten::transpose.int", "aten::transpose_copy.int", "aten::swapaxes", "aten::swapdims")
def transpose(
    b: Builder,
    self: ir.Value,
    dim0: int = 0,
    dim1: int = 1,
    axis0: int | None = None,
    axis1: int | None = None,
) -> ir.Value:
    one, other = dim0 if axis0 is None else axis0, dim1 if axis1 is None else axis1
    return b.transpose(self, b.axis(self, one), b.axis(self, other))


@handler("aten::t", "aten::t_copy")
def t(b: Builder, self: ir.Value) -> ir.Value:
    return self if b.rank(self) < 2 else b.transpose(self, 0, 1)


@handler("aten::numpy_T")
def numpy_t(b: Builder, self: ir.Value) -> ir.Value:
    return self if b.rank(self) < 2 else b.Transpose(self, perm=list(range(b.rank(self)))[::-1])


@handler("aten::mT", "aten::mH", "aten::matrix_H", "aten::adjoint")
def matrix_transpose(b: Builder, self: ir.Value) -> ir.Value:
    return self if b.rank(self) == 0 else b.transpose(self, b.rank(self) - 2, b.rank(self) - 1)


@handler("aten::permute", "aten::permute_copy")
def permute(b: Builder, self: ir.Value, dims: list[int]) -> ir.Value:
    perm = [b.axis(self, dim) for dim in dims]
    return self if perm == sorted(perm) else b.Transpose(self, perm=perm)


@handler("aten::movedim.intlist")
def movedim(b: Builder, self: ir.Value, source: list[int], destination: list[int]) -> ir.Value:
    return permute(b, self, _moved(b, self, source, destination))


@handler("aten::movedim.int", "aten::moveaxis.int")
def movedim_int(b: Builder, self: ir.Value, source: int, destination: int) -> ir.Value:
    return movedim(b, self, [source], [destination]) if b.rank(self) else self


def _moved(b: Builder, value: ir.Value, source: list[int], destination: list[int]) -> list[int]:
    rank = b.rank(value)
    sources = [b.axis(rank, each) for each in source]
    order = [axis for axis in range(rank) if axis not in sources]
    for target, axis in sorted(zip([b.axis(rank, each) for each in destination], sources, strict=True)):
        order.insert(target, axis)
    return order


@view_writer("aten::transpose.int", "aten::swapaxes", "aten::swapdims")
def write_transpose(b: Builder, base: ir.Value, part: ir.Value, **arguments: Any) -> ir.Value:
    return transpose(b, part, **arguments)


@view_writer("aten::t")
def write_t(b: Builder, base: ir.Value, part: ir.Value) -> ir.Value:
    return t(b, part)


@view_writer("aten::numpy_T")
def write_numpy_t(b: Builder, base: ir.Value, part: ir.Value) -> ir.Value:
    return numpy_t(b, part)


@view_writer("aten::mT")
def write_matrix_transpose(b: Builder, base: ir.Value, part: ir.Value) -> ir.Value:
    return matrix_transpose(b, part)


@view_writer("aten::permute")
def write_permute(b: Builder, base: ir.Value, part: ir.Value, dims: list[int]) -> ir.Value:
    return _undo(b, part, [b.axis(base, dim) for dim in dims])


@view_writer("aten::movedim.intlist")
def write_movedim(b: Builder, base: ir.Value, part: ir.Value, source: list[int], destination: list[int]) -> ir.Value:
    return _undo(b, part, _moved(b, base, source, destination))


@view_writer("aten::movedim.int")
def write_movedim_int(b: Builder, base: ir.Value, part: ir.Value, source: int, destination: int) -> ir.Value:
    return _undo(b, part, _moved(b, base, [source], [destination]))


def _undo(b: Builder, value: ir.Value, perm: list[int]) -> ir.Value:
    return permute(b, value, sorted(range(len(perm)), key=perm.__getitem__)) if perm else value


@handler(
    "aten::alias",
    "aten::detach",
    "aten::alias_copy",
    "aten::view.dtype",
    "aten::contiguous",
    "aten::positive",
    "aten::resolve_conj",
    "aten::resolve_neg",
    "aten::lift_fresh",
    "aten::lift",
    "aten::values",
)
def alias(b: Builder, self: ir.Value, dtype: ir.DataType | None = None) -> ir.Value:
    if dtype is not None and dtype != self.dtype:
        return b.BitCast(self, to=dtype)
    return self


@view_writer("aten::alias", "aten::detach", "aten::contiguous")
def write_alias(b: Builder, base: ir.Value, part: ir.Value) -> ir.Value:
    return part


@handler("aten::expand", "aten::broadcast_to", "aten::expand_copy")
def expand(b: Builder, self: ir.Value, size: list[Int], implicit: bool = False) -> ir.Value:
    return b.expand(self, size)


@handler("aten::expand_as")
def expand_as(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return b.expand(self, b.sizes(other))


@view_writer("aten::expand", "aten::expand_as", "aten::broadcast_to", "aten::unfold", "aten::as_strided")
def write_expanded(b: Builder, base: ir.Value, part: ir.Value, **arguments: Any) -> ir.Value:
    raise UnsupportedError("A tensor is changed in place whose elements share memory.", hint="Clone it before.")


@raw_handler("aten::linalg_diagonal")
def linalg_diagonal(interpreter: Any, A: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    return interpreter.apply("aten::diagonal", A, offset, dim1, dim2)


@handler("aten::diagonal", "aten::diagonal_copy")
def diagonal(b: Builder, self: ir.Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> ir.Value:
    rank = b.rank(self)
    one, other = b.axis(rank, dim1), b.axis(rank, dim2)
    rest = [axis for axis in range(rank) if axis not in (one, other)]
    moved = permute(b, self, [one, other, *rest])
    indices = _diagonal_indices(b, self, offset, one, other)
    taken = b.GatherND(moved, indices)
    return permute(b, taken, [*range(1, rank - 1), 0])


def _diagonal_indices(b: Builder, base: ir.Value, offset: int, one: int, other: int) -> ir.Value:
    """Rows and columns of a diagonal, INT64 [n, 2]."""
    rows, columns = b.size(base, one), b.size(base, other)
    rows, columns = b.add_int(rows, min(offset, 0)), b.add_int(columns, -max(offset, 0))
    if isinstance(rows, int) and isinstance(columns, int):
        count = max(min(rows, columns), 0)
        pairs = [[index - min(offset, 0), index + max(offset, 0)] for index in range(count)]
        return (
            b.Reshape(b.constant([x for pair in pairs for x in pair], ir.DataType.INT64), [-1, 2], allowzero=0)
            if (pairs)
            else b.ConstantOfShape(b.constant([0, 2], ir.DataType.INT64), value=ir.tensor([0], dtype=ir.DataType.INT64))
        )
    count_value = b.Max(b.Min(b.scalar(rows, ir.DataType.INT64), b.scalar(columns, ir.DataType.INT64)), b.constant(0))
    steps = b.Range(b.constant(0), count_value, b.constant(1))
    return b.Concat(b.unsqueeze(b.Add(steps, -min(offset, 0)), 1), b.unsqueeze(b.Add(steps, max(offset, 0)), 1), axis=1)


@view_writer("aten::diagonal")
def write_diagonal(
    b: Builder, base: ir.Value, part: ir.Value, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> ir.Value:
    rank = b.rank(base)
    one, other = b.axis(rank, dim1), b.axis(rank, dim2)
    rest = [axis for axis in range(rank) if axis not in (one, other)]
    order = [one, other, *rest]
    moved = permute(b, base, order)
    front = permute(b, part, [rank - 2, *range(rank - 2)])
    return _undo(b, b.ScatterND(moved, _diagonal_indices(b, base, offset, one, other), front), order)


# Several parts


@handler("aten::split.Tensor", "aten::unsafe_split.Tensor", "aten::split_copy.Tensor")
def split(b: Builder, self: ir.Value, split_size: Int, dim: int = 0) -> list[ir.Value]:
    size = b.size(self, dim)
    if isinstance(size, Number) or isinstance(split_size, Number):
        raise UnsupportedError("Into how many parts a tensor is split depends on the inputs.")
    if size == 0 or split_size == 0:
        return [self]
    return split_in(b, self, [min(split_size, size - at) for at in range(0, size, split_size)], dim)


@handler(
    "aten::split_with_sizes",
    "aten::split.sizes",
    "aten::split_with_sizes_copy",
    "aten::unsafe_split_with_sizes",
    "aten::split",
)
def split_with_sizes(
    b: Builder,
    self: ir.Value,
    split_sizes: list[Int] | None = None,
    dim: int = 0,
    split_size: list[Int] | None = None,
) -> list[ir.Value]:
    return split_in(b, self, split_sizes if split_sizes is not None else split_size or [], dim)


def split_in(b: Builder, value: ir.Value, sizes: list[Int], dim: int) -> list[ir.Value]:
    """The parts of these sizes along an axis."""
    if len(sizes) == 1:
        return [value]
    parts: tuple[ir.Value, ...] = b.Split(value, b.int_vector(sizes), axis=b.axis(value, dim), _outputs=len(sizes))
    return list(parts)


@handler("aten::chunk", "aten::unsafe_chunk")
def chunk(b: Builder, self: ir.Value, chunks: int, dim: int = 0) -> list[ir.Value]:
    size = b.size(self, dim)
    if isinstance(size, int):
        each = max(-(-size // chunks), 1)
        return split(b, self, each, dim) if size else [self] * chunks
    # The number of parts is known only where the size is; torch gives fewer parts for small sizes.
    each_value = b.Div(b.Add(size.value, chunks - 1), chunks)
    starts = [b.mul_int(Number(each_value, int), index) for index in range(chunks + 1)]
    b.note("chunk gives all its parts at every size; the source gives fewer where the size is too small for that.")
    return [slice_(b, self, dim, starts[index], starts[index + 1]) for index in range(chunks)]


@handler("aten::unbind.int", "aten::unbind_copy.int")
def unbind(b: Builder, self: ir.Value, dim: int = 0) -> list[ir.Value]:
    dim = b.axis(self, dim)
    size = b.size(self, dim)
    if isinstance(size, Number):
        raise UnsupportedError("Into how many parts a tensor is taken apart depends on the inputs.")
    return [b.Gather(self, b.constant(index), axis=dim) for index in range(size)]


@handler("aten::tensor_split.sections")
def tensor_split(b: Builder, self: ir.Value, sections: int, dim: int = 0) -> list[ir.Value]:
    size = b.size(self, dim)
    if isinstance(size, Number):
        raise UnsupportedError("The sizes of the parts of a tensor depend on the inputs.")
    each, more = divmod(size, sections)
    return split_in(b, self, [each + (index < more) for index in range(sections)], dim)


@handler("aten::tensor_split.indices")
def tensor_split_indices(b: Builder, self: ir.Value, indices: list[Int], dim: int = 0) -> list[ir.Value]:
    starts: list[Int] = [0, *indices]
    ends: list[Int] = [*indices, MAX_INT64]
    return [slice_(b, self, dim, start, end) for start, end in zip(starts, ends, strict=True)]


@view_writer(
    "aten::split.Tensor",
    "aten::split_with_sizes",
    "aten::split.sizes",
    "aten::chunk",
    "aten::split",
    # These are views too; torch only does not tell autograd.
    "aten::unsafe_split.Tensor",
    "aten::unsafe_split_with_sizes",
    "aten::unsafe_chunk",
)
def write_split(b: Builder, base: ir.Value, changed: ir.Value, **arguments: Any) -> ir.Value:
    index = arguments.pop("part")
    dim = b.axis(base, arguments.get("dim", 0))
    if "chunks" in arguments:
        parts = chunk(b, base, **arguments)
    elif isinstance(arguments.get("split_size"), int):
        parts = split(b, base, **arguments)
    else:
        parts = split_in(b, base, arguments.get("split_sizes") or arguments["split_size"], dim)
    start: Int = 0
    for each in parts[:index]:
        start = b.add_int(start, b.size(each, dim))
    return write_slice(b, base, changed, dim, start, b.add_int(start, b.size(changed, dim)))


@view_writer("aten::unbind.int")
def write_unbind(b: Builder, base: ir.Value, changed: ir.Value, dim: int = 0, part: int = 0) -> ir.Value:
    return write_select(b, base, changed, dim, part)


@handler("aten::unfold", "aten::unfold_copy")
def unfold(b: Builder, self: ir.Value, dimension: int, size: int, step: int) -> ir.Value:
    if b.rank(self) == 0:
        return b.unsqueeze(self, 0)
    dim = b.axis(self, dimension)
    length = b.size(self, dim)
    if isinstance(length, int):
        starts = b.constant(list(range(0, length - size + 1, step)), ir.DataType.INT64)
    else:
        starts = b.Range(b.constant(0), b.Sub(b.scalar(length, ir.DataType.INT64), size - 1), b.constant(step))
    indices = b.Add(b.unsqueeze(starts, 1), b.constant([list(range(size))], ir.DataType.INT64))
    windows = b.Gather(self, indices, axis=dim)
    rank = b.rank(self) + 1
    return permute(b, windows, [axis for axis in range(rank) if axis != dim + 1] + [dim + 1])


LINEAR = frozenset(
    {
        "aten::select.int", "aten::slice.Tensor", "aten::narrow", "aten::narrow_copy", "aten::view", "aten::reshape",
        "aten::_unsafe_view", "aten::_reshape_alias", "aten::view_copy", "aten::view_as", "aten::reshape_as",
        "aten::flatten.using_ints", "aten::unflatten.int", "aten::ravel", "aten::unsqueeze", "aten::unsqueeze_copy",
        "aten::squeeze", "aten::squeeze_copy", "aten::squeeze.dim", "aten::squeeze_copy.dim", "aten::squeeze.dims",
        "aten::squeeze_copy.dims", "aten::transpose.int", "aten::transpose_copy.int", "aten::swapaxes",
        "aten::swapdims", "aten::t", "aten::t_copy", "aten::numpy_T", "aten::mT", "aten::permute",
        "aten::permute_copy", "aten::movedim.intlist", "aten::movedim.int", "aten::moveaxis.int", "aten::alias",
        "aten::detach", "aten::alias_copy", "aten::contiguous", "aten::positive",
        "aten::resolve_neg", "aten::resolve_conj",
        "aten::lift_fresh", "aten::expand", "aten::broadcast_to", "aten::expand_copy", "aten::expand_as",
        "aten::diagonal", "aten::diagonal_copy", "aten::split.Tensor",
        "aten::unsafe_split.Tensor", "aten::split_with_sizes", "aten::split_with_sizes_copy", "aten::split.sizes",
        "aten::unsafe_split_with_sizes", "aten::split", "aten::chunk", "aten::unsafe_chunk", "aten::unbind.int",
        "aten::unbind_copy.int", "aten::tensor_split.sections", "aten::tensor_split.indices", "aten::unfold",
        "aten::unfold_copy", "aten::lift",
    }
)  # fmt: skip
