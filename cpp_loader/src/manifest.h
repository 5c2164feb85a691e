// manifest.json: an ONNX Runtime model package manifest (schema 1.0) with transload's own part in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tl {

constexpr char kManifestName[] = "manifest.json", kSignatureName[] = "model.sig";
constexpr char kFolderOption[] = "session.model_external_initializers_file_folder_path";

// One build of a component: its folder, and the shared asset in which its weights lie ("" where they do not).
struct Variant {
  std::string name;
  std::string folder;
  std::string shared_asset;
};

struct ComponentEntry {
  std::string name;
  std::vector<Variant> variants;

  // The variant `portable`, or null.
  const Variant* portable() const;
};

struct MemberEntry {
  std::string name;
  std::uint64_t size_bytes;
  std::string sha256;
};

struct Manifest {
  std::string package_name;
  std::string format_version;
  std::string producer;
  std::vector<ComponentEntry> components;  // in the file's order; at least one
  std::vector<MemberEntry> members;
  std::string assets;  // the shared asset with the files that come with the model, or ""
};

// Reads and checks a manifest; whether its members are there is for the package to check. Throws Error.
Manifest parse_manifest(std::string_view data);

// The member in which a variant's weights lie, if it has any.
std::string weights_name(const Variant& variant);

// The folder of the shared asset `sha256:<hex>` inside the package.
std::string asset_folder(const std::string& uri);

// Whether `text` is a SHA-256 as lowercase hex.
bool is_sha256(std::string_view text);

}  // namespace tl
