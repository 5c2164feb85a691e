// Finding a tuned variant, checking all of it, and making its session.
#include "tuned.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>

#include "error.h"
#include "host.h"
#include "schema.h"
#include "tuning_key.h"

namespace tl {
namespace {

using json::Value;
using Kind = json::Value::Kind;

constexpr char kRule[] = "tuned-variant", kModelName[] = "model.onnx", kDataName[] = "model.onnx.data";
constexpr char kCpu[] = "CPUExecutionProvider";
constexpr std::size_t kNameDigits = 16;

// What `tuning.json` says. The graph is optimised already, so that nothing is optimised again.
struct Record {
  TuningKey key;
  std::string provider;
  ort::SessionSettings settings;
};

// Files below `folder` of an archive: a cache entry, or a package in which the variant is embedded.
struct TunedVariant {
  const Archive* archive;
  std::string folder;
  Record record;
};

TuningKey read_key(const Schema& schema, const Value& object) {
  return {schema.text(object, "version"), schema.text(object, "model"), schema.text(object, "runtime"),
          schema.text(object, "machine"), schema.text(object, "cpu"),   schema.integer(object, "cpus"),
          schema.text(object, "device")};
}

bool switch_or(const Schema& schema, const Value& object, const char* key, bool fallback) {
  const Value* found = schema.optional(object, key, Kind::boolean);
  return found == nullptr ? fallback : found->boolean;
}

Record read_record(std::string_view data, const std::string& member) {
  const Schema schema(member, kRule);
  const Value raw = json::parse(data, member);
  const Value& chosen = schema.field(raw, "configuration", Kind::object);
  for (const char* name : {"package_name", "component"}) schema.text(raw, name);
  for (const char* name : {"baseline_ms", "tuned_ms"}) schema.real(raw, name);
  schema.text_or(chosen, "graph", "");
  const std::string level = schema.text_or(chosen, "level", "all");
  constexpr std::string_view kLevels[] = {"disable", "basic", "extended", "all"};
  if (std::find(std::begin(kLevels), std::end(kLevels), level) == std::end(kLevels)) {
    schema.refuse("The level " + quoted(level) + " is not known.");
  }
  Record record{read_key(schema, schema.field(raw, "key", Kind::object)), schema.text_or(chosen, "provider", kCpu), {}};
  const Value* threads = schema.optional(chosen, "threads", Kind::integer);
  constexpr std::int64_t kMaxThreads = 1 << 16;
  if (threads != nullptr) {
    record.settings.threads = static_cast<int>(std::clamp<std::int64_t>(threads->integer, 0, kMaxThreads));
  }
  record.settings.device = "cpu";
  record.settings.optimize = false;
  record.settings.prepack = switch_or(schema, chosen, "prepack", true);
  record.settings.arena = switch_or(schema, chosen, "arena", true);
  record.settings.flush_to_zero = switch_or(schema, chosen, "flush_to_zero", false);
  return record;
}

// The variant whose files lie below `folder`; nothing where it is for something else.
std::optional<TunedVariant> read_variant(const Archive& archive, const std::string& folder, const TuningKey& key) {
  const std::string name = folder + "tuning.json";
  const std::string_view data = archive.view(name);
  archive.check_crc32(name);
  TunedVariant variant{&archive, folder, read_record(data, name)};
  if (!(variant.record.key == key) || archive.find(folder + kModelName) == nullptr) return std::nullopt;
  return variant;
}

ort::Session open_variant(const TunedVariant& variant, const ort::SessionSettings& wanted, Integrity integrity,
                          const OrtEnv& env, const std::string& where) {
  ort::SessionSettings settings = variant.record.settings;
  if (wanted.threads > 0) settings.threads = wanted.threads;
  // It was optimised on a processor such as this one.
  settings.adds_exactly = true;
  // Other providers' graphs are not stored as optimised, and this loader has no options for them.
  if (variant.record.provider != kCpu) return nullptr;
  const Archive& archive = *variant.archive;
  const MappedFile& file = archive.file();
  const std::string name = variant.folder + kModelName, data_name = variant.folder + kDataName;
  const zip::Member* data = archive.find(data_name);
  archive.check_crc32(name);
  if (data != nullptr && integrity != Integrity::none) archive.check_crc32(data_name);
  ModelPlace place{kDataName, data, ort::external_location(file.folder(), file.file_name())};
  // ONNX Runtime takes the size of pre-packed weights on trust, and a package may come from anywhere.
  place.origin = variant.folder.empty() ? ModelOrigin::cache : ModelOrigin::embedded;
  // What its optimisations put into a graph.
  place.domains = {"com.microsoft", "com.microsoft.nchwc"};
  const OnnxModel model = point_into(archive.view(name), name, place);
  ort::Session session = ort::create_session(env, model.bytes, file.folder(), settings, where);
  // ONNX Runtime has opened the file by its name, and mapped whatever lay there.
  file.check_unchanged();
  return session;
}

// The entry of the user's cache. Throws Error: it is damaged. `archive` is where it is opened.
std::optional<TunedVariant> find_cached(const TuningKey& key, std::unique_ptr<Archive>& archive) {
  const std::string folder = host::cache_folder();
  const std::string path = folder + "/transload/tuned/" + key.digest() + ".tuned";
  if (folder.empty() || !host::is_own_file(path)) return std::nullopt;
  archive = std::make_unique<Archive>(path);
  return read_variant(*archive, "", key);
}

std::optional<TunedVariant> find_embedded(const Package& package, const std::string& component, const TuningKey& key) {
  const std::string name = "tuned-" + key.digest().substr(0, kNameDigits);
  for (const ComponentEntry& entry : package.manifest().components) {
    if (entry.name != component) continue;
    for (const Variant& variant : entry.variants) {
      if (variant.name == name) return read_variant(package.archive(), variant.folder + "/", key);
    }
  }
  return std::nullopt;
}

// What `find` gives; nothing where it fails.
template <typename Find>
std::optional<TunedVariant> try_find(Find find) {
  try {
    return find();
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

ort::Session open_tuned(const Package& package, const std::string& component, const ort::SessionSettings& settings,
                        const OrtEnv& env, const std::string& where) {
  if (!settings.tuned || !settings.optimize || !settings.prepack || !ort::is_cpu(settings.device)) return nullptr;
  const std::optional<TuningKey> key = make_key(package, component);
  if (!key) return nullptr;
  std::unique_ptr<Archive> archive;
  std::optional<TunedVariant> variant = try_find([&] { return find_cached(*key, archive); });
  if (!variant) variant = try_find([&] { return find_embedded(package, component, *key); });
  if (!variant) return nullptr;
  try {
    ort::Session session = open_variant(*variant, settings, package.integrity(), env, where);
    // ONNX Runtime packed every weight once, to compare it with the stored one, and freed it again.
    host::return_free_memory();
    return session;
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace tl
