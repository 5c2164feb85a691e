"""Strings, as far as ONNX has operators for them; most came with opset 20."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator
from transload.convert.tensorflow.operators.text_pieces import split_texts, words
from transload.serialize.errors import UnsupportedError

INT32, INT64, STRING = int(TensorProto.INT32), int(TensorProto.INT64), int(TensorProto.STRING)
INTEGERS = frozenset(
    map(int, (TensorProto.INT8, TensorProto.INT16, TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32))
)


@operator("StringLower")
def lower(g: Emitter) -> str:
    return _change_case(g, "LOWER")


@operator("StringUpper")
def upper(g: Emitter) -> str:
    return _change_case(g, "UPPER")


def _change_case(g: Emitter, case: str) -> str:
    """tf2onnx leaves the locale open: en_US, which not every machine has. TensorFlow changes ASCII letters alone."""
    if g.attribute("encoding"):
        raise UnsupportedError(
            "Changing the case of other letters than ASCII's depends on the machine's locale in ONNX."
        )
    text = g.inputs[0]
    # StringNormalizer takes vectors.
    flat = g.StringNormalizer(g.Reshape(text, np.array([-1])), case_change_action=case, locale="C")
    return str(g.Reshape(flat, g.Shape(text)))


@operator("StringJoin")
def join(g: Emitter) -> str:
    separator = g.attribute("separator", "")
    result = g.inputs[0]
    for each in g.inputs[1:]:
        result = g.StringConcat(result, words(separator)) if separator else result
        result = g.StringConcat(result, each)
    return str(g.Identity(result))


@operator("StaticRegexFullMatch")
def regex_full_match(g: Emitter) -> str:
    """Both sides use RE2."""
    return str(g.RegexFullMatch(g.inputs[0], pattern=g.attribute("pattern")))


@operator("StringSplitV2")
def split(g: Emitter) -> tuple[str, str, str]:
    """Indices, values and shape of a sparse matrix with the words of each text in a row."""
    separator = g.known(g.inputs[1])
    if separator is None:
        raise UnsupportedError("The separator depends on the data.")
    word = separator.item()
    word = word.decode() if isinstance(word, bytes) else word
    dense, counts = split_texts(g, g.inputs[0], word, g.attribute("maxsplit", -1))
    width = g.ReduceMax(g.Concat(counts, np.array([0]), axis=0), keepdims=1)
    numbers = g.Range(np.array(0), g.Squeeze(width, np.array([0])), np.array(1))
    is_word = g.Less(g.Unsqueeze(numbers, np.array([0])), g.Unsqueeze(counts, np.array([1])))
    places = g.Transpose(g.NonZero(is_word), perm=[1, 0])
    shape = g.Concat(g.Shape(counts), width, axis=0)
    return places, g.GatherND(dense, places), shape


@operator("Equal")
def equal(g: Emitter) -> str:
    return _equal(g)


@operator("NotEqual")
def not_equal(g: Emitter) -> str:
    return str(g.Not(_equal(g)))


def _equal(g: Emitter) -> str:
    """tf2onnx compares strings as numbers. ONNX compares them from opset 19 on."""
    if g.dtype(g.inputs[0]) in INTEGERS:
        return str(g.Equal(*[g.Cast(each, to=INT64) for each in g.inputs]))
    if g.dtype(g.inputs[0]) == int(TensorProto.FLOAT16):
        return str(g.Equal(*[g.Cast(each, to=int(TensorProto.FLOAT)) for each in g.inputs]))
    return str(g.Equal(*g.inputs))


@operator("AsString")
def as_string(g: Emitter) -> str:
    """Integers alone: the digits that ONNX Runtime gives floats are not TensorFlow's."""
    plain = g.attribute("width", -1) == -1 and not g.attribute("fill", "")
    if g.dtype(g.inputs[0]) not in {*INTEGERS, INT64, int(TensorProto.INT32)} or not plain:
        raise UnsupportedError("ONNX does not say how numbers other than plain integers are written as text.")
    return str(g.Cast(g.inputs[0], to=STRING))


REFUSED = {
    **dict.fromkeys(
        ("StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong"),
        "ONNX has no hash of strings, and those of onnxruntime-extensions give other numbers than TensorFlow's.",
    ),
    **dict.fromkeys(
        (
            *("EncodeBase64", "DecodeBase64", "StringFormat", "StringSplit", "Substr", "UnicodeDecode"),
            *("UnicodeDecodeWithOffsets", "UnicodeEncode", "UnicodeScript", "UnicodeTranscode"),
        ),
        "Neither ONNX nor onnxruntime-extensions has such an operator on strings.",
    ),
    "RegexFullMatch": "The pattern depends on the data.",
}


@operator("StringLength")
def length(g: Emitter) -> str:
    """Characters by onnxruntime-extensions; bytes by nothing."""
    if g.attribute("unit", "BYTE") == "UTF8_CHAR" and g.with_extensions:
        return str(g.Cast(g.extension("StringLength", g.inputs[0], dtype=INT64), to=INT32))
    raise UnsupportedError(
        "ONNX does not count what is in a string; onnxruntime-extensions, by --library, counts characters, not bytes."
    )


@operator(*REFUSED)
def refuse(g: Emitter) -> str:
    raise UnsupportedError(REFUSED[g.node.type])
