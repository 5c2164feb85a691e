// UTF-8; the tables are compared with Python's, code point by code point, in tests/cpp_loader.
#include <doctest/doctest.h>

#include "unicode.h"

TEST_CASE("only strict UTF-8 is decoded") {
  CHECK(*tl::unicode::decode_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == U"a\u00e9\u20ac\U0001F600");
  for (const char* bad : {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8"}) {
    CHECK_FALSE(tl::unicode::decode_utf8(bad));
  }
}

TEST_CASE("marks are ordered, then composed") {
  CHECK(tl::unicode::to_nfc(U"e\u0301") == U"\u00e9");
  CHECK(tl::unicode::to_nfc(U"a\u0301\u0323") == U"\u1ea1\u0301");
  CHECK(tl::unicode::to_nfc(U"\u1112\u1161\u11ab") == U"\ud55c");
}

TEST_CASE("case folds in full") { CHECK(tl::unicode::fold_case(U"Stra\u00dfe") == U"strasse"); }
