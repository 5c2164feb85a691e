// Reading typed fields out of JSON values; what is missing or of another type is an error with the rule at hand.
#pragma once

#include <string>
#include <vector>

#include "json.h"

namespace tl {

class Schema {
 public:
  using Kind = json::Value::Kind;

  // Errors name the member of the package, and the rule.
  Schema(std::string member, std::string rule) : member_(std::move(member)), rule_(std::move(rule)) {}

  [[noreturn]] void refuse(const std::string& what) const;

  // The field `key` of an object. Throws Error: it is missing or of another kind.
  const json::Value& field(const json::Value& object, const char* key, Kind kind) const;
  const std::string& text(const json::Value& object, const char* key) const;
  std::int64_t integer(const json::Value& object, const char* key) const;

  // As above where the field may be missing; null where it is.
  const json::Value* optional(const json::Value& object, const char* key, Kind kind) const;
  double real_or(const json::Value& object, const char* key, double fallback) const;
  double real(const json::Value& object, const char* key) const;
  std::string text_or(const json::Value& object, const char* key, const char* fallback) const;
  std::vector<std::string> texts(const json::Value& list) const;
  void check(const json::Value& value, Kind kind, const char* what) const;

 private:
  double as_real(const json::Value& value, const char* key) const;

  std::string member_, rule_;
};

}  // namespace tl
