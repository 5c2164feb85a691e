// JSON with one meaning (docs/format.md, section 2.1), as a tree of values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tl::json {

constexpr std::size_t kMaxBytes = 2 << 20;

// One value. Objects keep their members' order in `keys`, beside `items`.
struct Value {
  enum class Kind : unsigned char { null, boolean, integer, real, text, list, object };

  Kind kind = Kind::null;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<Value> items;
  std::vector<std::string> keys;

  // The member of an object, or null where there is none or this is no object.
  const Value* find(std::string_view key) const;
  bool is(Kind wanted) const { return kind == wanted; }
};

// The object in `data`. Throws Error (rules `json-size`, `json`): not UTF-8 JSON, not an object, a key stands twice, a
// number is not finite or an integer over 64 bits, or nesting is too deep.
Value parse(std::string_view data, const std::string& member);

}  // namespace tl::json
