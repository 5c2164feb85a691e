// Making the key, field by field as docs/tuning.md says.
#include "tuning_key.h"

#include "host.h"
#include "ort.h"
#include "sha256.h"

namespace tl {
namespace {

// Raised when the layout of entries or the meaning of their fields changes.
constexpr char kTuningVersion[] = "2";

// The identity of a component's graph and weights, from the manifest's SHA-256 of both.
std::string model_digest(const Package& package, const Variant& variant) {
  const std::string model = variant.folder + "/model.onnx", weights = weights_name(variant);
  std::string model_line, weights_line;
  for (const MemberEntry& entry : package.manifest().members) {
    if (entry.name == model) model_line = entry.sha256 + "  model.onnx\n";
    if (entry.name == weights) weights_line = entry.sha256 + "  weights\n";
  }
  return "sha256:" + sha256(model_line + weights_line);
}

}  // namespace

std::string TuningKey::text() const {
  return "version: " + version + "\nmodel: " + model + "\nruntime: " + runtime + "\nmachine: " + machine +
         "\ncpu: " + cpu + "\ncpus: " + std::to_string(cpus) + "\ndevice: " + device + "\n";
}

std::string TuningKey::digest() const { return sha256(text()); }

std::optional<TuningKey> make_key(const Package& package, const std::string& component) {
  const std::string cpu = host::describe_cpu();
  if (cpu.empty()) return std::nullopt;
  return TuningKey{kTuningVersion,
                   model_digest(package, package.variant(component)),
                   ort::version() + " " + ort::build_info(),
                   host::machine_name(),
                   sha256(cpu),
                   host::count_cpus(),
                   "cpu"};
}

}  // namespace tl
