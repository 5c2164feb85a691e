"""Strings, lookup tables and the layers that turn text into numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import keras
import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, built, floats, integers, program, texts
from transload.convert.tensorflow.framework import tf

L = keras.layers
WORDS = {"text": ["cat", "Dog", "mouse", ""]}
LINES = {"text": ["The cat sat", "a DOG, and a mouse!", "", "cat cat"]}
TEXT = texts("text", None)

_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "lower": (tf.strings.lower, None),
    "upper": (tf.strings.upper, None),
    "strip": (lambda t: tf.strings.strip(tf.strings.join([" ", t, "\t "])), None),
    "strip_inside": (lambda t: tf.strings.strip(tf.strings.join(["\n\v", t, " \f x \r", t, "\t\t"])), None),
    "strip_to_nothing": (lambda t: tf.strings.strip(tf.strings.join([" \t", tf.strings.lower(" "), "\n"])), None),
    "join": (lambda t: tf.strings.join([t, "x", t], separator="-"), None),
    "concatenated": (lambda t: t + "!", None),
    "length": (tf.strings.length, "StringLength"),
    "length_in_characters": (lambda t: tf.strings.length(t, unit="UTF8_CHAR"), "StringLength"),
    "equal": (lambda t: (tf.equal(t, "cat"), tf.not_equal(t, "cat")), None),
    "chosen": (lambda t: tf.where(tf.equal(t, "cat"), t, "other"), None),
    "gathered": (lambda t: (tf.gather(t, [0, 0]), tf.reshape(t, [-1, 1]), tf.concat([t, ["end"]], 0)), None),
    "regex_full_match": (lambda t: tf.strings.regex_full_match(t, "c.t|[a-z]*e"), None),
    "regex_replace": (lambda t: tf.strings.regex_replace(t, "[aeiou]", "*"), None),
    "regex_replace_text": (lambda t: tf.strings.regex_replace(tf.strings.join([t, t]), "ca", "<ca>"), None),
    "regex_replace_first": (lambda t: tf.strings.regex_replace(t, "o", "0", replace_global=False), None),
    "regex_replace_rows": (lambda t: tf.strings.regex_replace(tf.strings.join([" ", t, "\t  ", t]), r"\s+", "_"), None),
    "regex_remove": (lambda t: tf.strings.regex_replace(t, r"[a-e\-\]]+", ""), None),
    "regex_replace_by_its_own": (lambda t: tf.strings.regex_replace(t, "[aeo]", "oa"), None),
    "regex_replace_groups": (lambda t: tf.strings.regex_replace(t, "(c)(a)", r"\2\1"), "RegexReplace"),
    "regex_replace_any": (lambda t: tf.strings.regex_replace(t, "c.*", "x"), "RegexReplace"),
    "substring": (lambda t: tf.strings.substr(t, 0, 2), "Substr"),
    "split": (lambda t: tf.strings.split(t).to_tensor(""), None),
    "split_by": (lambda t: tf.strings.split(t, sep="a").to_tensor("-"), None),
    "reduce_join": (lambda t: tf.strings.reduce_join(tf.reshape(t, [-1, 1]), axis=1, separator=" "), None),
    "reduce_join_all": (lambda t: tf.strings.reduce_join(tf.stack([t, t], 1)), None),
    "reduce_join_of_axes": (
        lambda t: tf.strings.reduce_join(tf.stack([tf.stack([t, t + "!"], 1)] * 3, 1), [2, 1], separator="+"),
        None,
    ),
    "reduce_join_kept": (lambda t: tf.strings.reduce_join(tf.stack([t, t], 1), 0, keepdims=True, separator=","), None),
    "hash_bucket": (lambda t: tf.strings.to_hash_bucket_fast(t, 10), "StringToHashBucketFast"),
    "hash_bucket_strong": (lambda t: tf.strings.to_hash_bucket_strong(t, 10, [1, 2]), "StringToHashBucketStrong"),
    "unicode_decode": (lambda t: tf.strings.unicode_decode(t, "UTF-8").to_tensor(), "UnicodeDecode"),
    "bytes_split": (lambda t: tf.strings.bytes_split(t).to_tensor(""), "StringSplit"),
    "ngrams": (lambda t: tf.strings.ngrams(tf.reshape(t, [1, -1]), 2), None),
    "ngrams_of_split": (lambda t: tf.strings.ngrams(tf.strings.split(t), (1, 3), separator="").to_tensor(""), None),
    "ngrams_padded": (
        lambda t: tf.strings.ngrams(tf.strings.split(t), 2, pad_values="#").to_tensor(""),
        "StringNGrams",
    ),
    "encode_base64": (tf.io.encode_base64, "EncodeBase64"),
}
for _name, (_function, _refused) in _FUNCTIONS.items():
    PROGRAMS[f"strings.{_name}"] = Program(
        f"strings.{_name}", (TEXT,), lambda f=_function: f, LINES if "split" in _name else WORDS, _refused
    )


@program(floats("x", None), refused="AsString")
def as_string(x: Any) -> Any:
    return tf.strings.as_string(x)


@program(integers("n", None), example={"n": [3, -7, 0]})
def integers_as_string(n: Any) -> Any:
    return tf.strings.as_string(n)


@program(TEXT, example={"text": ["1.5", "-2", "3e2"]})
def to_number(text: Any) -> Any:
    return tf.strings.to_number(text)


def _table(keys: Any, values: Any, default: Any) -> Any:
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default)


@built(TEXT, example=WORDS)
def table_of_words() -> Any:
    table = _table(["cat", "dog", "mouse"], tf.constant([3, 5, 7], tf.int64), -1)
    return lambda text: table.lookup(text)


@built(TEXT, example=WORDS)
def table_of_words_to_int32() -> Any:
    table = _table(["cat", "dog", "mouse"], tf.constant([3, 5, 7], tf.int32), -1)
    return lambda text: table.lookup(text)


@built(TEXT, example=WORDS)
def table_of_words_to_floats() -> Any:
    table = _table(["cat", "dog"], tf.constant([0.5, 1.5]), -1.0)
    return lambda text: table.lookup(text)


@built(TEXT, example=WORDS)
def table_of_words_to_words() -> Any:
    table = _table(["cat", "dog"], ["Katze", "Hund"], "?")
    return lambda text: table.lookup(text)


@built(tf.TensorSpec([None], tf.int64, name="ids"), example={"ids": [3, 5, 4]})
def table_of_numbers() -> Any:
    table = _table(tf.constant([3, 5, 7], tf.int64), ["cat", "dog", "mouse"], "?")
    return lambda ids: table.lookup(ids)


@built(tf.TensorSpec([None], tf.int64, name="ids"), example={"ids": [3, 5, 4]})
def table_of_numbers_to_numbers() -> Any:
    table = _table(tf.constant([3, 5, 7], tf.int64), tf.constant([30, 50, 70], tf.int64), 0)
    return lambda ids: (table.lookup(ids), table.size())


@built(TEXT, example=WORDS, refused="StringToHashBucketFast")
def vocabulary_file() -> Any:
    path = Path(mkdtemp()) / "vocabulary.txt"
    path.write_text("cat\ndog\nmouse\n")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(path), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        num_oov_buckets=1,
    )
    return lambda text: table.lookup(text)


@built(TEXT, example=WORDS)
def string_lookup() -> Any:
    layer = L.StringLookup(vocabulary=["cat", "dog", "mouse"])
    return lambda text: layer(text)


@built(TEXT, example=WORDS)
def string_lookup_multi_hot() -> Any:
    layer = L.StringLookup(vocabulary=["cat", "dog", "mouse"], output_mode="multi_hot")
    return lambda text: layer(tf.reshape(text, [-1, 1]))


@built(integers("ids", None, 2), example={"ids": [[1, 4], [0, 3]]})
def string_lookup_inverted() -> Any:
    layer = L.StringLookup(vocabulary=["cat", "dog", "mouse"], invert=True)
    return lambda ids: layer(tf.cast(ids, tf.int64))


@built(tf.TensorSpec([None, 2], tf.int64, name="ids"), example={"ids": [[12, 4], [36, 3]]})
def integer_lookup() -> Any:
    layer = L.IntegerLookup(vocabulary=[12, 36, 1138])
    return lambda ids: layer(ids)


@built(TEXT, example=LINES)
def text_vectorization() -> Any:
    layer = L.TextVectorization(vocabulary=["cat", "dog", "a"], output_sequence_length=5)
    return lambda text: layer(text)


@built(TEXT, example=LINES)
def text_vectorization_of_any_length() -> Any:
    layer = L.TextVectorization(vocabulary=["cat", "dog", "a"], standardize="lower")
    return lambda text: layer(text)


@built(TEXT, example=LINES)
def text_vectorization_counted() -> Any:
    layer = L.TextVectorization(vocabulary=["cat", "dog", "a"], output_mode="count", standardize="lower")
    return lambda text: layer(text)


@built(TEXT, example=LINES)
def text_vectorization_multi_hot() -> Any:
    layer = L.TextVectorization(vocabulary=["cat", "dog", "a", "a mouse"], output_mode="multi_hot", ngrams=2)
    return lambda text: layer(text)


@built(TEXT, example=LINES)
def text_vectorization_weighted() -> Any:
    layer = L.TextVectorization(
        vocabulary=["cat", "dog", "a"],
        idf_weights=[0.5, 0.25, 2.0],
        output_mode="tf_idf",
        standardize="strip_punctuation",
    )
    return lambda text: layer(text)


@built(TEXT, example=WORDS, refused="StringToHashBucketFast")
def hashing() -> Any:
    layer = L.Hashing(num_bins=7)
    return lambda text: layer(text)


@built(floats("x", None, 3))
def discretization() -> Any:
    layer = L.Discretization(bin_boundaries=[-1.0, 0.0, 1.0])
    return lambda x: layer(x)


@built(integers("ids", None, 3), example={"ids": [[1, 2, 1], [0, 3, 3]]})
def category_encoding() -> Any:
    layer = L.CategoryEncoding(num_tokens=5, output_mode="multi_hot")
    return lambda ids: layer(tf.math.floormod(ids, 5))


@built(floats("x", None, 3))
def normalization_layer() -> Any:
    layer = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])
    return lambda x: layer(x)


@built(TEXT, example=WORDS)
def classifier_of_words() -> Any:
    lookup = L.StringLookup(vocabulary=["cat", "dog", "mouse"])
    table = tf.Variable(np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32))
    names = tf.constant(["a", "b", "c"])
    return lambda text: tf.gather(names, tf.argmax(tf.gather(table, lookup(text)), axis=-1))
