// Where the packages are that make_packages.py writes.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

inline std::string package_path(const std::string& name) {
  const char* folder = std::getenv("TRANSLOAD_TEST_PACKAGES");
  if (folder == nullptr) throw std::runtime_error("TRANSLOAD_TEST_PACKAGES is not set; run the tests with ctest.");
  return std::string(folder) + "/" + name + ".tload";
}
