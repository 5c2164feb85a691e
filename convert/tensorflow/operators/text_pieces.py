"""Texts taken apart at a separator and put together again: replacing, stripping, joining and n-grams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper

from transload.convert.capture import Array
from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.literal_patterns import read_pattern
from transload.convert.tensorflow.operators.registry import operator
from transload.serialize.errors import UnsupportedError

INT64, STRING, BOOL = int(TensorProto.INT64), int(TensorProto.STRING), int(TensorProto.BOOL)

WHITESPACE = " \t\n\v\f\r"
"""What TensorFlow strips."""


def words(*texts: str) -> Array:
    """A string constant, in the form that tf2onnx writes rightly."""
    return np.array([text.encode() for text in texts], dtype=object)


def split_texts(g: Emitter, texts: str, separator: str, limit: int = -1) -> tuple[str, str]:
    """The pieces of a vector's texts, [texts, pieces] filled up with empty ones, and how many each text has.

    Args:
        g: Where nodes are emitted.
        texts: A vector of strings.
        separator: Between the pieces; nothing stands for any whitespace, of which a text may be empty.
        limit: How many separators count; -1 for all.
    """
    # The limit of TensorFlow counts splits, as ONNX's does.
    attributes = {"maxsplit": limit} if limit >= 0 else {}
    pieces, counts = g.StringSplit(texts, delimiter=separator, outputs=2, **attributes)
    g.graph.set_dtype(pieces, STRING)
    g.graph.set_dtype(counts, INT64)
    if separator:
        # An empty text is one empty piece, of which ONNX's operator gives none.
        counts = g.Max(counts, np.array(1))
        rows = g.Slice(g.Shape(pieces), np.array([0]), np.array([1]))
        pieces = g.Concat(pieces, g.Expand(words(""), g.Concat(rows, np.array([1]), axis=0)), axis=1)
    return pieces, counts


def number_pieces(g: Emitter, pieces: str) -> str:
    """The number of each piece of a text, [1, pieces]."""
    width = g.Slice(g.Shape(pieces), np.array([1]), np.array([2]))
    return str(g.Unsqueeze(g.Range(np.array(0), g.Squeeze(width, np.array([0])), np.array(1)), np.array([0])))


def join_pieces(g: Emitter, pieces: str, kept: str | None, separator: str) -> str:
    """A vector with the pieces of each text, those that are kept, in a row.

    Args:
        g: Where nodes are emitted.
        pieces: [texts, pieces].
        kept: Which pieces are kept, of the same shape; None for all.
        separator: What stands between two.
    """
    if kept is not None:
        pieces = g.Where(kept, pieces, words(""))
    if separator:
        kept = kept or g.ConstantOfShape(g.Shape(pieces), value=helper.make_tensor("value", BOOL, [1], [True]))
        before = g.CumSum(g.Cast(kept, to=INT64), np.array(1), exclusive=1)
        between = g.Where(g.And(kept, g.Greater(before, np.array(0))), words(separator), words(""))
        pieces = g.StringConcat(between, pieces)
    rows, width = (g.Slice(g.Shape(pieces), np.array([axis]), np.array([axis + 1])) for axis in (0, 1))
    nothing = g.Expand(words(""), rows)
    g.graph.set_dtype(nothing, STRING)
    g.graph.set_shape(nothing, [-1])

    def add(body: Emitter, number: str, texts: str) -> str:
        return str(body.StringConcat(texts, body.Gather(pieces, number, axis=1)))

    return g.repeat(g.Squeeze(width, np.array([0])), nothing, add)


def _replace(g: Emitter, texts: str, old: str, new: str, repeated: bool = False, limit: int = -1) -> str:
    """A vector of texts with one text replaced by another; with `repeated`, a row of the former once."""
    pieces, counts = split_texts(g, texts, old, limit)
    numbers, counts = number_pieces(g, pieces), g.Unsqueeze(counts, np.array([1]))
    kept = g.Less(numbers, counts)
    if repeated:
        # Between two of a row there is an empty piece; the first and the last stand before and behind all of them.
        ends = g.Or(g.Equal(numbers, np.array(0)), g.Equal(numbers, g.Sub(counts, np.array(1))))
        kept = g.And(kept, g.Or(ends, _has_content(g, pieces)))
    return join_pieces(g, pieces, kept, new)


def _has_content(g: Emitter, pieces: str) -> str:
    return str(g.Not(g.Equal(pieces, words(""))))


def _as_vector(g: Emitter, texts: str) -> str:
    flat = g.Reshape(texts, np.array([-1]))
    g.graph.set_dtype(flat, STRING)
    return str(flat)


@operator("StaticRegexReplace", "RegexReplace")
def replace(g: Emitter) -> str:
    """Patterns that stand for one text or for one character of a set, by splitting; ONNX has no replacement."""
    pattern, new = (_text_of(g, name, index) for index, name in enumerate(("pattern", "rewrite"), start=1))
    found = read_pattern(pattern)
    if found is None or "\\" in new:
        raise UnsupportedError(
            f"ONNX replaces no regular expressions, and {pattern!r} with {new!r} is more than another text for a text "
            "or for one character of a set."
        )
    limit = -1 if g.attribute("replace_global", 1) else 1
    if limit > 0 and (len(found.texts) > 1 or found.repeated):
        raise UnsupportedError("ONNX has no operator for the first match of several.")
    texts = _as_vector(g, g.inputs[0])
    first, *others = found.texts
    for other in others:
        # By way of the first of them, so that nothing is replaced in what was put in.
        texts = _replace(g, texts, other, first if new else "")
    return str(g.Reshape(_replace(g, texts, first, new, found.repeated and bool(new), limit), g.Shape(g.inputs[0])))


def _text_of(g: Emitter, attribute: str, index: int) -> str:
    """A text that is an attribute, or an input that is known."""
    text = g.attribute(attribute)
    if text is None:
        known = g.known(g.inputs[index])
        if known is None:
            raise UnsupportedError(f"The {attribute} depends on the data.")
        text = known.item()
    return text.decode() if isinstance(text, bytes) else str(text)


@operator("StringStrip")
def strip(g: Emitter) -> str:
    """One kind of whitespace after the other, as often as that still changes something."""

    def strip_once(body: Emitter, number: str, texts: str) -> tuple[str, str]:
        before = texts
        for space in WHITESPACE:
            pieces, _ = split_texts(body, texts, space)
            content = body.Cast(_has_content(body, pieces), to=INT64)
            begun, left = (body.CumSum(content, np.array(1), reverse=reverse) for reverse in (0, 1))
            texts = join_pieces(body, pieces, body.Greater(body.Min(begun, left), np.array(0)), space)
        changes = body.ReduceSum(body.Cast(body.Not(body.Equal(texts, before)), to=INT64), keepdims=0)
        return texts, body.Greater(changes, np.array(0))

    most = np.array(np.iinfo(np.int64).max)
    return str(g.Reshape(g.repeat(g.tensor(most), _as_vector(g, g.inputs[0]), strip_once), g.Shape(g.inputs[0])))


@operator("ReduceJoin")
def reduce_join(g: Emitter) -> str:
    """The first of the axes that are named varies fastest."""
    texts, given = g.inputs[0], g.known(g.inputs[1])
    if given is None:
        raise UnsupportedError("The axes depend on the data.")
    rank = len(g.shape(texts))
    axes = [int(axis) % rank for axis in np.ravel(given)]
    if not axes:
        return str(g.Identity(texts))
    left = [axis for axis in range(rank) if axis not in axes]
    shape = g.Shape(texts)
    turned = g.Transpose(texts, perm=[*left, *reversed(axes)])
    sizes = g.Gather(shape, np.array(left, np.int64)) if left else np.array([], np.int64)
    flat = g.Reshape(turned, _flat_shape(g, shape, left, axes), allowzero=1)
    g.graph.set_dtype(flat, STRING)
    joined = join_pieces(g, flat, None, g.attribute("separator", ""))
    if g.attribute("keep_dims"):
        sizes = g.ScatterElements(shape, np.array(axes), np.ones(len(axes), np.int64), axis=0)
    return str(g.Reshape(joined, sizes, allowzero=1))


def _flat_shape(g: Emitter, shape: str, left: Sequence[int], axes: Sequence[int]) -> str:
    """[texts, pieces], each the product of some sizes."""
    products = [
        g.ReduceProd(g.Gather(shape, np.array(each, np.int64)), keepdims=1) if each else np.array([1])
        for each in (left, axes)
    ]
    return str(g.Concat(*products, axis=0))


@operator("StringNGrams")
def ngrams(g: Emitter) -> tuple[str, str]:
    """Each row's n-grams of the first width, then of the next one."""
    if g.attribute("pad_width", 0) or g.attribute("preserve_short_sequences", 0):
        raise UnsupportedError("N-grams with padding, or kept where a row is short, are not translated.")
    widths, separator = [int(width) for width in g.attribute("ngram_widths")], g.attribute("separator", "")
    texts, splits = g.inputs
    splits_dtype = g.dtype(splits)
    splits = g.Cast(splits, to=INT64)
    starts, ends = g.Slice(splits, np.array([0]), np.array([-1])), g.Slice(splits, np.array([1]), np.array([1 << 62]))
    # [rows, widths]: how many there are; and [texts, widths]: each n-gram that begins at a text, or nothing.
    lengths = g.Unsqueeze(g.Sub(ends, starts), np.array([1]))
    counts = g.Max(g.Sub(lengths, np.array(widths) - 1), np.array(0))
    grams = g.Concat(*[_windows(g, texts, width, separator) for width in widths], axis=1)
    g.graph.set_dtype(grams, STRING)
    most = g.ReduceMax(g.Concat(g.Reshape(counts, np.array([-1])), np.array([0]), axis=0), keepdims=0)
    numbers = g.Range(np.array(0), most, np.array(1))
    exists = g.Less(g.Reshape(numbers, np.array([1, 1, -1])), g.Unsqueeze(counts, np.array([2])))
    row, width, number = g.Split(g.NonZero(exists), axis=0, num_outputs=3, outputs=3)
    begins = g.Add(g.Gather(starts, row), number)
    found = g.GatherND(grams, g.Transpose(g.Concat(begins, width, axis=0), perm=[1, 0]))
    sums = g.CumSum(g.ReduceSum(counts, np.array([1]), keepdims=0), np.array(0))
    return found, g.Cast(g.Concat(np.array([0]), sums, axis=0), to=splits_dtype)


def _windows(g: Emitter, texts: str, width: int, separator: str) -> str:
    """[texts, 1]: each text with those behind it, up to a width; nothing where there are not as many."""
    gram = texts
    count = g.Shape(texts)
    padding = g.Expand(words(""), np.array([width - 1])) if width > 1 else None
    padded = g.Concat(texts, padding, axis=0) if padding else texts
    for shift in range(1, width):
        following = g.Slice(padded, np.array([shift]), g.Add(count, np.array([shift])))
        if separator:
            gram = g.StringConcat(gram, words(separator))
        gram = g.StringConcat(gram, following)
    return str(g.Unsqueeze(gram, np.array([1])))
