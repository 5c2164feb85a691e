// Checks of JSON values' types.
#include "schema.h"

#include "error.h"

namespace tl {

void Schema::refuse(const std::string& what) const { throw package_error(what, member_, rule_); }

void Schema::check(const json::Value& value, Kind kind, const char* what) const {
  if (!value.is(kind)) refuse("The field " + quoted(what) + " has a value of another type.");
}

const json::Value& Schema::field(const json::Value& object, const char* key, Kind kind) const {
  const json::Value* found = object.find(key);
  if (found == nullptr) refuse("The field " + quoted(key) + " is missing.");
  check(*found, kind, key);
  return *found;
}

const std::string& Schema::text(const json::Value& object, const char* key) const {
  return field(object, key, Kind::text).text;
}

std::int64_t Schema::integer(const json::Value& object, const char* key) const {
  return field(object, key, Kind::integer).integer;
}

const json::Value* Schema::optional(const json::Value& object, const char* key, Kind kind) const {
  const json::Value* found = object.find(key);
  if (found != nullptr) check(*found, kind, key);
  return found;
}

double Schema::as_real(const json::Value& value, const char* key) const {
  if (value.is(Kind::integer)) return static_cast<double>(value.integer);
  check(value, Kind::real, key);
  return value.real;
}

double Schema::real(const json::Value& object, const char* key) const {
  const json::Value* found = object.find(key);
  if (found == nullptr) refuse("The field " + quoted(key) + " is missing.");
  return as_real(*found, key);
}

double Schema::real_or(const json::Value& object, const char* key, double fallback) const {
  const json::Value* found = object.find(key);
  return found == nullptr ? fallback : as_real(*found, key);
}

std::string Schema::text_or(const json::Value& object, const char* key, const char* fallback) const {
  const json::Value* found = optional(object, key, Kind::text);
  return found == nullptr ? fallback : found->text;
}

std::vector<std::string> Schema::texts(const json::Value& list) const {
  check(list, Kind::list, "list");
  std::vector<std::string> found;
  for (const json::Value& item : list.items) {
    check(item, Kind::text, "item");
    found.push_back(item.text);
  }
  return found;
}

}  // namespace tl
