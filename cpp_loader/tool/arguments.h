// The command line's words: one package, and options with values.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ort.h"

namespace tl {

struct Arguments {
  std::string package;
  std::map<std::string, std::string> options;  // by name, with its dashes

  std::string get(const std::string& name, const std::string& fallback) const;
  long number(const std::string& name, long fallback) const;  // throws Error (usage)
  ort::SessionSettings settings(const std::string& default_device) const;
};

// Throws Error (usage): an option is not among `known` or lacks its value, or there is not exactly one package.
Arguments parse_arguments(const std::vector<std::string>& words, const std::set<std::string>& known);

}  // namespace tl
