// Building the tree from nlohmann_json's event parser, which does not recurse.
#include "json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "error.h"

namespace tl::json {
namespace {

constexpr std::size_t kMaxDepth = 64;

// Commas and opening brackets and braces, those inside of texts too: no less than there are values.
constexpr std::ptrdiff_t kMaxParts = 1 << 16;

// Receives the parser's events. Each method returns whether to go on; `fault` says why not.
class Builder {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  Value root;
  std::string fault;

  bool null() { return add({}) != nullptr; }

  bool boolean(bool value) {
    Value* added = add_kind(Value::Kind::boolean);
    if (added != nullptr) added->boolean = value;
    return added != nullptr;
  }

  bool number_integer(number_integer_t value) {
    Value* added = add_kind(Value::Kind::integer);
    if (added != nullptr) added->integer = value;
    return added != nullptr;
  }

  bool number_unsigned(number_unsigned_t value) {
    if (value > static_cast<number_unsigned_t>(INT64_MAX)) return fail("an integer has more than 64 bits");
    return number_integer(static_cast<number_integer_t>(value));
  }

  bool number_float(number_float_t value, const string_t& text) {
    // What has neither point nor exponent is an integer that did not fit.
    if (text.find_first_of(".eE") == string_t::npos) return fail("an integer has more than 64 bits");
    Value* added = add_kind(Value::Kind::real);
    if (added != nullptr) added->real = value;
    return added != nullptr;
  }

  bool string(string_t& value) {
    Value* added = add_kind(Value::Kind::text);
    if (added != nullptr) added->text = std::move(value);
    return added != nullptr;
  }

  bool binary(binary_t&) { return fail("binary data"); }
  bool start_object(std::size_t) { return open(Value::Kind::object); }
  bool start_array(std::size_t) { return open(Value::Kind::list); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    if (!seen_.back().insert(name).second) return fail("the key '" + name + "' stands twice");
    open_.back()->keys.push_back(std::move(name));
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    return fail("error at byte " + std::to_string(position));
  }

 private:
  bool fail(std::string what) {
    fault = std::move(what);
    return false;
  }

  Value* add_kind(Value::Kind kind) {
    Value value;
    value.kind = kind;
    return add(std::move(value));
  }

  Value* add(Value value) {
    // An empty object or list is no level of its own, so that only what stands inside one counts.
    if (open_.size() > kMaxDepth) {
      fail("values nest too deep");
      return nullptr;
    }
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    return &open_.back()->items.emplace_back(std::move(value));
  }

  // An open container is the last item of the one before it, which grows only after this one is closed; so the
  // pointers stay good.
  bool open(Value::Kind kind) {
    Value* added = add_kind(kind);
    if (added == nullptr) return false;
    open_.push_back(added);
    seen_.emplace_back();
    return true;
  }

  bool close() {
    open_.pop_back();
    seen_.pop_back();
    return true;
  }

  std::vector<Value*> open_;
  std::vector<std::set<std::string>> seen_;
};

}  // namespace

const Value* Value::find(std::string_view key) const {
  for (std::size_t index = 0; index < keys.size(); ++index) {
    if (keys[index] == key) return &items[index];
  }
  return nullptr;
}

Value parse(std::string_view data, const std::string& member) {
  if (data.size() > kMaxBytes) {
    throw package_error(std::to_string(data.size()) + " bytes of JSON are too many.", member, "json-size");
  }
  const auto is_part = [](char c) { return c == ',' || c == '[' || c == '{'; };
  if (std::count_if(data.begin(), data.end(), is_part) > kMaxParts) {
    throw package_error("The JSON has more than 65536 parts.", member, "json-size");
  }
  Builder builder;
  // nlohmann_json skips a byte order mark, which is not JSON.
  const bool marked = data.substr(0, 3) == "\xEF\xBB\xBF";
  if (marked || !nlohmann::json::sax_parse(data.begin(), data.end(), &builder)) {
    throw package_error("Not valid JSON: " + (marked ? "a byte order mark" : builder.fault) + ".", member, "json");
  }
  if (!builder.root.is(Value::Kind::object)) throw package_error("The JSON is not an object.", member, "json");
  return std::move(builder.root);
}

}  // namespace tl::json
