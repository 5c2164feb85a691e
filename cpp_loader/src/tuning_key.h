// The key of a tuned variant: everything that must be the same for it to be the same model, as fast, here.
#pragma once

#include <optional>
#include <string>

#include "package.h"

namespace tl {

struct TuningKey {
  std::string version;  // of the layout of entries
  std::string model;    // SHA-256 of the portable variant's graph and weights
  std::string runtime;  // ONNX Runtime's version and build
  std::string machine;  // the architecture
  std::string cpu;      // SHA-256 of the processor's description
  std::int64_t cpus;    // that the process may use
  std::string device;

  bool operator==(const TuningKey& other) const { return text() == other.text() && cpus == other.cpus; }

  // One `field: value` line for each.
  std::string text() const;

  // SHA-256 of the text, as lowercase hex: the entry's name.
  std::string digest() const;
};

// The key of a component here and now; nothing where the processor cannot be told.
std::optional<TuningKey> make_key(const Package& package, const std::string& component);

}  // namespace tl
