// JSON with one meaning.
#include <doctest/doctest.h>

#include <string>

#include "error.h"
#include "json.h"

namespace {

std::string rule_of(const std::string& text) {
  try {
    tl::json::parse(text, "m");
  } catch (const tl::Error& error) {
    return error.rule;
  }
  return "";
}

std::string nested(int depth) { return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}"; }

}  // namespace

TEST_CASE("values keep their kind and order") {
  const tl::json::Value value = tl::json::parse(R"({"b": [1, -2.5, true, null], "a": "\u00e9"})", "m");
  REQUIRE(value.keys.size() == 2);
  CHECK(value.keys[0] == "b");
  CHECK(value.items[0].items[0].integer == 1);
  CHECK(value.items[0].items[1].real == -2.5);
  CHECK(value.items[0].items[2].boolean);
  CHECK(value.items[0].items[3].is(tl::json::Value::Kind::null));
  CHECK(value.find("a")->text == "\xC3\xA9");
  CHECK(value.find("c") == nullptr);
}

TEST_CASE("what has no one meaning is refused") {
  for (const char* text : {"", "[]", "{", "{\"a\": 1, \"a\": 2}", "{\"a\": NaN}", "{\"a\": 1e999}", "\xEF\xBB\xBF{}",
                           "{\"a\": 9223372036854775808}", "{\"a\": -9223372036854775809}", "{\"a\": \"\\ud800\"}",
                           "{\"a\": 99999999999999999999999}", "{} {}", "{\"a\": \"\xff\"}"}) {
    CAPTURE(text);
    CHECK(rule_of(text) == "json");
  }
  CHECK(rule_of("{\"a\": 9223372036854775807, \"b\": -9223372036854775808}") == "");
}

TEST_CASE("nesting ends at 64 levels, of which empty ones are none") {
  CHECK(rule_of(nested(64)) == "");
  CHECK(rule_of(nested(65)) == "json");
  CHECK(rule_of(nested(60000)) == "json");
  CHECK(rule_of(nested(1000000)) == "json-size");
}
