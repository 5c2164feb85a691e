// An opened package file: checked on opening, mapped, its parts read on demand. Safe to use from several threads.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "archive.h"
#include "interface.h"
#include "manifest.h"
#include "onnx_model.h"
#include "tensor_proto.h"

namespace tl {

// What is checked of content: nothing, CRC-32 of each member when it is used, SHA-256 of every member on opening.
enum class Integrity { none, crc32, sha256 };

// One recorded call.
struct VectorSet {
  std::vector<TensorValues> inputs, outputs;
};

class Package {
 public:
  // Throws Error: the file cannot be read (usage) or breaks a rule of docs/format.md (package).
  Package(const std::string& path, Integrity integrity);

  const Archive& archive() const { return archive_; }
  const Manifest& manifest() const { return manifest_; }
  Integrity integrity() const { return integrity_; }

  // The package's identity: SHA-256 of the manifest, which holds the SHA-256 of everything else.
  std::string digest() const { return sha256_of(kManifestName); }

  // A component's portable variant. Throws Error (usage): there is no such component.
  const Variant& variant(const std::string& component) const;

  // The named component or, for "", the only one. Throws Error (usage).
  const std::string& choose_component(const std::string& name) const;

  Interface interface(const std::string& component) const;

  // The component's model with external data pointing into the package file, which it calls `location`; its weights
  // are checked.
  OnnxModel model(const std::string& component, const std::string& location) const;

  // The component's model.onnx as it is stored. Throws Error: package.
  std::string_view model_bytes(const std::string& component) const;

  std::vector<VectorSet> vectors(const std::string& component) const;

  // Reads all that the package's components are made of, and throws at the first fault.
  void check_components() const;

 private:
  std::string component_names() const;  // joined, for messages

  // A member's content, checked on first use.
  std::string_view read(const std::string& name) const;
  std::string sha256_of(const std::string& name) const;
  // Takes what it reads out of `unread`.
  std::vector<TensorValues> read_vectors(const std::string& folder, const char* kind,
                                         const std::vector<TensorInfo>& tensors, std::set<std::string>& unread) const;
  void check_members() const;
  void check_files(const ComponentEntry& component) const;
  void check_assets() const;

  Archive archive_;
  Integrity integrity_;
  Manifest manifest_;
  mutable std::mutex mutex_;  // guards checked_
  mutable std::set<std::string> checked_;
};

}  // namespace tl
