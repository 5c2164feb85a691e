"""Finding the dimensions that may vary by running the source at other sizes, or from two examples."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from transload.convert.capture import Array
from transload.convert.torch.dimensions import Dimensions, resize_axis
from transload.convert.torch.graph import dimension_name
from transload.serialize.errors import UsageError

LIMIT_S = 60.0
"""After this time no further size is tried."""

Run = Callable[[Mapping[str, Array]], str | None]
"""Runs the source; None where it takes the tensors, else the line of code that refuses them."""


@dataclass(frozen=True)
class _Axis:
    """One axis of tensors that are alike, such as the keys of all layers of a cache."""

    tensors: tuple[str, ...]
    axis: int
    size: int

    @property
    def is_mask(self) -> bool:
        """Whether the tensors say of others which of their elements count, as far as their names tell."""
        return all("mask" in name.lower() for name in self.tensors)


@dataclass(frozen=True)
class FoundDimensions:
    """What was found.

    Args:
        dimensions: Names of the dimensions that may vary; `past+new` is the sum of two others.
        example: The example, with sizes of 1 that may vary made 2.
        accepted: Another size that the source takes, by name of the dimension.
        fixed: Sentences on axes that cannot vary, with the lines of the source that refuse it.
    """

    dimensions: Dimensions
    example: dict[str, Array]
    accepted: Mapping[str, int] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    """Axes that are one dimension, another size that the source takes, and an axis that is a sum with it."""

    axes: frozenset[_Axis]
    size: int
    accepted: int
    total: _Axis | None


Change = Mapping[_Axis, int]


@dataclass
class _Search:
    """The example that is being widened, and the lines of code that refused an axis at another size."""

    run: Run
    example: dict[str, Array]
    ends_at: float = field(default_factory=lambda: time.monotonic() + LIMIT_S)
    lines: dict[_Axis, str] = field(default_factory=dict)

    def accepts(self, change: Change) -> bool:
        """Whether the source takes the example with these axes at these sizes."""
        if time.monotonic() > self.ends_at:
            return False
        line = self.run(_with_holes(_resized(self.example, change)))
        if line is not None and len(change) == 1:
            self.lines.setdefault(next(iter(change)), line)
        return line is None


def find_dimensions(example: Mapping[str, Array], run: Run) -> FoundDimensions:
    """Try other sizes of each axis: alone, with axes of the same size, with an axis that may be a sum.

    Axes that move only together are one dimension. Values are repeated or cut, so that indices stay in their tables.

    Args:
        example: Tensors that the source takes.
        run: Runs the source on others.
    """
    search = _Search(run, dict(example))
    search.example = _widen(search)
    axes = sorted(_axes(search.example), key=lambda axis: axis.is_mask)
    groups: list[_Group] = []
    done: set[_Axis] = set()
    for axis in axes:
        if axis in done or any(axis == group.total for group in groups):
            continue
        found = _find_group(search, axis, [other for other in axes if other not in done], axes)
        if found is not None:
            groups.append(found)
            done |= found.axes
    names = _name_groups(groups, search.example)
    fixed: dict[str, list[str]] = {}
    for axis in axes:
        if axis not in names and axis in search.lines:
            fixed.setdefault(search.lines[axis], []).append(_describe(axis))
    dimensions: dict[str, dict[int, str]] = {}
    for axis, name in names.items():
        for tensor in axis.tensors:
            dimensions.setdefault(tensor, {})[axis.axis] = name
    notes = [f"{', '.join(which)}: other sizes fail at {line}" for line, which in fixed.items()]
    if time.monotonic() > search.ends_at:
        notes.append(f"Other sizes were tried for {LIMIT_S:.0f} s only; name further dimensions with --input.")
    accepted = {names[next(iter(group.axes))]: group.accepted for group in groups}
    return FoundDimensions(dimensions, search.example, accepted, tuple(notes))


def compare_examples(first: Mapping[str, Array], second: Mapping[str, Array]) -> Dimensions:
    """The dimensions in which two examples differ; axes with the same two sizes are one dimension.

    Raises:
        UsageError: the second example has other tensors, ranks or dtypes.
    """
    if set(first) != set(second):
        different = ", ".join(sorted(set(first) ^ set(second)))
        raise UsageError(f"The second example has other inputs than the first: {different}.")
    pairs: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name, array in first.items():
        other = second[name]
        if other.dtype != array.dtype or other.ndim != array.ndim:
            raise UsageError(
                f"The second example has {name!r} as {other.dtype} of rank {other.ndim}, the first as {array.dtype} of "
                f"rank {array.ndim}."
            )
        for axis, sizes in enumerate(zip(array.shape, other.shape, strict=True)):
            if sizes[0] != sizes[1]:
                pairs.setdefault(sizes, []).append((name, axis))
    names = {sizes: _name_of(places) for sizes, places in pairs.items()}
    for one, other_pair in combinations(pairs, 2):
        total = one[0] + other_pair[0], one[1] + other_pair[1]
        if total in pairs:
            names[total] = f"{names[one]}+{names[other_pair]}"
    dimensions: dict[str, dict[int, str]] = {}
    for sizes, places in pairs.items():
        for name, axis in places:
            dimensions.setdefault(name, {})[axis] = names[sizes]
    return dimensions


def _resized(example: Mapping[str, Array], change: Change) -> dict[str, Array]:
    """The example with axes repeated or cut to other sizes."""
    feed = dict(example)
    for axis, size in change.items():
        for tensor in axis.tensors:
            feed[tensor] = resize_axis(feed[tensor], axis.axis, size)
    return feed


def _with_holes(example: dict[str, Array]) -> dict[str, Array]:
    """Masks of ones get a zero at the end: models leave out a mask that hides nothing, and then take it at any size."""

    def mark(name: str, array: Array) -> Array:
        is_mask = "mask" in name.lower() and array.dtype.kind in "biu" and array.ndim and array.shape[-1] > 1
        if not is_mask or not (array == 1).all():
            return array
        marked = array.copy()
        marked[..., -1] = 0
        return marked

    return {name: mark(name, array) for name, array in example.items()}


def _axes(example: Mapping[str, Array]) -> list[_Axis]:
    alike: dict[tuple[object, ...], list[str]] = {}
    for name, array in example.items():
        alike.setdefault((re.sub(r"\d+", "#", name), array.shape, array.dtype), []).append(name)
    return [
        _Axis(tuple(names), axis, size) for names in alike.values() for axis, size in enumerate(example[names[0]].shape)
    ]


def _widen(search: _Search) -> dict[str, Array]:
    """The example with sizes of 1 made 2 where the source takes that: 1 is what broadcasts and what captures fix.

    The first axes only all at once: one 1 beside other sizes is meant to be broadcast.
    """
    first = [axis for axis in _axes(search.example) if axis.axis == 0]
    if first and all(axis.size == 1 for axis in first):
        change = dict.fromkeys(first, 2)
        if search.accepts(change):
            search.example = _resized(search.example, change)
    for axis in [axis for axis in _axes(search.example) if axis.size == 1 and axis.axis > 0]:
        if search.accepts({axis: 2}) and search.accepts({axis: 3}):
            search.example = _resized(search.example, {axis: 2})
    return search.example


def _other_sizes(size: int) -> tuple[int, ...]:
    """What to try in place of a size: the next one, or what strides divide."""
    return tuple(dict.fromkeys((size + 1, size + 32, 2 * size)))


def _find_group(search: _Search, axis: _Axis, others: Sequence[_Axis], axes: Sequence[_Axis]) -> _Group | None:
    """The axes that move with `axis`, and the axis that is a sum with it; None where it does not move."""
    sums = {axis.size + other.size for other in axes if other != axis and not other.is_mask}
    totals = [other for other in others if other.tensors != axis.tensors and other.size in sums]
    for group, total in _ways_to_move(axis, others, totals):
        for size in _other_sizes(axis.size):
            step = size - axis.size
            if search.accepts(_moved(group, total, step)):
                return _Group(_shrink(search, axis, group, total, step), axis.size, size, total)
    return None


def _moved(axes: frozenset[_Axis], total: _Axis | None, step: int) -> Change:
    return {each: each.size + step for each in (*axes, *([total] if total else []))}


def _ways_to_move(
    axis: _Axis, others: Sequence[_Axis], totals: Sequence[_Axis]
) -> Iterator[tuple[frozenset[_Axis], _Axis | None]]:
    """Sets of axes of one size to try, from small to large; then with each axis that may be a sum.

    A mask goes with what it masks: models take masks that are too short or too long, and then mean nothing by it.
    """
    if axis.size == 0:
        return
    same = [other for other in others if other.size == axis.size and other != axis]
    masks = frozenset(other for other in same if other.is_mask and other.axis == axis.axis)
    elsewhere = [other for other in same if other.tensors != axis.tensors]
    level = [other for other in elsewhere if other.axis == axis.axis]
    groups = [frozenset({axis}), frozenset({axis, *level}), frozenset({axis, *elsewhere}), frozenset({axis, *same})]
    groups = list(dict.fromkeys(groups))
    if masks:
        yield masks | {axis}, None
    elif not axis.is_mask:
        yield from ((group, total) for total in totals if total.is_mask for group in groups)
    yield from ((group, None) for group in groups)
    yield from ((group, total) for total in totals if not total.is_mask for group in groups)


def _shrink(search: _Search, axis: _Axis, axes: frozenset[_Axis], total: _Axis | None, step: int) -> frozenset[_Axis]:
    """The axes without those that need not move, masks aside."""
    for other in [other for other in axes - {axis} if not other.is_mask or axis.is_mask]:
        if search.accepts(_moved(axes - {other}, total, step)):
            axes -= {other}
    return axes


def _name_groups(groups: Sequence[_Group], example: Mapping[str, Array]) -> dict[_Axis, str]:
    order = list(example)
    names: dict[_Axis, str] = {}
    terms: dict[_Axis, list[_Group]] = {}
    for group in groups:
        places = [(tensor, axis.axis) for axis in group.axes for tensor in axis.tensors]
        places.sort(key=lambda place: (order.index(place[0]), place[1]))
        name = _name_of(places)
        names |= dict.fromkeys(group.axes, dimension_name(*places[0]) if name in names.values() else name)
        if group.total is not None:
            terms.setdefault(group.total, []).append(group)
    for total, parts in terms.items():
        rest = total.size - sum(group.size for group in parts)
        if total not in names and rest >= 0:
            words = [names[next(iter(group.axes))] for group in parts]
            names[total] = "+".join([*words, *([str(rest)] if rest else [])])
    return names


def _name_of(places: Sequence[tuple[str, int]]) -> str:
    """`batch` for what is the first axis everywhere, else the name of the first tensor and axis."""
    if all(axis == 0 for _, axis in places):
        return "batch"
    return dimension_name(*places[0])


def _describe(axis: _Axis) -> str:
    more = f" and {len(axis.tensors) - 1} more" if len(axis.tensors) > 1 else ""
    return f"{axis.tensors[0]}{more}, axis {axis.axis}, is always {axis.size}"
