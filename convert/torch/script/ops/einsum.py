"""Einstein sums as transpositions and matrix products; ONNX's Einsum takes less than torch's."""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.elementwise import mul
from transload.convert.torch.script.ops.linear import multiply
from transload.convert.torch.script.ops.reduction import sum_
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

Label = str | int
"""A letter; or a place in the ellipsis, counted from its end, from 1."""


@dataclass(frozen=True)
class Term:
    """A tensor with a label for each axis, none twice."""

    value: ir.Value
    labels: tuple[Label, ...]


@handler("aten::einsum")
def einsum(b: Builder, equation: str, tensors: list[ir.Value], path: list[int] | None = None) -> ir.Value:
    left, arrow, right = equation.replace(" ", "").partition("->")
    subscripts = left.split(",")
    if len(subscripts) != len(tensors):
        raise UnsupportedError(f"The equation {equation!r} is not for {len(tensors)} tensors.")
    every = [_labels(text, b.rank(tensor)) for text, tensor in zip(subscripts, tensors, strict=True)]
    output = _labels(right, None, every) if arrow else _implicit_output(every)
    terms = [_without_repetition(b, tensor, labels) for tensor, labels in zip(tensors, every, strict=True)]
    terms = [_without_ones(b, term, terms, output) for term in terms]
    for one, other in _pairs(path, len(terms)):
        second, first = terms.pop(max(one, other)), terms.pop(min(one, other))
        needed = {*output, *(label for term in terms for label in term.labels)}
        terms.append(_contract(b, first, second, needed))
    (term,) = terms
    term = _summed(b, term, set(output))
    return _ordered(b, term, output)


def _labels(text: str, rank: int | None, terms: list[tuple[Label, ...]] | None = None) -> tuple[Label, ...]:
    """The labels of a tensor of some rank, or of the output for all terms."""
    before, dots, after = text.partition("...")
    if not re.fullmatch("[A-Za-z]*", before + after):
        raise UnsupportedError(f"The subscripts {text!r} of an Einstein sum are not understood.")
    if rank is not None:
        hidden = rank - len(before) - len(after)
    else:
        hidden = max((label for term in terms or () for label in term if isinstance(label, int)), default=0)
    if hidden < 0 or (not dots and rank is not None and hidden):
        raise UnsupportedError(f"The subscripts {text!r} are not those of a tensor of rank {rank}.")
    return (*before, *(range(hidden, 0, -1) if dots else ()), *after)


def _implicit_output(terms: list[tuple[Label, ...]]) -> tuple[Label, ...]:
    """The ellipsis, then the letters that occur once, A to Z before a to z."""
    found = [label for term in terms for label in term]
    letters = sorted(label for label in set(found) if isinstance(label, str) and found.count(label) == 1)
    return (*sorted({label for label in found if isinstance(label, int)}, reverse=True), *letters)


def _pairs(path: list[int] | None, count: int) -> list[tuple[int, int]]:
    """Which terms to contract; a result goes to the end."""
    if path and len(path) == 2 * (count - 1):
        return list(zip(path[::2], path[1::2], strict=True))
    return [(0, 1)] + [(0, left - 1) for left in range(count - 1, 1, -1)] if count > 1 else []


def _without_repetition(b: Builder, value: ir.Value, labels: tuple[Label, ...]) -> Term:
    """Diagonals instead of axes with the same label."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            value = _diagonal(b, value, first, second)
            labels = (*labels[:second], *labels[second + 1 :])
    return Term(value, labels)


def _diagonal(b: Builder, value: ir.Value, first: int, second: int) -> ir.Value:
    """The elements with equal indices on two axes, on the first of them."""
    rank = b.rank(value)
    others = [axis for axis in range(rank) if axis not in (first, second)]
    front = b.Transpose(value, perm=[first, second, *others])
    numbers = b.unsqueeze(b.scalar_range(b.size(value, first)), 1)
    picked = b.GatherND(front, b.Concat(numbers, numbers, axis=1))
    perm = list(range(1, rank - 1))
    perm.insert(first, 0)
    return b.Transpose(picked, perm=perm)


def _without_ones(b: Builder, term: Term, terms: list[Term], output: tuple[Label, ...]) -> Term:
    """Without axes of size 1 beside which another tensor has one of another size."""
    for label in term.labels:
        if b.dim(term.value, term.labels.index(label)) != 1:
            continue
        sizes = [b.dim(other.value, other.labels.index(label)) for other in terms if label in other.labels]
        if any(size != 1 for size in sizes):
            axis = term.labels.index(label)
            term = Term(b.squeeze(term.value, axis), (*term.labels[:axis], *term.labels[axis + 1 :]))
    return term


def _summed(b: Builder, term: Term, needed: set[Label]) -> Term:
    """Without the labels that nobody needs."""
    axes = [axis for axis, label in enumerate(term.labels) if label not in needed]
    if not axes:
        return term
    return Term(sum_(b, term.value, axes), tuple(label for label in term.labels if label in needed))


def _ordered(b: Builder, term: Term, labels: tuple[Label, ...]) -> ir.Value:
    """The tensor with its axes in an order."""
    if missing := [label for label in labels if label not in term.labels]:
        raise UnsupportedError(f"The output of an Einstein sum has the label {missing[0]!r}, which no tensor has.")
    perm = [term.labels.index(label) for label in labels]
    return term.value if perm == sorted(perm) else b.Transpose(term.value, perm=perm)


def _contract(b: Builder, one: Term, other: Term, needed: set[Label]) -> Term:
    """The product of two terms, summed over what nobody else needs."""
    one = _summed(b, one, {*needed, *other.labels})
    other = _summed(b, other, {*needed, *one.labels})
    shared = [label for label in one.labels if label in other.labels]
    batch, summed = [label for label in shared if label in needed], [label for label in shared if label not in needed]
    left = [label for label in one.labels if label not in shared]
    right = [label for label in other.labels if label not in shared]
    result = (*batch, *left, *right)
    if not summed:
        wide = _ordered(b, one, (*batch, *left))
        wide = b.unsqueeze(wide, *range(len(batch) + len(left), len(result))) if right else wide
        narrow = _ordered(b, other, (*batch, *right))
        narrow = b.unsqueeze(narrow, *range(len(batch), len(batch) + len(left))) if left else narrow
        return Term(mul(b, wide, narrow), result)
    lead = len(batch)
    sizes = {label: (term, term.labels.index(label)) for term in (other, one) for label in term.labels}
    first = _grouped(b, _ordered(b, one, (*batch, *left, *summed)), [lead, len(left), len(summed)])
    second = _grouped(b, _ordered(b, other, (*batch, *summed, *right)), [lead, len(summed), len(right)])
    product = multiply(b, first, second)
    if len(left) != 1 or len(right) != 1:
        # Only the axes that the groups were made of are looked up: those of the batch may have been broadcast.
        whole: list[Int] = [b.size(product, axis) for axis in range(lead)]
        for label in (*left, *right):
            term, axis = sizes[label]
            whole.append(b.size(term.value, axis))
        product = b.reshape(product, whole)
    return Term(product, result)


def _grouped(b: Builder, value: ir.Value, counts: list[int]) -> ir.Value:
    """The axes after the first `counts[0]` as two: the products of as many as the other counts say."""
    lead, first, _ = counts
    if counts[1:] == [1, 1]:
        return value
    sizes = b.sizes(value)
    grouped: list[Int] = sizes[:lead]
    for part in (sizes[lead : lead + first], sizes[lead + first :]):
        size: Int = 1
        for each in part:
            size = b.mul_int(size, each)
        grouped.append(size)
    return b.reshape(value, grouped)
