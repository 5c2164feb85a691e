"""Lines of errors."""

from __future__ import annotations

from transload.convert.error_lines import first_line, last_line


def test_the_first_and_the_last_line_that_say_something() -> None:
    error = RuntimeError("\n  one\ntwo \n\n")
    assert (first_line(error), last_line(error)) == ("one", "two")


def test_an_error_without_words_is_named() -> None:
    assert (first_line(KeyError()), last_line(ValueError(" \n"))) == ("KeyError", "ValueError")
