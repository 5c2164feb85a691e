"""Regular expressions that are plain texts, and texts taken apart and joined, beside TensorFlow's own answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tensorflow_models import run_capture

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.passes import find_library_domains
from transload.convert.tensorflow import tf_function
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.operators.literal_patterns import LiteralPattern, read_pattern
from transload.serialize.errors import UnsupportedError

# Keras' standardization is the first.
SETS = (
    r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']',
    "[abc]",
    "[]a]",
    r"[\s\d]",
    "[a-fx-]",
    r"[\]\-\\]",
    r"[\t\n]",
    r"\w",
    "[a^]",
)
ASCII = [chr(code) for code in range(1, 128)]


@pytest.mark.parametrize("pattern", SETS)
def test_a_set_is_read_as_tensorflow_reads_it(pattern: str) -> None:
    found = read_pattern(pattern)
    assert found is not None
    assert not found.repeated
    matched = tf.strings.regex_full_match(ASCII, pattern).numpy()
    assert sorted(found.texts) == [character for character, match in zip(ASCII, matched, strict=True) if match]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("<br />", LiteralPattern(("<br />",))),
        (r"a\.b\n", LiteralPattern(("a.b\n",))),
        (r"\s+", LiteralPattern(tuple("\t\n\f\r "), repeated=True)),
        (" +", LiteralPattern((" ",), repeated=True)),
        ("é", LiteralPattern(("é",))),
        ("[é-ë]+", LiteralPattern(("é", "ê", "ë"), repeated=True)),
    ],
)
def test_a_text_is_read_with_its_escapes(pattern: str, found: LiteralPattern) -> None:
    assert read_pattern(pattern) == found


OTHERS = (
    *("", "a.b", "ab+", "a*", "a|b", "(a)", "^a", "a$", "[^a]", "[[:alpha:]]", "[a", "[z-a]", r"\bword", r"\x41"),
    *(r"\pL", r"[\pL]", "[a]*", "[a]{2}", "a++", r"\S", r"\d{2}", "[\u0100-\uffff]", r"[\s-z]"),
)


@pytest.mark.parametrize("pattern", OTHERS)
def test_other_patterns_are_not_read(pattern: str) -> None:
    assert read_pattern(pattern) is None


def texts(alphabet: str, count: int) -> list[str]:
    draw = random.Random(7)
    return ["", *("".join(draw.choices(alphabet, k=draw.randrange(12))) for _ in range(count))]


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "text": (lambda t: tf.strings.regex_replace(t, "aba", "<>"), "ab"),
    "text by more of it": (lambda t: tf.strings.regex_replace(t, "aa", "aaa"), "ab"),
    "first text": (lambda t: tf.strings.regex_replace(t, "ab", "-", replace_global=False), "ab"),
    "set": (lambda t: tf.strings.regex_replace(t, "[abc]", "ba"), "abcd"),
    "set removed": (lambda t: tf.strings.regex_replace(t, "[a-c]+", ""), "abcd"),
    "rows of a set": (lambda t: tf.strings.regex_replace(t, "[ab]+", "a-b"), "abcd"),
    "rows of whitespace": (lambda t: tf.strings.regex_replace(t, r"\s+", " "), "ab \t\n\v"),
    "letters of two bytes": (lambda t: tf.strings.regex_replace(t, "[éß]", "e"), "eéßs日"),
    "stripped": (tf.strings.strip, "a \t\n\v\f\r\u00a0"),
    "joined": (lambda t: tf.strings.reduce_join(tf.reshape(t, [3, -1, 2]), [0, 2], separator="+"), "ab "),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_random_texts_become_what_tensorflow_makes_of_them(name: str) -> None:
    function, alphabet = FUNCTIONS[name]
    source = tf.function(
        lambda text: {"y": function(text)}, input_signature=[tf.TensorSpec([None], tf.string, name="text")]
    )
    (found,) = tf_function.capture(detect_source(source), ConvertOptions(example={"text": np.array(["a"] * 6, object)}))
    given = np.array(texts(alphabet, 299), dtype=object)
    expected = [each.decode() for each in source(given)["y"].numpy().tolist()]
    assert run_capture(found, {"text": given})["y"].tolist() == expected


def count_characters(unit: str) -> Any:
    return tf.function(
        lambda text: {"y": tf.strings.length(text, unit=unit)},
        input_signature=[tf.TensorSpec([None], tf.string, name="text")],
    )


def test_characters_are_counted_by_a_library_where_one_is_given() -> None:
    source = detect_source(count_characters("UTF8_CHAR"))
    (found,) = tf_function.capture(source, ConvertOptions(libraries=("library.so",)))
    assert find_library_domains(found.model) == ("ai.onnx.contrib",)
    assert found.model.opset_imports["ai.onnx.contrib"] == 1
    with pytest.raises(UnsupportedError, match="StringLength"):
        tf_function.capture(source, ConvertOptions())


def test_bytes_are_counted_by_nothing() -> None:
    with pytest.raises(UnsupportedError, match="StringLength"):
        tf_function.capture(detect_source(count_characters("BYTE")), ConvertOptions(libraries=("library.so",)))


def test_a_library_that_nothing_needs_is_not_in_the_graph() -> None:
    source = tf.function(lambda x: {"y": x + 1.0}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    (found,) = tf_function.capture(detect_source(source), ConvertOptions(libraries=("library.so",)))
    assert "ai.onnx.contrib" not in found.model.opset_imports
