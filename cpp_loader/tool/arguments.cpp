// Parsing the command line.
#include "arguments.h"

#include <cstdlib>

#include "error.h"

namespace tl {

std::string Arguments::get(const std::string& name, const std::string& fallback) const {
  const auto found = options.find(name);
  return found == options.end() ? fallback : found->second;
}

long Arguments::number(const std::string& name, long fallback) const {
  const auto found = options.find(name);
  if (found == options.end()) return fallback;
  const std::string& text = found->second;
  if (text.empty() || text.size() > 8 || text.find_first_not_of("0123456789") != std::string::npos) {
    throw usage_error("The option " + name + " takes a number, not " + quoted(text) + ".");
  }
  return std::strtol(text.c_str(), nullptr, 10);
}

ort::SessionSettings Arguments::settings(const std::string& default_device) const {
  ort::SessionSettings settings;
  settings.device = get("--device", default_device);
  settings.threads = static_cast<int>(number("--threads", 0));
  if (const std::string library = get("--library", ""); !library.empty()) settings.libraries = {library};
  return settings;
}

Arguments parse_arguments(const std::vector<std::string>& words, const std::set<std::string>& known) {
  Arguments arguments;
  for (std::size_t index = 0; index < words.size(); ++index) {
    const std::string& word = words[index];
    if (word.compare(0, 2, "--") != 0) {
      if (!arguments.package.empty()) throw usage_error("One package is expected, not also " + quoted(word) + ".");
      arguments.package = word;
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (known.count(name) == 0) throw usage_error("Unknown option " + quoted(name) + ".");
    if (equals == std::string::npos && index + 1 == words.size())
      throw usage_error("The option " + name + " needs a value.");
    arguments.options[name] = equals == std::string::npos ? words[++index] : word.substr(equals + 1);
  }
  if (arguments.package.empty()) throw usage_error("A package is expected.");
  return arguments;
}

}  // namespace tl
