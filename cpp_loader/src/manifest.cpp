// Checks of manifest.json, in the order of docs/format.md.
#include "manifest.h"

#include <algorithm>

#include "error.h"
#include "json.h"
#include "schema.h"

namespace tl {
namespace {

using json::Value;
using Kind = json::Value::Kind;

constexpr char kSchemaVersion[] = "1.0", kFormatVersion[] = "1.0", kPortable[] = "portable";
constexpr std::size_t kMaxLicenseBytes = 256;

Schema schema() { return Schema(kManifestName, "manifest-schema"); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether `text` is two numbers of one to six digits with a dot between.
bool is_version(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return false;
  for (const std::string_view part : {text.substr(0, dot), text.substr(dot + 1)}) {
    if (part.empty() || part.size() > 6 || !std::all_of(part.begin(), part.end(), is_digit)) return false;
  }
  return true;
}

void check_version(const Value& object, const char* field, const char* rule, std::string_view known) {
  const Value* value = object.find(field);
  if (value == nullptr || !value->is(Kind::text) || !is_version(value->text)) {
    schema().refuse(std::string(field) + " is not a version.");
  }
  if (value->text.substr(0, value->text.find('.')) != known.substr(0, known.find('.'))) {
    throw package_error("The package has " + std::string(field) + " " + value->text + "; this reader understands " +
                            std::string(known) + " and later minor versions.",
                        kManifestName, rule, "Open it with a newer transload.");
  }
}

// transload's own part, its versions and required features checked before all else.
const Value& own_part(const Value& manifest) {
  const Value* own = manifest.find("additional_metadata");
  if (own != nullptr) own = own->find("transload");
  if (own == nullptr || !own->is(Kind::object)) {
    schema().refuse("This is a ZIP file, or an ONNX Runtime model package, but not a transload package.");
  }
  check_version(manifest, "schema_version", "schema-version", kSchemaVersion);
  check_version(*own, "format_version", "format-version", kFormatVersion);
  const Value* features = own->find("required_features");
  if (features != nullptr && features->is(Kind::list) && !features->items.empty()) {
    throw package_error("The package (format " + own->find("format_version")->text +
                            ") needs features that this reader lacks, such as " + quoted(features->items[0].text) + ".",
                        kManifestName, "required-features", "Open it with a newer transload.");
  }
  return *own;
}

void check_component_name(const std::string& name) {
  const auto allowed = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
  };
  std::string lower = name;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (name.empty() || name[0] == '.' || name[0] == '-' || !std::all_of(name.begin(), name.end(), allowed) ||
      lower == "shared_assets" || lower == kManifestName || lower == kSignatureName) {
    schema().refuse("The component or variant name " + quoted(name) + " is not allowed.");
  }
}

bool is_asset(const std::string& uri) { return uri.compare(0, 7, "sha256:") == 0 && is_sha256(uri.substr(7)); }

std::string read_shared_asset(const Value& ort, const std::string& where) {
  std::string uri;
  const Value* options = schema().optional(ort, "session_options", Kind::object);
  if (options == nullptr) return uri;
  for (std::size_t index = 0; index < options->keys.size(); ++index) {
    schema().check(options->items[index], Kind::text, "session_options");
    uri = options->items[index].text;
    // Any other session option could make ONNX Runtime write files or load libraries.
    if (options->keys[index] != kFolderOption || !is_asset(uri)) {
      schema().refuse("The variant " + where + " sets the session option " + quoted(options->keys[index]) + " to " +
                      quoted(uri) + ".");
    }
  }
  return uri;
}

Variant read_variant(const std::string& component, const std::string& name, const Value& value) {
  schema().check(value, Kind::object, "variants");
  const std::string where = component + "/" + name;
  Variant variant{name, schema().text(value, "variant_directory"), ""};
  schema().text(value, "ep");
  const Value& info = schema().field(value, "executor_info", Kind::object);
  const Value& ort = schema().field(info, "ort", Kind::object);
  const std::string& model_file = schema().text(ort, "model_file");
  const std::string& interface_file = schema().text(info, "transload");
  check_component_name(name);
  const std::size_t slash = variant.folder.find('/');
  if (slash == std::string::npos || variant.folder.substr(0, slash) != component ||
      variant.folder.find('/', slash + 1) != std::string::npos) {
    schema().refuse("The variant " + where + " lies in " + quoted(variant.folder) + ".");
  }
  check_component_name(variant.folder.substr(slash + 1));
  if (model_file != "model.onnx" || interface_file != "interface.json") {
    schema().refuse("The variant " + where + " names files other than model.onnx and interface.json.");
  }
  variant.shared_asset = read_shared_asset(ort, where);
  return variant;
}

// The licence, an SPDX expression, and the tools, which are for people.
void check_provenance(const Value& own) {
  const Value* license = own.find("license");
  if (license != nullptr && !license->is(Kind::null)) {
    schema().check(*license, Kind::text, "license");
    const auto allowed = [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             std::string_view(".+:() -").find(c) != std::string_view::npos;
    };
    const std::string& text = license->text;
    if (text.empty() || text.size() > kMaxLicenseBytes || !std::all_of(text.begin(), text.end(), allowed)) {
      schema().refuse("The licence " + quoted(text) + " is not an SPDX expression.");
    }
  }
  if (const Value* tools = schema().optional(own, "tools", Kind::object)) {
    for (const Value& version : tools->items) schema().check(version, Kind::text, "tools");
  }
}

ComponentEntry read_component(const std::string& name, const Value& value) {
  check_component_name(name);
  schema().check(value, Kind::object, "components");
  ComponentEntry component{name, {}};
  const Value& variants = schema().field(value, "variants", Kind::object);
  if (variants.keys.empty()) schema().refuse("The component " + quoted(name) + " has no variant.");
  for (std::size_t index = 0; index < variants.keys.size(); ++index) {
    component.variants.push_back(read_variant(name, variants.keys[index], variants.items[index]));
  }
  return component;
}

MemberEntry read_member(const std::string& name, const Value& value) {
  schema().check(value, Kind::object, "members");
  const std::int64_t size = schema().integer(value, "size");
  const std::string& digest = schema().text(value, "sha256");
  if (size < 0 || !is_sha256(digest)) throw package_error("Its entry in the manifest is malformed.", name, "members");
  return {name, static_cast<std::uint64_t>(size), digest};
}

}  // namespace

const Variant* ComponentEntry::portable() const {
  const auto found =
      std::find_if(variants.begin(), variants.end(), [](const Variant& variant) { return variant.name == kPortable; });
  return found == variants.end() ? nullptr : &*found;
}

Manifest parse_manifest(std::string_view data) {
  const Value raw = json::parse(data, kManifestName);
  const Value& own = own_part(raw);
  Manifest manifest;
  manifest.package_name = schema().text(raw, "package_name");
  manifest.format_version = schema().text(own, "format_version");
  manifest.producer = schema().text(own, "producer");
  schema().field(own, "required_features", Kind::list);
  const Value& components = schema().field(raw, "components", Kind::object);
  const Value& members = schema().field(own, "members", Kind::object);
  if (schema().text(raw, "layout") != kPortable) schema().refuse("The layout is not 'portable'.");
  if (components.keys.empty()) schema().refuse("The package has no component.");
  for (std::size_t index = 0; index < components.keys.size(); ++index) {
    manifest.components.push_back(read_component(components.keys[index], components.items[index]));
  }
  for (std::size_t index = 0; index < members.keys.size(); ++index) {
    manifest.members.push_back(read_member(members.keys[index], members.items[index]));
  }
  const Value* assets = own.find("assets");
  if (assets != nullptr && !assets->is(Kind::null)) {
    schema().check(*assets, Kind::text, "assets");
    manifest.assets = assets->text;
    if (!is_asset(manifest.assets)) schema().refuse("The assets are not sha256:<hex>.");
  }
  check_provenance(own);
  return manifest;
}

std::string weights_name(const Variant& variant) {
  if (variant.shared_asset.empty()) return variant.folder + "/model.onnx.data";
  return asset_folder(variant.shared_asset) + "/weights.data";
}

std::string asset_folder(const std::string& uri) { return "shared_assets/sha256-" + uri.substr(7); }

bool is_sha256(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

}  // namespace tl
