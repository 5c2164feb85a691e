// The one exception inside the library: what happened, where, what to do next, and the status that the C ABI returns.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace tl {

// The numbers are those of tl_status and of the commands' exit statuses.
enum class Status : int { mismatch = 1, usage = 2, unsupported = 3, package = 4, execution = 5 };

struct Error : std::exception {
  Error(Status status, std::string what, std::string hint = "", std::string where = "")
      : status(status), text(std::move(what)), hint(std::move(hint)), where(std::move(where)) {}

  const char* what() const noexcept override { return text.c_str(); }

  Status status;
  std::string text;
  std::string hint;
  std::string where;
  std::string member;  // of the package, where one is at fault
  std::string rule;    // of docs/format.md, where one is broken
};

// A package that is damaged or breaks a rule of docs/format.md.
inline Error package_error(std::string what, std::string member, std::string rule, std::string hint = "") {
  Error error(Status::package, std::move(what), std::move(hint));
  error.member = std::move(member);
  error.rule = std::move(rule);
  return error;
}

inline Error usage_error(std::string what, std::string hint = "") {
  return Error(Status::usage, std::move(what), std::move(hint));
}

inline std::string quoted(const std::string& name) { return "'" + name + "'"; }

}  // namespace tl
